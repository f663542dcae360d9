--- Runs scripts as Valkey does, with the few commands that ours use.
--
-- Shapes: `new(clock)` with clock() -> epoch ms; `host:run(source, keys, args)` -> reply. Replies are Lua's, as
-- io/valkey gives them.

local M = {}
local Host = {}
Host.__index = Host

function M.new(clock)
  return setmetatable({ clock = clock, hashes = {}, sets = {} }, Host)
end

local COMMANDS = {}

function COMMANDS.TIME(host)
  local now = host.clock()
  return { tostring(math.floor(now / 1000)), tostring(now % 1000 * 1000) }
end

local function hash_of(host, key)
  host.hashes[key] = host.hashes[key] or {}
  return host.hashes[key]
end

local function set_of(host, key)
  host.sets[key] = host.sets[key] or {}
  return host.sets[key]
end

function COMMANDS.HGET(host, key, field)
  return hash_of(host, key)[field] or false
end

function COMMANDS.HSET(host, key, field, value)
  hash_of(host, key)[field] = tostring(value)
  return 1
end

function COMMANDS.HDEL(host, key, field)
  hash_of(host, key)[field] = nil
  return 1
end

function COMMANDS.HINCRBY(host, key, field, by)
  local value = (tonumber(hash_of(host, key)[field]) or 0) + tonumber(by)
  hash_of(host, key)[field] = ('%.0f'):format(value)
  return value
end

-- A sorted set: members in order of score and name, found by walking it.
local function at(set, member)
  for index, one in ipairs(set) do
    if one.member == member then
      return index
    end
  end
  return nil
end

local function insert(set, member, score)
  local low, high = 1, #set + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local one = set[middle]
    if one.score < score or one.score == score and one.member < member then
      low = middle + 1
    else
      high = middle
    end
  end
  table.insert(set, low, { member = member, score = score })
end

function COMMANDS.ZADD(host, key, score, member)
  COMMANDS.ZREM(host, key, member)
  insert(set_of(host, key), member, tonumber(score))
  return 1
end

function COMMANDS.ZREM(host, key, member)
  local set = set_of(host, key)
  local index = at(set, member)
  if index then
    table.remove(set, index)
  end
  return index and 1 or 0
end

function COMMANDS.ZSCORE(host, key, member)
  local set = set_of(host, key)
  local index = at(set, member)
  return index and tostring(set[index].score) or false
end

function COMMANDS.ZINCRBY(host, key, by, member)
  local score = tonumber(COMMANDS.ZSCORE(host, key, member) or 0) + tonumber(by)
  COMMANDS.ZADD(host, key, score, member)
  return tostring(score)
end

function COMMANDS.ZREVRANGE(host, key, from, to)
  assert(from == 0 and to == 0, 'the host knows ZREVRANGE 0 0')
  local set = set_of(host, key)
  return { #set > 0 and set[#set].member or nil }
end

function COMMANDS.ZRANGEBYLEX(host, key, from, to, limit, offset, count)
  assert(limit == 'LIMIT' and offset == 0 and count == 1 and from:sub(1, 1) == '[' and to:sub(1, 1) == '(')
  for _, one in ipairs(set_of(host, key)) do
    if one.member >= from:sub(2) then
      return { one.member < to:sub(2) and one.member or nil }
    end
  end
  return {}
end

function COMMANDS.HLEN(host, key)
  local count = 0
  for _ in pairs(hash_of(host, key)) do
    count = count + 1
  end
  return count
end

function COMMANDS.ZCARD(host, key)
  return #set_of(host, key)
end

function COMMANDS.DEL(host, ...)
  for _, key in ipairs { ... } do
    host.hashes[key], host.sets[key] = nil, nil
  end
  return 1
end

function COMMANDS.PEXPIRE()
  return 1
end

local chunks = {}

--- Runs a script.
function Host:run(source, keys, args)
  local texts = {}
  for index, value in ipairs(args) do
    texts[index] = tostring(value)
  end
  local chunk = chunks[source] or assert(loadstring(source))
  chunks[source] = chunk
  setfenv(chunk, {
    KEYS = keys, ARGV = texts, tonumber = tonumber, math = math, string = string, ipairs = ipairs,
    redis = {
      call = function(name, ...)
        return assert(COMMANDS[name], name)(self, ...)
      end,
    },
  })
  return chunk()
end

return M
