--- What each copy in the node's memory is charged with, whose it is, and in which order a consumer's copies came.
--
-- How: three dictionaries that all workers of the node share.
--   values  the copies, as core/cache_pieces writes them
--   index   n<key> -> what the copy is charged with, its stamp and the number of its pieces; q<consumer> -> list of its
--           copies in the order in which they came; l<key> -> taken while a worker changes a copy, so that charge and
--           copy change together; `s` -> the last stamp
--   shares  consumer -> what it is charged with in all, `#total` -> all consumers
-- Workers meet only in operations that the dictionary makes atomic. A copy that is replaced keeps its place in the
-- list and is passed over once when its turn comes. A worker that is killed within these few microseconds leaves its
-- charge behind until core/cache_sweep finds the consumer with nothing else. No operation evicts: the dictionary's own
-- way, least recently used first whosever it is, is never let begin (safe_set, safe_add).
--
-- Units: bytes; seconds where said. Shapes: a place is that of core/cache; a dictionary is an `ngx.shared` one.

local pieces = require('causeway.core.cache_pieces')

local floor = math.floor
local max = math.max

local M = {}
local Ledger = {}
Ledger.__index = Ledger

-- As much of a key as tells it in the index, so that its entry takes 128 bytes and not 256. Still 128 bits.
local INDEX_DIGITS = 32
local LOCK_SECONDS = 10
-- How much longer a charge is kept than its copy: until it is swept.
local MARGIN_SECONDS = 3600
-- Replaced copies that one eviction passes over at most.
local MAX_PASSED_OVER = 16
local TOTAL = '#total'

--- The ledger of a node.
-- @tparam table parts { values, index, shares, clock = function() -> epoch ms }
function M.new(parts)
  return setmetatable({
    values = parts.values,
    index = parts.index,
    shares = parts.shares,
    clock = parts.clock,
  }, Ledger)
end

-- A short word for an epoch. Two that share one, once in four thousand million, leave a copy behind for later.
local function tag_of(epoch)
  local hash = 5381
  for index = 1, #epoch do
    hash = (hash * 33 + epoch:byte(index)) % 4294967296
  end
  return ('%08x'):format(hash)
end

local function charge_key(key)
  return 'n' .. key:sub(1, INDEX_DIGITS)
end

local function lock_key(key)
  return 'l' .. key:sub(1, INDEX_DIGITS)
end

local function queue_key(consumer)
  return 'q' .. consumer
end

local function record_of(key, expires_seconds, tag)
  return ('%s %d %s'):format(key, expires_seconds, tag)
end

local function read_record(record)
  local key, expires, tag = record:match('^(%S+) (%d+) (%x+)$')
  return key, tonumber(expires), tag
end

--- Takes a copy for this worker alone.
-- @treturn boolean
-- @treturn ?string why not: `exists` where another worker has it
function Ledger:lock(key)
  return self.index:safe_add(lock_key(key), true, LOCK_SECONDS)
end

--- Lets go of it.
function Ledger:unlock(key)
  self.index:delete(lock_key(key))
end

-- Adds to a count; nil where there is no room for one.
function Ledger:add(name, bytes)
  local shares = self.shares
  local count, problem = shares:incr(name, bytes)
  while not count do
    if problem ~= 'not found' then
      return nil, problem
    end
    local added
    added, problem = shares:safe_add(name, bytes)
    if added then
      return bytes
    elseif problem ~= 'exists' then
      return nil, problem
    end
    count, problem = shares:incr(name, bytes)
  end
  if count == bytes then
    -- It was empty, and perhaps about to be forgotten.
    shares:expire(name, 0)
  end
  return count
end

--- Charges a consumer.
-- @treturn ?boolean true; nil where there is no room for its account
-- @treturn ?string why
function Ledger:charge(consumer, bytes)
  local count, problem = self:add(consumer, bytes)
  if not count then
    return nil, problem
  end
  count, problem = self:add(TOTAL, bytes)
  if not count then
    self:add(consumer, -bytes)
    return nil, problem
  end
  return true
end

--- Gives back what it was charged with.
function Ledger:release(consumer, bytes)
  if bytes ~= 0 then
    self:add(consumer, -bytes)
    self:add(TOTAL, -bytes)
  end
end

--- What is held: by all, or by one consumer.
-- @tparam ?string consumer id
-- @treturn number bytes
function Ledger:held(consumer)
  return max(0, self.shares:get(consumer or TOTAL) or 0)
end

--- All consumers with an account. Looking them up holds the dictionary for all workers.
function Ledger:consumers()
  local names = {}
  for _, name in ipairs(self.shares:get_keys(0)) do
    if name ~= TOTAL then
      names[#names + 1] = name
    end
  end
  return names
end

--- Forgets an empty account after some seconds, unless somebody comes.
function Ledger:forget(consumer, seconds)
  local shares = self.shares
  shares:expire(consumer, seconds)
  if (shares:get(consumer) or 0) ~= 0 then
    shares:expire(consumer, 0)
  end
end

--- A stamp that no copy has had.
-- @treturn ?number
-- @treturn ?string why there is none
function Ledger:next_stamp()
  return self.index:incr('s', 1, 0)
end

--- What a copy is charged with, its stamp, the number of its further pieces (zeros where there is none), and whether
-- its key stands in line.
function Ledger:charge_of(key)
  local account = self.index:get(charge_key(key))
  local charge, stamp, count = (account or ''):match('^(%d+) (%d+) (%d+)$')
  return tonumber(charge) or 0, tonumber(stamp) or 0, tonumber(count) or 0, account ~= nil
end

--- Notes a copy that was written, under its lock.
-- @tparam table place
-- @tparam table copy { charge, stamp, count, ttl_seconds, in_line = whether its key stands in line }
-- @treturn ?boolean true; nil where there is no room to note it
-- @treturn ?string why
function Ledger:note(place, copy)
  local account = ('%d %d %d'):format(copy.charge, copy.stamp, copy.count)
  local ok, problem = self.index:safe_set(charge_key(place.key), account, copy.ttl_seconds + MARGIN_SECONDS)
  if ok and not copy.in_line then
    local expires = floor(self.clock() / 1000 + copy.ttl_seconds)
    ok, problem = self.index:rpush(queue_key(place.consumer), record_of(place.key, expires, tag_of(place.epoch)))
  end
  return ok, problem
end

--- Unnotes a copy that could not be kept, under its lock. Its charge is the caller's to give back. A key that stands
-- in line stays noted, with nothing: it would come to stand there twice otherwise.
-- @tparam string key
-- @tparam boolean in_line whether it stands in line
-- @tparam number ttl_seconds of the copy
function Ledger:void(key, in_line, ttl_seconds)
  self.index:delete(charge_key(key))
  if in_line then
    self.index:safe_set(charge_key(key), '0 0 0', ttl_seconds + MARGIN_SECONDS)
  end
end

--- Drops a copy, under its lock.
-- @treturn number bytes that its consumer was given back
function Ledger:drop(key, consumer)
  local charge, stamp, count = self:charge_of(key)
  pieces.erase(self.values, key, stamp, count)
  self.index:delete(charge_key(key))
  self:release(consumer, charge)
  return charge
end

-- When a copy that is there expires, in epoch seconds; 0 where there is none.
function Ledger:expires_at(key)
  local left = self.values:ttl(key)
  return left and left > 0 and floor(self.clock() / 1000 + left) or 0
end

-- Drops the copy of a record, under its lock, or puts it to the end of its line if it was replaced since it came to
-- stand here: it is younger than its place says. Returns what was given back, or nil where it was put back.
function Ledger:take_turn(consumer, record, may_pass)
  local key, expires, tag = read_record(record)
  local now_expires = may_pass and self:expires_at(key) or 0
  if now_expires > expires + 1 and self:charge_of(key) > 0 then
    self.index:rpush(queue_key(consumer), record_of(key, now_expires, tag))
    return nil
  end
  return self:drop(key, consumer)
end

--- Evicts a consumer's oldest copy.
-- @tparam string consumer id
-- @tparam string but key of one that is not to go
-- @treturn boolean whether there was one
function Ledger:evict_oldest(consumer, but)
  local index, queue, passed_over = self.index, queue_key(consumer), 0
  for _ = 0, index:llen(queue) or 0 do
    local record = index:lpop(queue)
    if not record then
      return false
    end
    local key = read_record(record)
    if key == but or not self:lock(key) then
      index:rpush(queue, record)
    else
      local freed = self:take_turn(consumer, record, passed_over < MAX_PASSED_OVER)
      self:unlock(key)
      if not freed then
        passed_over = passed_over + 1
      elseif freed > 0 then
        return true
      end
    end
  end
  return false
end

--- How many copies of a consumer stand in line.
function Ledger:copies(consumer)
  return self.index:llen(queue_key(consumer)) or 0
end

--- Drops the copy that stands first in a consumer's line if it has expired, or is from before a purge. One that was
-- replaced since it came to stand here goes to the end: those behind it would wait for as long as it is kept alive.
-- @tparam string consumer id
-- @tparam ?string epoch its current one; nil where it is not known
-- @treturn boolean whether another one may stand first now
function Ledger:drop_leftover(consumer, epoch)
  local index, queue = self.index, queue_key(consumer)
  local record = index:lpop(queue)
  if not record then
    return false
  end
  local key, expires, tag = read_record(record)
  if not self:lock(key) then
    index:lpush(queue, record)
    return false
  end
  local now_expires, moved = self:expires_at(key), true
  if epoch ~= nil and tag_of(epoch) ~= tag or now_expires == 0 then
    self:drop(key, consumer)
  elseif now_expires > expires + 1 and self:charge_of(key) > 0 then
    index:rpush(queue, record_of(key, now_expires, tag))
  else
    index:lpush(queue, record)
    moved = false
  end
  self:unlock(key)
  return moved
end

return M
