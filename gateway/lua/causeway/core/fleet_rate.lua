--- The rate of a consumer over all nodes of a region: one leaky bucket (GCRA) in Valkey, of which nodes lease tokens.
--
-- How: as in core/gcra the bucket is its theoretical arrival time (TAT). Each token is a slot of T = 1 / rate in
-- virtual time, and a slot may be used once `now` is within the burst of it. A lease is a run of slots that no other
-- node gets, so whatever nodes do with theirs, the bucket as a whole is never exceeded. Valkey's clock alone counts.
--   - A slow consumer asks for each request: every decision is exact.
--   - A fast one asks for a few slots at a time, as many as its node has used lately within LEASE_MS, but of what
--     the bucket holds at most a part, so that all nodes together leave half of it.
--   - Where the bucket is empty, a node that has refused requests is given slots of the time to come, one lease after
--     the other over all nodes. Until the next of its slots is due it refuses by itself. So an overrun costs one round
--     trip a lease, not one a refusal.
--   - Slots that a node does not use within IDLE_MS go back, or are forgotten with it.
--
-- Units: milliseconds in a node (any monotonic clock), microseconds in Valkey; rates per second.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `set`, `add`, `delete` and `incr`.

local scripts = require 'causeway.core.fleet_scripts'

local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min

local M = {}
local Rate = {}
Rate.__index = Rate

--- Consumers below this many requests a second ask for each one.
M.EXACT_BELOW = 10
-- A lease holds what a node uses within this time; within twice that where it has refused requests, for it then waits
-- for the leases of others in between.
local LEASE_MS = 300
-- Fewer than this would not be worth their round trip, unless they are more than half a second's.
local LEAST_SLOTS = 6
-- Slots that have lain idle for this long go back.
local IDLE_MS = 1000
-- While another request of the node asks, the others look so often whether there is something for them.
local LOOKS, LOOK_MS = 5, 1
-- A worker that dies while it asks must not keep the others from asking for long.
local LOCK_SECONDS = 1
local ASKED_SECONDS, REFUSED_SECONDS = 10, 10

--- What is known of a consumer's rate beforehand.
-- @tparam string id the consumer's
-- @tparam string bucket Valkey's key
-- @tparam number rate requests a second
-- @tparam number burst requests beyond the first that may come at once
function M.plan(id, bucket, rate, burst)
  local step = 1000 / rate
  return {
    step = step,
    tolerance = burst * step,
    leased = rate >= M.EXACT_BELOW,
    most = max(ceil(rate * LEASE_MS / 1000), min(LEAST_SLOTS, ceil(rate * LEASE_MS / 500))),
    bucket = { bucket },
    -- The next slot of the node's lease, and its end.
    slot_key = 'slot:' .. id,
    end_key = 'end:' .. id,
    -- Until when Valkey has nothing for this consumer.
    empty_key = 'empty:' .. id,
    lock_key = 'asking:' .. id,
    -- When slots were asked for and how many came; how many requests were refused since.
    asked_key = 'asked:' .. id,
    refused_key = 'refused:' .. id,
  }
end

--- @tparam table options
-- @tparam table options.store what the workers of the node share
-- @tparam function options.clock monotonic ms
-- @tparam function options.sleep ms
-- @tparam function options.call (script, keys, args) -> reply | nil, why
-- @tparam function options.nodes how many there are
function M.new(options)
  return setmetatable({
    store = options.store,
    clock = options.clock,
    sleep = options.sleep,
    call = options.call,
    nodes = options.nodes,
    -- Leases that this worker asked for: slot key -> { plan, slot, since }
    held = {},
  }, Rate)
end

-- How many slots to ask for, and whether those of the time to come are welcome.
function Rate:size(plan, now)
  local asked = self.store:get(plan.asked_key)
  local refused = self.store:get(plan.refused_key) or 0
  if not asked then
    return 1, refused > 0
  end
  local at, count = asked:match('^(%S+) (%S+)$')
  count = tonumber(count)
  local per_ms = (count + refused) / max(now - tonumber(at), 1)
  if refused > 0 then
    return max(1, min(ceil(per_ms * LEASE_MS * 2), plan.most)), true
  end
  -- Two requests in one millisecond are no thousand a second: leases grow step by step.
  return max(1, min(ceil(per_ms * LEASE_MS), plan.most, 2 * count + 2)), false
end

function Rate:keep(plan, first, count)
  local store = self.store
  local ends = first + count * plan.step
  local seconds = (max(ends - self.clock(), 0) + IDLE_MS + 500) / 1000
  store:set(plan.slot_key, first, seconds)
  store:set(plan.end_key, ends, seconds)
  self.held[plan.slot_key] = { plan = plan, slot = first, since = self.clock() }
end

-- The reply to a request that asked Valkey.
function Rate:answer(plan, leasing, granted, due, ahead)
  local store = self.store
  local now = self.clock()
  if granted > 0 and due <= 0 then
    if granted > 1 then
      self:keep(plan, now + due + plan.step, granted - 1)
    end
    return true
  end
  if granted > 0 then
    self:keep(plan, now + due, granted)
  else
    store:set(plan.empty_key, now + due, max(due, 1) / 1000)
  end
  if leasing then
    store:incr(plan.refused_key, 1, 0, REFUSED_SECONDS)
  end
  return false, 0, ahead, due
end

-- Asks Valkey: for a lease where this request was the first to, else for itself alone.
function Rate:ask(plan, now, leasing)
  local store = self.store
  local want, ahead_too = 1, false
  if leasing then
    want, ahead_too = self:size(plan, now)
  end
  local reply, why = self.call(scripts.TAKE, plan.bucket, {
    ('%.3f'):format(plan.step * 1000),
    ('%.3f'):format(plan.tolerance * 1000),
    want,
    ahead_too and 1 or 0,
    self.nodes(),
  })
  if not reply then
    if leasing then
      store:delete(plan.lock_key)
    end
    return nil, why
  end
  local granted = reply[1]
  if leasing then
    store:set(plan.asked_key, now .. ' ' .. granted, ASKED_SECONDS)
    store:delete(plan.refused_key)
  end
  local allowed, remaining, reset, retry = self:answer(plan, leasing, granted, reply[2] / 1000, reply[3] / 1000)
  if leasing then
    store:delete(plan.lock_key)
  end
  return allowed, remaining, reset, retry
end

-- Uses a slot of the node's lease.
-- @treturn boolean|nil whether one was due; nil where there is none
-- @return as `take`
function Rate:use(plan, now)
  local store, step = self.store, plan.step
  local after = store:incr(plan.slot_key, step)
  if not after then
    return nil
  end
  local ends = store:get(plan.end_key)
  -- Half a slot: what adding up fractions costs.
  local is_left = ends and after <= ends + step / 2
  if is_left and after - step <= now then
    return true
  end
  store:incr(plan.slot_key, -step)
  if is_left then
    store:incr(plan.refused_key, 1, 0, REFUSED_SECONDS)
    return false, 0, ends + plan.tolerance - now, after - step - now
  end
  return nil
end

-- A consumer that leases, and whose node has no slot left.
function Rate:lease(plan, now)
  local store = self.store
  for _ = 1, LOOKS do
    -- One worker leases for the node.
    if store:add(plan.lock_key, true, LOCK_SECONDS) then
      return self:ask(plan, now, true)
    elseif store:get(plan.refused_key) then
      -- The bucket is empty, and somebody asks already.
      store:incr(plan.refused_key, 1)
      return false, 0, plan.tolerance + plan.step, plan.step
    end
    self.sleep(LOOK_MS)
    now = self.clock()
    local allowed, remaining, reset, retry = self:use(plan, now)
    if allowed ~= nil then
      return allowed, remaining, reset, retry
    end
  end
  return self:ask(plan, now, false)
end

--- Counts one request.
-- @tparam table plan of `M.plan`
-- @treturn boolean|nil whether it may pass; nil where Valkey did not say
-- @return remaining, reset_ms, retry_after_ms as core/gcra gives them, where it may not; or why Valkey did not say
function Rate:take(plan)
  local store, now = self.store, self.clock()
  if plan.leased then
    local allowed, remaining, reset, retry = self:use(plan, now)
    if allowed ~= nil then
      return allowed, remaining, reset, retry
    end
  end
  local untill = store:get(plan.empty_key)
  if untill and untill > now then
    if plan.leased then
      store:incr(plan.refused_key, 1, 0, REFUSED_SECONDS)
    end
    -- A slot is due once all that stands before it is within the burst.
    return false, 0, untill - now + plan.tolerance, untill - now
  end
  if plan.leased then
    return self:lease(plan, now)
  end
  return self:ask(plan, now, false)
end

-- Takes what is left of a lease out of the node's hands.
function Rate:withdraw(plan)
  local store, step = self.store, plan.step
  local slot, ends = store:get(plan.slot_key), store:get(plan.end_key)
  local count = slot and ends and floor((ends - slot) / step + 0.5) or 0
  if count < 1 then
    return 0
  end
  local after = store:incr(plan.slot_key, count * step)
  if not after or after > ends + step / 2 then
    -- Somebody was quicker: it is not idle after all.
    if after then
      store:incr(plan.slot_key, -count * step)
    end
    return 0
  end
  return count
end

--- Gives back what lies idle of leases that this worker asked for. To be called several times a second.
function Rate:tick()
  local idle = {}
  local now = self.clock()
  for key, lease in pairs(self.held) do
    local slot = self.store:get(key)
    if not slot then
      self.held[key] = nil
    elseif slot ~= lease.slot or slot > now then
      lease.slot, lease.since = slot, now
    elseif now - lease.since >= IDLE_MS then
      self.held[key] = nil
      idle[#idle + 1] = lease.plan
    end
  end
  -- Apart from the walk: requests go on while this waits for Valkey.
  for _, plan in ipairs(idle) do
    local count = self:withdraw(plan)
    if count > 0 then
      -- Where that fails, the bucket empties all the same as time goes by.
      self.call(scripts.GIVE_BACK, plan.bucket, { ('%.3f'):format(count * plan.step * 1000) })
    end
  end
end

return M
