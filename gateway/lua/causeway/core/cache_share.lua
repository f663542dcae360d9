--- Who may take how much of the node's memory for copies, so that a consumer that writes without end evicts its own
-- copies and nobody else's.
--
-- The rules: a consumer holds at most its share of the memory; what comes on top evicts its own oldest. Where all of
-- them together hold more than there is, the one that holds most gives up its oldest. It holds at least an equal part:
-- whoever holds less than that loses nothing to others. Nothing else evicts: the dictionary's own way, least recently
-- used first whosever it is, is never let begin (safe_set, safe_add).
--
-- How: three dictionaries that all workers of the node share.
--   values  key -> bytes; the user flags say when they came in (epoch seconds)
--   index   n<key> -> what the copy is charged with; q<consumer> -> list of its copies in the order in which they came;
--           l<key> -> taken while a worker changes a copy, so that charge and copy change together
--   shares  consumer -> what it is charged with in all, `#total` -> all consumers
-- Workers meet only in operations that the dictionary makes atomic. A copy that is replaced keeps its place in the list
-- and is passed over once when its turn comes. A worker that is killed within these few microseconds leaves its charge
-- behind until core/cache_sweep finds the consumer with nothing else.
-- A charge is what the copy takes of nginx's slab: whole pages, or a power of two below half a page.
--
-- Units: bytes, seconds where said, else epoch ms. Shapes: a place is that of core/cache; a store is an `ngx.shared`
-- dictionary.

local floor = math.floor
local max = math.max

local M = {}
local Share = {}
Share.__index = Share

-- Of nginx's slab and http-lua's nodes (ngx_slab.c, ngx_http_lua_shdict.h, 64 bits).
local PAGE, NODE_BYTES = 4096, 68
-- Small copies are charged with this, so that their index (256 bytes each) fits beside any number of them.
local LEAST_CHARGE = 2048
-- Of the memory, what may be charged: the rest is the slab's own and what it cannot give for being scattered.
local USABLE = 0.9
-- As much of a key as tells it in the index, so that its entry takes 128 bytes and not 256. Still 160 bits.
local INDEX_DIGITS = 40
local LOCK_SECONDS = 10
-- How much longer a charge is kept than its copy: until it is swept.
local MARGIN_SECONDS = 3600
local NAMES_MS = 1000
-- What one call may do at most: no store holds up a worker for longer than some milliseconds.
local MAX_EVICTIONS, MAX_PASSED_OVER = 4096, 16
local TOTAL = '#total'

--- What a copy is charged with.
-- @tparam number key_bytes
-- @tparam number value_bytes
-- @treturn number bytes
function M.charge(key_bytes, value_bytes)
  local bytes = NODE_BYTES + key_bytes + value_bytes
  if bytes <= LEAST_CHARGE then
    return LEAST_CHARGE
  end
  return floor((bytes + PAGE - 1) / PAGE) * PAGE
end

--- The accounts of a node.
-- @tparam table parts
--   { values, index, shares, node_bytes, max_consumer_share = 0–1, clock = function() -> epoch ms }
function M.new(parts)
  local limit = parts.node_bytes * USABLE
  return setmetatable({
    values = parts.values,
    index = parts.index,
    shares = parts.shares,
    clock = parts.clock,
    limit = limit,
    --- What one consumer may hold.
    per_consumer = limit * parts.max_consumer_share,
    names = {},
    names_until = -math.huge,
  }, Share)
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

function Share:lock(key)
  return self.index:safe_add('l' .. key:sub(1, INDEX_DIGITS), true, LOCK_SECONDS)
end

function Share:unlock(key)
  self.index:delete('l' .. key:sub(1, INDEX_DIGITS))
end

-- Adds to a count and returns it; nil where there is no room for one.
function Share:add(name, bytes)
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

function Share:release(consumer, bytes)
  if bytes ~= 0 then
    self:add(consumer, -bytes)
    self:add(TOTAL, -bytes)
  end
end

-- Drops a copy whose key this worker has locked.
function Share:drop(key, consumer)
  local name = charge_key(key)
  local charged = self.index:get(name) or 0
  self.values:delete(key)
  self.index:delete(name)
  self:release(consumer, charged)
  return charged
end

-- When a copy that is there expires, in epoch seconds; 0 where there is none.
function Share:expires_at(key)
  local left = self.values:ttl(key)
  return left and left > 0 and floor(self.clock() / 1000 + left) or 0
end

-- Evicts the consumer's oldest copy but one. Returns what that gave back; nil where there is none to evict.
function Share:evict_oldest(consumer, but)
  local index, queue = self.index, queue_key(consumer)
  local passed_over, seen = 0, 0
  local most = index:llen(queue) or 0
  while seen <= most do
    local record = index:lpop(queue)
    if not record then
      return nil
    end
    seen = seen + 1
    local key, expires, tag = read_record(record)
    if key == but or not self:lock(key) then
      index:rpush(queue, record)
    else
      local now_expires = passed_over < MAX_PASSED_OVER and self:expires_at(key) or 0
      if now_expires > expires + 1 and index:get(charge_key(key)) then
        -- Replaced since it came to stand here: it is younger than its place says.
        passed_over = passed_over + 1
        index:rpush(queue, record_of(key, now_expires, tag))
        self:unlock(key)
      else
        local freed = self:drop(key, consumer)
        self:unlock(key)
        if freed > 0 then
          return freed
        end
      end
    end
  end
  return nil
end

--- All consumers with an account.
function Share:consumers()
  local names = {}
  for _, name in ipairs(self.shares:get_keys(0)) do
    if name ~= TOTAL then
      names[#names + 1] = name
    end
  end
  return names
end

-- The same as of a second ago: looking them up locks the dictionary.
function Share:known_consumers()
  local now = self.clock()
  if now >= self.names_until or now < self.names_until - NAMES_MS then
    self.names, self.names_until = self:consumers(), now + NAMES_MS
  end
  return self.names
end

-- The consumer that holds most, and what the next one holds.
function Share:biggest(writer)
  local biggest, most, second = writer, self.shares:get(writer) or 0, 0
  for _, name in ipairs(self:known_consumers()) do
    local held = name ~= writer and self.shares:get(name) or 0
    if held > most then
      biggest, most, second = name, held, most
    elseif held > second then
      second = held
    end
  end
  return biggest, second
end

-- Makes a consumer smaller until `enough()`. Returns whether it came to that, and the evictions that are left.
function Share:shrink(consumer, but, left, enough)
  while not enough() do
    if left == 0 or not self:evict_oldest(consumer, but) then
      return false, left
    end
    left = left - 1
  end
  return true, left
end

function Share:is_full()
  return (self.shares:get(TOTAL) or 0) > self.limit
end

-- Charges a consumer with so much more, and evicts what must go for it. Where that is not enough, nothing is charged.
function Share:make_room(place, more)
  local consumer, shares = place.consumer, self.shares
  local held, problem = self:add(consumer, more)
  if not held then
    return nil, problem
  end
  local total
  total, problem = self:add(TOTAL, more)
  if not total then
    self:add(consumer, -more)
    return nil, problem
  end
  local fits, left = self:shrink(consumer, place.key, MAX_EVICTIONS, function()
    return (shares:get(consumer) or 0) <= self.per_consumer
  end)
  while fits and self:is_full() do
    local victim, second = self:biggest(consumer)
    fits, left = self:shrink(victim, place.key, left, function()
      return not self:is_full() or (shares:get(victim) or 0) < second
    end)
  end
  if not fits then
    self:release(consumer, more)
    return nil, 'share_full'
  end
  return true
end

-- Writes the bytes. Where the slab has no piece that is large enough, the writer's own copies make way; never others',
-- who may hold less than their share.
function Share:write(place, bytes, entered_ms, ttl_seconds)
  local flags = floor(entered_ms / 1000)
  for _ = 1, MAX_PASSED_OVER do
    local ok, problem = self.values:safe_set(place.key, bytes, ttl_seconds, flags)
    if ok then
      return true
    elseif problem ~= 'no memory' or not self:evict_oldest(place.consumer, place.key) then
      return nil, problem
    end
  end
  return nil, 'no memory'
end

function Share:set_locked(place, bytes, entered_ms, ttl_seconds, size)
  local index, key, consumer = self.index, place.key, place.consumer
  local name = charge_key(key)
  local charged = index:get(name) or 0
  local ok, problem = self:make_room(place, size - charged)
  if not ok then
    return nil, problem
  end
  ok, problem = self:write(place, bytes, entered_ms, ttl_seconds)
  if ok then
    ok, problem = index:safe_set(name, size, ttl_seconds + MARGIN_SECONDS)
  end
  if ok and charged == 0 then
    local expires = floor(self.clock() / 1000 + ttl_seconds)
    ok, problem = index:rpush(queue_key(consumer), record_of(key, expires, tag_of(place.epoch)))
  end
  if not ok then
    -- What was there before is gone as well: the dictionary may have dropped it before it found no room.
    self.values:delete(key)
    index:delete(name)
    self:release(consumer, size)
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
  local size = M.charge(#place.key, #bytes)
  if size > self.per_consumer then
    return nil, 'too_large'
  end
  local locked, problem = self:lock(place.key)
  if not locked then
    return nil, problem == 'exists' and 'busy' or problem
  end
  local ok
  ok, problem = self:set_locked(place, bytes, entered_ms, ttl_seconds, size)
  self:unlock(place.key)
  return ok, problem
end

--- The copy of a key.
-- @tparam string key
-- @treturn ?string bytes
-- @treturn ?number when they came in, epoch ms
function Share:get(key)
  local bytes, flags = self.values:get(key)
  if not bytes then
    return nil
  end
  return bytes, (flags or 0) * 1000
end

--- How many copies of a consumer stand in line.
function Share:copies(consumer)
  return self.index:llen(queue_key(consumer)) or 0
end

--- Drops the copy that stands first in a consumer's line if it has expired, or is from before a purge.
-- @tparam string consumer id
-- @tparam ?string epoch its current one; nil where it is not known
-- @treturn boolean whether there was one
function Share:drop_leftover(consumer, epoch)
  local index, queue = self.index, queue_key(consumer)
  local record = index:lpop(queue)
  if not record then
    return false
  end
  local key, _, tag = read_record(record)
  if not self:lock(key) then
    index:lpush(queue, record)
    return false
  end
  local leftover = epoch ~= nil and tag_of(epoch) ~= tag or self:expires_at(key) == 0
  if leftover then
    self:drop(key, consumer)
  else
    index:lpush(queue, record)
  end
  self:unlock(key)
  return leftover
end

--- What is held: by all, or by one consumer.
-- @tparam ?string consumer id
-- @treturn number bytes
function Share:held(consumer)
  return max(0, self.shares:get(consumer or TOTAL) or 0)
end

return M
