--- The limits of a consumer, as they hold here: shared with the other nodes of the region where there is a Valkey that
-- works, this node's part of them where there is none.

local clock = require('causeway.io.clock')
local fair_share = require('causeway.core.fair_share')
local fleet = require('causeway.io.fleet')
local fleet_places = require('causeway.core.fleet_places')
local fleet_rate = require('causeway.core.fleet_rate')
local gcra = require('causeway.core.gcra')
local inflight = require('causeway.io.inflight')
local settings = require('causeway.settings')
local token_budget = require('causeway.core.token_budget')
local valkey = require('causeway.io.valkey')

local M = {}

-- Consumers whose plans are kept; in passthrough anybody may be one.
local MAX_PLANS = 10000
-- Between two looks at what a credential's answers announce. Looking at each costs more than all limits together.
local ANNOUNCED_MS = 100
-- How much one answer moves the average cost of a request.
local COST_WEIGHT = 0.05

local plans, plan_count = {}, 0
local rates, places, budgets, shares

-- Credential -> kind of quota -> tokens of a request; credential -> when its answers were looked at last.
local costs, looked_at = {}, {}

local function fleet_store()
  return ngx.shared.causeway_fleet
end

local function place_of(slot)
  return fleet_places.place(slot, {
    fleet.key('nodes'),
    fleet.key('places', slot),
    fleet.key('wants', slot),
    fleet.key('wanted'),
  })
end

-- What each region enforces of a rate that is to hold over all of them.
local function share_of(consumer)
  local reservation = settings.reservations[consumer.id]
  return reservation and reservation.share or 1
end

local function build(consumer)
  local id, share = consumer.id, share_of(consumer)
  local plan = {
    consumer = consumer,
    id = id,
    rate = consumer.rate * share,
    burst = math.ceil(consumer.burst * share),
    requests = place_of(inflight.slot('requests', id)),
    streams = place_of(inflight.slot('streams', id)),
  }
  if plan.rate > 0 then
    plan.bucket = fleet_rate.plan(id, valkey.key('{' .. id .. '}', 'rate'), plan.rate, plan.burst)
  end
  if consumer.tokenBudget and next(consumer.tokenBudget) then
    plan.budget = token_budget.plan(id, valkey.key('{' .. id .. '}', 'tokens'), consumer.tokenBudget)
  end
  return plan
end

local function same_budget(one, other)
  one, other = one or {}, other or {}
  return one.inputPerMinute == other.inputPerMinute and one.outputPerMinute == other.outputPerMinute
end

--- What is known of a consumer's limits.
-- @tparam table consumer of the registry
-- @treturn table with `rate`, as it holds in this region
function M.plan(consumer)
  local plan = plans[consumer.id]
  if plan then
    local before = plan.consumer
    if before == consumer then
      return plan
    end
    if before.rate == consumer.rate and before.burst == consumer.burst
      and same_budget(before.tokenBudget, consumer.tokenBudget) then
      plan.consumer = consumer
      return plan
    end
  elseif plan_count >= MAX_PLANS then
    plans, plan_count = {}, 0
  end
  plan_count = plan_count + (plan and 0 or 1)
  plan = build(consumer)
  plans[consumer.id] = plan
  return plan
end

-- A node's part of a limit.
local function part(limit, nodes)
  return nodes == 1 and limit or math.max(math.min(1, limit), math.floor(limit / nodes))
end

--- Counts a request against its consumer's rate, which must not be 0.
-- @return as core/gcra
function M.take_rate(plan)
  if fleet.shared() then
    local allowed, remaining, reset_ms, retry_ms = rates:take(plan.bucket)
    if allowed ~= nil then
      return allowed, remaining, reset_ms, retry_ms
    end
  end
  local nodes = fleet.nodes()
  return gcra.check(ngx.shared.causeway_limits, plan.id, plan.rate / nodes, part(plan.burst, nodes), ngx.now() * 1000)
end

--- Takes one of a consumer's places. May wait.
-- @tparam table plan
-- @tparam string kind `requests` or `streams`
-- @tparam number limit how many there are
-- @treturn string|nil the slot in which the place is, which is left by `inflight.leave`; nil where there was none
function M.take_place(plan, kind, limit)
  local place = plan[kind]
  if fleet.shared() then
    local taken = places:take(place, limit)
    if taken ~= nil then
      return taken and place.slot or nil
    end
  end
  return inflight.take(place.slot, part(limit, fleet.nodes())) and place.slot or nil
end

--- What is left of a consumer's tokens of this minute. May wait.
-- @treturn table|nil as core/token_budget; nil where it has no budget
function M.check_budget(plan)
  return plan.budget and budgets:check(plan.budget, fleet.shared())
end

-- The name of the credential with which a request goes to its upstream, the first of its route class at first. In
-- passthrough it is the client's own, of which nothing is shared out.
local function credential_of(request)
  if settings.auth.mode ~= 'keys' then
    return nil
  end
  local upstream = settings.upstream_by_id[request.upstream]
  -- As phase/attempt has it: a consumer's own credential is one of the first upstream's.
  local own = upstream == settings.upstreams[1] and request.consumer.upstreamCredential
  return own or upstream.credential
end

--- Counts a request against its consumer's part of a quota that is running low.
-- @treturn boolean|nil whether it may pass; nil where nothing is scarce
-- @return as core/gcra
function M.take_share(request)
  local credential = credential_of(request)
  if credential and shares:is_scarce(credential) then
    return shares:take(credential, request.consumer_id)
  end
end

local function average(credential, kind, tokens)
  local known = costs[credential]
  known[kind] = known[kind] and known[kind] + (tokens - known[kind]) * COST_WEIGHT or tokens
end

--- Whether what answers cost is held against a limit of the consumer's.
function M.has_budget(request)
  return request.consumer ~= nil and request.consumer.tokenBudget ~= nil
end

local function sync_budget(premature, budget)
  if not premature then
    budgets:sync(budget)
  end
end

--- Notes what an answer cost, once. What was read from the prompt cache is free, as it is of the API's own limits.
-- @tparam table request context
-- @tparam table usage of core/usage
function M.count_usage(request, usage)
  local consumer = request.consumer
  if not consumer or not usage.input or request.usage_counted then
    return
  end
  request.usage_counted = true
  local input = usage.input + usage.cache_write_5m + usage.cache_write_1h
  local credential = credential_of(request)
  if credential then
    costs[credential] = costs[credential] or {}
    average(credential, 'input-tokens', input)
    average(credential, 'output-tokens', usage.output)
    average(credential, 'tokens', input + usage.output)
  end
  local budget = consumer.tokenBudget and M.plan(consumer).budget
  if budget and budgets:count(budget, input, usage.output) and fleet.shared() then
    -- This phase cannot wait; where the timer is not to be had, the next tick tells it.
    ngx.timer.at(0, sync_budget, budget)
  end
end

local HEADERS = {}
for _, kind in ipairs(fair_share.KINDS) do
  HEADERS[kind] = {}
  for _, member in ipairs({ 'limit', 'remaining', 'reset' }) do
    HEADERS[kind][member] = 'upstream_http_anthropic_ratelimit_' .. kind:gsub('-', '_') .. '_' .. member
  end
end

local function announced(kind, member)
  return ngx.var[HEADERS[kind][member]]
end

--- Looks at what an answer's head announces of the upstream's quota.
function M.read_announcement(request)
  local credential = settings.quota.scarce_share > 0 and request.consumer and credential_of(request)
  local now = ngx.now()
  if not credential or now * 1000 - (looked_at[credential] or 0) < ANNOUNCED_MS then
    return
  end
  looked_at[credential] = now * 1000
  local least, scarce = fair_share.read(announced, settings.quota.scarce_share, settings.quota.max_seconds, now)
  if least then
    local store, key = ngx.shared.causeway_fairness, 'left ' .. request.upstream
    store:set(key, math.min(least, store:get(key) or 1), settings.gauge_seconds * 2)
  end
  if scarce then
    shares:announce(credential, fair_share.requests(scarce.per_second, costs[credential] or {}), scarce.seconds)
  end
end

--- For the gauges: the smallest part of its quota that an upstream's answers said was left, since the last time.
-- @treturn number|nil 0 to 1
function M.quota_left(upstream)
  local store, key = ngx.shared.causeway_fairness, 'left ' .. upstream
  local least = store:get(key)
  store:delete(key)
  return least
end

local function wanted(slots)
  local list = {}
  for index, slot in ipairs(slots) do
    list[index] = place_of(slot)
  end
  places:hand_over(list)
end

-- Slots of which this node has a reservation.
local function reserved()
  local list = {}
  for _, key in ipairs(fleet_store():get_keys(0)) do
    local slot = key:match('^reserved:(.+)$')
    if slot then
      list[#list + 1] = place_of(slot)
    end
  end
  return list
end

local function rejoin()
  local list, known = reserved(), {}
  for _, place in ipairs(list) do
    known[place.slot] = true
  end
  for _, slot in ipairs(inflight.slots()) do
    if not known[slot] then
      list[#list + 1] = place_of(slot)
    end
  end
  return places:rejoin(list)
end

local function tick(is_shared)
  shares:tick()
  if is_shared then
    rates:tick()
    places:tick()
    budgets:tick()
  end
end

local function reserved_rate(id)
  local reservation = settings.reservations[id]
  return reservation and reservation.rate * (reservation.share or 1) or 0
end

local function sleep(ms)
  ngx.sleep(ms / 1000)
end

--- Starts what each worker does.
function M.start()
  local store = fleet_store()
  rates = fleet_rate.new({
    store = store,
    clock = clock.monotonic_ms,
    sleep = sleep,
    call = fleet.call,
    nodes = fleet.nodes,
  })
  places = fleet_places.new({
    store = store,
    count = { enter = inflight.enter, leave = inflight.leave, get = inflight.count },
    clock = clock.monotonic_ms,
    sleep = sleep,
    call = fleet.call,
    node = fleet.name,
    nodes = fleet.nodes,
    lost = fleet.lost,
  })
  budgets = token_budget.new({
    store = store,
    now = fleet.now_ms,
    set_now = fleet.set_now_ms,
    call = fleet.call,
    node = fleet.name,
    nodes = fleet.nodes,
  })
  shares = fair_share.new({
    store = ngx.shared.causeway_fairness,
    now_ms = function()
      return ngx.now() * 1000
    end,
    nodes = fleet.nodes,
    reserved = reserved_rate,
  })
  places:adopt(reserved())
  fleet.start({ tick = tick, wanted = wanted, rejoin = rejoin })
end

return M
