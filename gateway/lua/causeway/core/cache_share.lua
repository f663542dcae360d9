--- Who may take how much of the node's memory for copies, so that a consumer that writes without end evicts its own
-- copies and nobody else's.
--
-- The rules: a consumer holds at most its share of the memory; what comes on top evicts its own oldest. Where all of
-- them together hold more than there is, the one that holds most gives up its oldest. It holds at least an equal part:
-- whoever holds less than that loses nothing to others. Nothing else evicts.
--
-- Units: bytes; epoch ms and seconds where said. Shapes: a place is that of core/cache.

local ledgers = require('causeway.core.cache_ledger')
local pieces = require('causeway.core.cache_pieces')

local M = {}
local Share = {}
Share.__index = Share

-- Of the memory, what may be charged: the rest is for the slab itself, pages that are half taken, and the old pieces of
-- a copy that is being replaced.
local USABLE = 0.95
local NAMES_MS = 1000
-- What one call may do at most: no store holds up a worker for longer than some milliseconds.
local MAX_EVICTIONS, MAX_TRIES = 4096, 16

--- The node's memory for copies.
-- @tparam table parts
--   { values, index, shares (dictionaries of core/cache_ledger), node_bytes = size of `values`,
--     max_consumer_share = 0–1, clock = function() -> epoch ms }
function M.new(parts)
  local limit = parts.node_bytes * USABLE
  return setmetatable({
    --- Who holds what.
    ledger = ledgers.new(parts),
    values = parts.values,
    clock = parts.clock,
    limit = limit,
    per_consumer = limit * parts.max_consumer_share,
    names = {},
    names_until = -math.huge,
  }, Share)
end

-- All consumers with an account, as of a second ago.
function Share:known_consumers()
  local now = self.clock()
  if now >= self.names_until or now < self.names_until - NAMES_MS then
    self.names, self.names_until = self.ledger:consumers(), now + NAMES_MS
  end
  return self.names
end

-- The consumer that holds most, and what the next one holds.
function Share:biggest(writer)
  local ledger = self.ledger
  local biggest, most, second = writer, ledger:held(writer), 0
  for _, name in ipairs(self:known_consumers()) do
    local held = name ~= writer and ledger:held(name) or 0
    if held > most then
      biggest, most, second = name, held, most
    elseif held > second then
      second = held
    end
  end
  return biggest, second
end

-- Evicts a consumer's oldest until `enough()`. Returns whether it came to that, and the evictions that are left.
function Share:shrink(consumer, but, left, enough)
  while not enough() do
    if left == 0 or not self.ledger:evict_oldest(consumer, but) then
      return false, left
    end
    left = left - 1
  end
  return true, left
end

-- Charges a consumer with so much more, and evicts what must go for it. Where that is not enough, nothing is charged.
function Share:make_room(place, more)
  local consumer, ledger = place.consumer, self.ledger
  local charged, problem = ledger:charge(consumer, more)
  if not charged then
    return nil, problem
  end
  local fits, left = self:shrink(consumer, place.key, MAX_EVICTIONS, function()
    return ledger:held(consumer) <= self.per_consumer
  end)
  while fits and ledger:held() > self.limit do
    local victim, second = self:biggest(consumer)
    fits, left = self:shrink(victim, place.key, left, function()
      return ledger:held() <= self.limit or ledger:held(victim) < second
    end)
  end
  if not fits then
    ledger:release(consumer, more)
    return nil, 'share_full'
  end
  return true
end

-- Writes the bytes. Where there is no room after all, the writer's own copies make way; never others', who may hold
-- less than their share.
function Share:write(place, bytes, stamp, entered_ms, ttl_seconds)
  for _ = 1, MAX_TRIES do
    local count, problem = pieces.write(self.values, place.key, bytes, stamp, entered_ms / 1000, ttl_seconds)
    if count then
      return count
    elseif problem ~= 'no memory' or not self.ledger:evict_oldest(place.consumer, place.key) then
      return nil, problem
    end
  end
  return nil, 'no memory'
end

function Share:set_locked(place, bytes, entered_ms, ttl_seconds, size)
  local ledger, key = self.ledger, place.key
  local charge, old_stamp, old_count, in_line = ledger:charge_of(key)
  local stamp, problem = ledger:next_stamp()
  local ok = stamp
  if ok then
    ok, problem = self:make_room(place, size - charge)
  end
  if not ok then
    return nil, problem
  end
  local count
  count, problem = self:write(place, bytes, stamp, entered_ms, ttl_seconds)
  pieces.erase(self.values, nil, old_stamp, old_count)
  ok = count ~= nil
  if ok then
    local copy = { charge = size, stamp = stamp, count = count, ttl_seconds = ttl_seconds, in_line = in_line }
    ok, problem = ledger:note(place, copy)
  end
  if not ok then
    -- What was there before is gone as well: the dictionary may have dropped it before it found no room.
    pieces.erase(self.values, key, stamp, count or 0)
    ledger:void(key, in_line, ttl_seconds)
    ledger:release(place.consumer, size)
    return nil, problem
  end
  return true
end

--- Keeps a copy.
-- @tparam table place
-- @tparam string bytes
-- @tparam number entered_ms when it came in; kept in whole seconds, rounded down
-- @tparam number ttl_seconds how long it is kept
-- @treturn ?boolean true; nil where it is not kept
-- @treturn ?string why: `too_large` for a share, `busy` (another worker keeps this very one), `share_full`, or what the
--   dictionary says
function Share:set(place, bytes, entered_ms, ttl_seconds)
  local size = pieces.charge(#bytes)
  if size > self.per_consumer then
    return nil, 'too_large'
  end
  local locked, problem = self.ledger:lock(place.key)
  if not locked then
    return nil, problem == 'exists' and 'busy' or problem
  end
  local ok
  ok, problem = self:set_locked(place, bytes, entered_ms, ttl_seconds, size)
  self.ledger:unlock(place.key)
  return ok, problem
end

--- The copy of a key.
-- @tparam string key
-- @treturn ?string bytes
-- @treturn ?number when they came in, epoch ms
function Share:get(key)
  local bytes, entered_seconds = pieces.read(self.values, key)
  return bytes, entered_seconds and entered_seconds * 1000
end

--- What is held: by all, or by one consumer.
-- @tparam ?string consumer id
-- @treturn number bytes
function Share:held(consumer)
  return self.ledger:held(consumer)
end

return M
