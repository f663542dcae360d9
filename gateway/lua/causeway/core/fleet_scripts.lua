--- What Valkey runs for the limits that hold over all nodes of a region. Its own clock alone counts, so that those of
-- nodes do not matter. All keys of a script have one hash tag. Numbers come back without fractions.
--
-- Shapes: each is `{ source = '…' }`, as io/valkey takes it.

local M = {}

--- Takes slots. KEYS: the bucket. ARGV: T in µs, the burst in µs, slots wanted, 1 where slots of the time to come are
-- taken too, nodes.
-- Returns: slots granted, µs until the first of them (or of any) is due, µs until the bucket is empty.
M.TAKE = { source = [[
local bucket = KEYS[1]
local step, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, ahead_too, nodes = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
-- How far ahead slots are given away: what stands further ahead comes from a limit that was tightened.
local AHEAD, SLACK = 1000000, 1000000
-- Slots of so short a time are too few to be missed elsewhere.
local NOTHING = 5000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = tonumber(redis.call('GET', bucket) or now)
if tat < now then
  tat = now
elseif tat > now + tolerance + step + AHEAD + SLACK then
  tat = now + tolerance + step
end
local due = tat - now - tolerance
-- Half a microsecond: what rounding costs.
local free = math.floor((0.5 - due) / step) + 1
local granted = 0
if ahead_too and due < AHEAD then
  granted = want
elseif free >= 1 then
  granted = math.min(want, math.max(1, math.floor(free / (2 * nodes)), math.floor(NOTHING / step)))
end
if granted > 0 then
  tat = tat + granted * step
  redis.call('SET', bucket, string.format('%.0f', tat), 'PX', string.format('%.0f', (tat - now) / 1000 + 1000))
end
return { granted, math.floor(due), math.ceil(tat - now) }
]] }

--- Gives slots back. KEYS: the bucket. ARGV: µs.
M.GIVE_BACK = { source = [[
local tat = tonumber(redis.call('GET', KEYS[1]) or 0) - tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if tat <= now then
  return redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', string.format('%.0f', (tat - now) / 1000 + 1000))
return 1
]] }

--- Sets a reservation. KEYS: when nodes die (sorted set), reservations of the slot (hash), who wants more of it (sorted
-- set), the stream of slots that are wanted. ARGV: node, slot, limit, what the node has let in already, what it needs,
-- what it would like.
-- Returns: the node's reservation, -1 where it does not count as living; what others have; how many of them want more.
M.RESERVE = { source = [[
local nodes, places, wants, wanted_slots = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local node, slot = ARGV[1], ARGV[2]
local limit, least, need, want = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function lives(name)
  return tonumber(redis.call('ZSCORE', nodes, name) or 0) > now
end
if not lives(node) then
  return { -1, 0, 0 }
end
local others = 0
local held = redis.call('HGETALL', places)
for index = 1, #held, 2 do
  if held[index] == node then
    -- Its own.
  elseif lives(held[index]) then
    others = others + tonumber(held[index + 1])
  else
    redis.call('HDEL', places, held[index])
  end
end
redis.call('ZREMRANGEBYSCORE', wants, '-inf', now)
local own_want = redis.call('ZSCORE', wants, node)
local wanted = redis.call('ZCARD', wants) - (own_want and 1 or 0)
if wanted > 0 or others + want > limit / 2 then
  want = need
end
local granted = math.max(least, math.min(want, limit - others))
if granted > 0 then
  redis.call('HSET', places, node, granted)
  redis.call('PEXPIRE', places, 3600000)
else
  redis.call('HDEL', places, node)
end
if granted < need and others > 0 then
  if not own_want or tonumber(own_want) < now + 750 then
    redis.call('ZADD', wants, now + 1000, node)
    redis.call('PEXPIRE', wants, 2000)
    redis.call('XADD', wanted_slots, 'MAXLEN', '100', '*', 'slot', slot)
    redis.call('PEXPIRE', wanted_slots, 60000)
  end
elseif own_want then
  redis.call('ZREM', wants, node)
end
return { granted, others, wanted }
]] }

--- Tells what a node has used. KEYS: the consumer's minute (hash). ARGV: node, minute, input, output.
-- Returns: the running minute, ms since 1970, input and output that others have used in it.
M.SYNC = { source = [[
local key, node, minute = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local running = math.floor(now / 60000)
if redis.call('HGET', key, 'minute') ~= string.format('%.0f', running) then
  redis.call('DEL', key)
  redis.call('HSET', key, 'minute', string.format('%.0f', running))
end
local others = { 0, 0 }
local used = redis.call('HGETALL', key)
local told = { 0, 0 }
for index = 1, #used, 2 do
  local input, output = string.match(used[index + 1], '^(%d+) (%d+)$')
  if used[index] == node then
    told = { tonumber(input), tonumber(output) }
  elseif input then
    others = { others[1] + input, others[2] + output }
  end
end
if minute == running then
  local input, output = math.max(told[1], tonumber(ARGV[3])), math.max(told[2], tonumber(ARGV[4]))
  redis.call('HSET', key, node, string.format('%.0f %.0f', input, output))
end
redis.call('PEXPIRE', key, 120000)
return { running, now, others[1], others[2] }
]] }

--- Says that a node lives. KEYS: when nodes die (sorted set). ARGV: node, ms, the name that it had before or ''.
-- Returns: whether it was known to live, how many nodes do, ms since 1970.
M.BEAT = { source = [[
local nodes, node = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', now)
if ARGV[3] ~= '' then
  redis.call('ZREM', nodes, ARGV[3])
end
local known = redis.call('ZSCORE', nodes, node) and 1 or 0
redis.call('ZADD', nodes, now + ARGV[2], node)
redis.call('PEXPIRE', nodes, 60000)
return { known, redis.call('ZCARD', nodes), now }
]] }

return M
