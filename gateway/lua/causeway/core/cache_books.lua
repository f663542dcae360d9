--- The books of the shared tier: what each consumer's copies take there, so that one that stores without end pushes out
-- its own oldest and nobody else's. Valkey's own way, when it is full, is to evict whatever was least recently used,
-- whosever it is, limits of the fleet among them: the books end below that.
--
-- The rules are those of core/cache_share: a consumer holds at most its share; where all together hold more than there
-- is, the one that holds most gives up its oldest.
--
-- How: a script that Valkey runs, so that nodes do not get into each other's way. It does not touch the copies, which
-- lie in other slots: it says which are to go. Its three keys have one hash tag:
--   order   sorted set of `consumer|expiry|key`, all of one score, so by consumer and age
--   facts   hash: key -> `size expiry consumer`; `#` -> bytes of all
--   totals  sorted set: consumer -> bytes
-- Copies that expire or are evicted stay on the books until their turn comes.
--
-- Units: bytes, milliseconds. Shapes: arguments are consumer, key, size, time to live, what a consumer may hold, what
-- all may hold. The reply is the list of keys whose copies are to go.

local M = {}

-- What Valkey and the books need for a copy beside its bytes, about.
local OVERHEAD = 512

--- What a copy is charged with.
-- @tparam number length
-- @treturn number bytes
function M.charge(length)
  return length + OVERHEAD
end

--- For io/valkey's `script`: enters a copy that is about to be stored.
M.ENTER = { source = [[
local order, facts, totals = KEYS[1], KEYS[2], KEYS[3]
local consumer, key = ARGV[1], ARGV[2]
local size, ttl, share, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local MOST = 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gone = {}

local function held(who)
  return tonumber(redis.call('ZSCORE', totals, who) or 0)
end

local function all()
  return tonumber(redis.call('HGET', facts, '#') or 0)
end

local function forget(one)
  local fact = redis.call('HGET', facts, one)
  if fact then
    local bytes, expiry, who = string.match(fact, '^(%d+) (%d+) (.*)$')
    redis.call('HDEL', facts, one)
    redis.call('ZREM', order, who .. '|' .. expiry .. '|' .. one)
    redis.call('HINCRBY', facts, '#', -bytes)
    if tonumber(redis.call('ZINCRBY', totals, -bytes, who)) <= 0 then
      redis.call('ZREM', totals, who)
    end
  end
end

local function oldest(who)
  local first = redis.call('ZRANGEBYLEX', order, '[' .. who .. '|', '(' .. who .. '}', 'LIMIT', 0, 1)[1]
  if first then
    return string.match(first, '|(%d+)|(.*)$')
  end
end

local function evict(who)
  local _, one = oldest(who)
  if not one then
    redis.call('DEL', order, facts, totals)
    return false
  end
  forget(one)
  gone[#gone + 1] = one
  return true
end

-- A book of which Valkey has lost a part is begun anew. What it held expires by itself.
local facts_count = redis.call('HLEN', facts)
local order_count = redis.call('ZCARD', order)
if order_count ~= math.max(0, facts_count - 1) or (order_count > 0) ~= (redis.call('ZCARD', totals) > 0) then
  redis.call('DEL', order, facts, totals)
end

forget(key)
local expiry = string.format('%013d', now + ttl)
redis.call('ZADD', order, 0, consumer .. '|' .. expiry .. '|' .. key)
redis.call('HSET', facts, key, string.format('%d %s %s', size, expiry, consumer))
redis.call('HINCRBY', facts, '#', size)
redis.call('ZINCRBY', totals, size, consumer)

local function drop_expired(who)
  while #gone < MOST do
    local when = oldest(who)
    if not when or tonumber(when) > now or not evict(who) then
      return
    end
  end
end

drop_expired(consumer)
while held(consumer) > share and #gone < MOST and evict(consumer) do
end
while all() > limit and #gone < MOST do
  local biggest = redis.call('ZREVRANGE', totals, 0, 0)[1]
  if not biggest or not evict(biggest) then
    break
  end
end
for _, name in ipairs(KEYS) do
  redis.call('PEXPIRE', name, ttl + 3600000)
end
return gone
]] }

return M
