--- Who gets what is left of an upstream's quota when it runs low: consumers their guaranteed rates first, the others
-- equal parts of the rest, instead of first come first served.
--
-- How: the upstream's answers say how much of the credential's quota is left and when it is whole again. While a share
-- of it that the operator chose is undercut, requests with this credential pass by a leaky bucket for each consumer,
-- whose rates add up to the rate that was announced. A quota of tokens counts as so many requests as a request costs on
-- the average. Nodes split the announced rate evenly. Rates follow what consumers ask for: what one does not need, the
-- others get.
--
-- Units: requests a second; `ms` in names. Shapes: the store is an `ngx.shared` dictionary of its own.

local gcra = require 'causeway.core.gcra'
local timestamp = require 'causeway.core.timestamp'

local ceil, max, min = math.ceil, math.max, math.min

local M = {}
local Shares = {}
Shares.__index = Shares

--- The kinds of quota that an answer may announce.
M.KINDS = { 'requests', 'tokens', 'input-tokens', 'output-tokens' }
-- Where no answer has told yet what a request costs.
local TOKENS_EACH = 1000
-- Where the answer does not say when the quota is whole again.
local UNKNOWN_SECONDS = 10
-- Between two looks at who asks for how much; who has not asked for this long does not count.
local LOOK_SECONDS, ACTIVE_SECONDS = 0.5, 10
-- What a consumer may ask for beyond what it asked for lately.
local GROWTH, MORE = 1.25, 0.5
-- What may come at once: little, for who comes first must not have it all before others are known.
local BURST_SECONDS = 0.5
local ENOUGH = 1e-9

--- Reads what an answer announces.
-- @tparam function header (kind, `limit` | `remaining` | `reset`) -> text or nil
-- @tparam number scarce_share below which part of the limit a quota counts as scarce
-- @tparam number max_seconds the longest that it then does
-- @tparam number now seconds since 1970
-- @treturn number|nil the smallest part that is left of any kind, 0 to 1; nil where nothing is announced
-- @treturn table|nil of what is scarce: `seconds`, until it is not; `per_second`, kind -> what is announced
function M.read(header, scarce_share, max_seconds, now)
  local least, scarce
  for _, kind in ipairs(M.KINDS) do
    local limit, remaining = tonumber(header(kind, 'limit')), tonumber(header(kind, 'remaining'))
    if limit and remaining and limit > 0 then
      local part = max(0, min(remaining / limit, 1))
      least = min(least or 1, part)
      if part < scarce_share then
        local reset = timestamp.parse(header(kind, 'reset'))
        local seconds = max(1, min(reset and reset - now or UNKNOWN_SECONDS, max_seconds))
        scarce = scarce or { seconds = 0, per_second = {} }
        scarce.seconds = max(scarce.seconds, seconds)
        scarce.per_second[kind] = limit / 60
      end
    end
  end
  return least, scarce
end

--- How many requests a second an announced quota is good for.
-- @tparam table per_second of `M.read`
-- @tparam table costs kind -> tokens that a request costs on the average
function M.requests(per_second, costs)
  local least = math.huge
  for kind, rate in pairs(per_second) do
    least = min(least, kind == 'requests' and rate or rate / max(1, costs[kind] or TOKENS_EACH))
  end
  return least
end

-- Gives of `total` to each its weight's part, but no more than it has room for. What is left is returned.
local function fill(total, list, weight_of, room_of, rates)
  local open = {}
  for _, each in ipairs(list) do
    if weight_of(each) > 0 and room_of(each) > rates[each.id] then
      open[#open + 1] = each
    end
  end
  while total > ENOUGH and #open > 0 do
    local weights = 0
    for _, each in ipairs(open) do
      weights = weights + weight_of(each)
    end
    local part, still, before = total / weights, {}, total
    for _, each in ipairs(open) do
      local room = room_of(each) - rates[each.id]
      if room <= part * weight_of(each) then
        rates[each.id] = rates[each.id] + room
        total = total - room
      else
        still[#still + 1] = each
      end
    end
    if total == before then
      for _, each in ipairs(open) do
        rates[each.id] = rates[each.id] + part * weight_of(each)
      end
      return 0
    end
    open = still
  end
  return total
end

--- Splits a rate among consumers.
-- @tparam number total
-- @tparam {table,...} consumers `id`, `asks` (what it asks for), `reserved` (what it is guaranteed; 0 if nothing)
-- @treturn table id -> rate; together they are the total
function M.split(total, consumers)
  local rates = {}
  for _, each in ipairs(consumers) do
    rates[each.id] = 0
  end
  local function asked(each)
    return each.asks * GROWTH + MORE
  end
  total = fill(total, consumers, function(each) return each.reserved end, function(each)
    return min(each.reserved, asked(each))
  end, rates)
  total = fill(total, consumers, function(each) return each.reserved > 0 and 0 or 1 end, asked, rates)
  total = fill(total, consumers, function() return 1 end, asked, rates)
  fill(total, consumers, function() return 1 end, function() return math.huge end, rates)
  return rates
end

--- @tparam table options
-- @tparam table options.store
-- @tparam function options.now_ms since 1970
-- @tparam function options.nodes how many there are
-- @tparam function options.reserved consumer's id -> guaranteed rate in this region, 0 if none
function M.new(options)
  return setmetatable({
    store = options.store,
    now_ms = options.now_ms,
    nodes = options.nodes,
    reserved = options.reserved,
    -- Credentials that this worker saw, and until when (ms since 1970) their quota is scarce, 0 if it is not.
    scarce_until = {},
  }, Shares)
end

local function scarce_key(credential)
  return 'scarce ' .. credential
end

--- Notes that a credential's quota is scarce.
-- @tparam string credential its name
-- @tparam number rate requests a second that it is good for
-- @tparam number seconds
function Shares:announce(credential, rate, seconds)
  local untill = self.now_ms() + seconds * 1000
  self.store:set(scarce_key(credential), untill .. ' ' .. rate, seconds)
  self.scarce_until[credential] = untill
end

--- Hears of what other workers noted. To be called several times a second.
function Shares:tick()
  for credential in pairs(self.scarce_until) do
    local noted = self.store:get(scarce_key(credential))
    self.scarce_until[credential] = noted and tonumber(noted:match('^%S+')) or 0
  end
end

--- Whether a credential's quota is scarce, as far as this worker knows.
function Shares:is_scarce(credential)
  local untill = self.scarce_until[credential]
  if not untill then
    self.scarce_until[credential] = 0
    self:tick()
    untill = self.scarce_until[credential]
  end
  return untill > 0 and untill > self.now_ms()
end

-- Looks at who asks for how much, and splits anew. Consumers' counts stand under `<credential> asks <id>`.
function Shares:split(credential, rate)
  local store, now = self.store, self.now_ms()
  local since = store:get('since ' .. credential) or now - LOOK_SECONDS * 1000
  local seconds = max((now - since) / 1000, 0.05)
  local prefix, consumers = credential .. ' asks ', {}
  for _, key in ipairs(store:get_keys(0)) do
    if key:sub(1, #prefix) == prefix then
      local id = key:sub(#prefix + 1)
      local count = store:get(key) or 0
      store:incr(key, -count)
      local before = store:get(credential .. ' asked ' .. id)
      local asks = count / seconds
      asks = before and (before + asks) / 2 or asks
      store:set(credential .. ' asked ' .. id, asks, ACTIVE_SECONDS)
      consumers[#consumers + 1] = { id = id, asks = asks, reserved = self.reserved(id) / self.nodes() }
    end
  end
  store:set('since ' .. credential, now, ACTIVE_SECONDS)
  for id, part in pairs(M.split(rate / self.nodes(), consumers)) do
    store:set(credential .. ' rate ' .. id, part, ACTIVE_SECONDS)
  end
end

--- Counts one request while a credential's quota is scarce.
-- @tparam string credential its name
-- @tparam string id the consumer's
-- @treturn boolean whether it may pass
-- @return remaining, reset_ms, retry_after_ms as core/gcra gives them
function Shares:take(credential, id)
  local store = self.store
  local noted = store:get(scarce_key(credential))
  local rate = noted and tonumber(noted:match('%S+$'))
  if not rate then
    return true
  end
  local asks_key, rate_key = credential .. ' asks ' .. id, credential .. ' rate ' .. id
  store:incr(asks_key, 1, 0, ACTIVE_SECONDS)
  store:expire(asks_key, ACTIVE_SECONDS)
  local part = store:get(rate_key)
  if store:add('look ' .. credential, true, LOOK_SECONDS) or not part then
    self:split(credential, rate)
    part = store:get(rate_key)
  end
  -- A rate of nothing would never let one pass again: one in ten seconds.
  part = max(part or rate / self.nodes(), 0.1)
  return gcra.check(store, credential .. ' bucket ' .. id, part, ceil(part * BURST_SECONDS), self.now_ms())
end

return M
