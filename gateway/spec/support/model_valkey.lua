--- Valkey as far as the scripts of the data plane use it: runs them on tables, on a clock of the test's own.

local _M = {}
local Model = {}
Model.__index = Model

--- @param clock  `{ ms = … }`
function _M.new(clock)
  return setmetatable({ clock = clock, entries = {}, calls = 0 }, Model)
end

function Model:now()
  return math.floor(self.clock.ms * 1000 + 0.5)
end

function Model:entry(key)
  local entry = self.entries[key]
  if entry and entry.expires and self.clock.ms >= entry.expires then
    self.entries[key] = nil
    return nil
  end
  return entry
end

function Model:made(key)
  local entry = self:entry(key)
  if not entry then
    entry = { value = {} }
    self.entries[key] = entry
  end
  return entry
end

local commands = {}

function commands.TIME(self)
  local now = self:now()
  return { tostring(math.floor(now / 1e6)), tostring(now % 1e6) }
end

function commands.GET(self, key)
  local entry = self:entry(key)
  return entry and entry.value or false
end

function commands.SET(self, key, value, word, ms)
  assert(word == 'PX')
  assert(tonumber(ms) >= 1 and not tostring(ms):find '%.', ms)
  self.entries[key] = { value = tostring(value), expires = self.clock.ms + ms }
  return { ok = 'OK' }
end

function commands.DEL(self, key)
  local there = self:entry(key)
  self.entries[key] = nil
  return there and 1 or 0
end

function commands.PEXPIRE(self, key, ms)
  local entry = self:entry(key)
  if entry then
    entry.expires = self.clock.ms + ms
  end
  return entry and 1 or 0
end

function commands.HGET(self, key, field)
  local entry = self:entry(key)
  return entry and entry.value[field] or false
end

function commands.HSET(self, key, field, value)
  self:made(key).value[field] = tostring(value)
  return 1
end

function commands.HDEL(self, key, field)
  local entry = self:entry(key)
  if entry then
    entry.value[field] = nil
  end
  return 1
end

function commands.HGETALL(self, key)
  local entry, flat = self:entry(key), {}
  for field, value in pairs(entry and entry.value or {}) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

function commands.ZADD(self, key, score, member)
  self:made(key).value[member] = tonumber(score)
  return 1
end

function commands.ZSCORE(self, key, member)
  local entry = self:entry(key)
  local score = entry and entry.value[member]
  return score and ('%.17g'):format(score) or false
end

function commands.ZREM(self, key, member)
  local entry = self:entry(key)
  if entry then
    entry.value[member] = nil
  end
  return 1
end

function commands.ZCARD(self, key)
  local entry, count = self:entry(key), 0
  for _ in pairs(entry and entry.value or {}) do
    count = count + 1
  end
  return count
end

function commands.ZREMRANGEBYSCORE(self, key, least, most)
  assert(least == '-inf')
  local entry = self:entry(key)
  for member, score in pairs(entry and entry.value or {}) do
    if score <= tonumber(most) then
      entry.value[member] = nil
    end
  end
  return 1
end

function commands.XADD(self, key, ...)
  local stream = self:made(key).value
  local words = { ... }
  stream[#stream + 1] = words[#words]
  return tostring(#stream)
end

-- As Valkey gives it to a client: numbers lose their fractions.
local function as_reply(value)
  if type(value) == 'number' then
    return value >= 0 and math.floor(value) or math.ceil(value)
  elseif type(value) == 'table' then
    local reply = {}
    for index, each in ipairs(value) do
      reply[index] = as_reply(each)
    end
    return reply
  end
  return value
end

--- Runs a script, as io/valkey does.
-- @return reply, or nil and why
function Model:script(script, keys, args)
  self.calls = self.calls + 1
  if self.down then
    return nil, 'down'
  end
  local words = {}
  for index, arg in ipairs(args) do
    words[index] = tostring(arg)
  end
  local declared = {}
  for _, key in ipairs(keys) do
    declared[key] = true
  end
  local environment = setmetatable({
    KEYS = keys,
    ARGV = words,
    redis = {
      call = function(name, key, ...)
        assert(name == 'TIME' or declared[key], 'a key that was not declared')
        return assert(commands[name], name)(self, key, ...)
      end,
    },
  }, { __index = { tonumber = tonumber, tostring = tostring, math = math, string = string, ipairs = ipairs,
    pairs = pairs, table = table } })
  local run = setfenv(assert(loadstring(script.source)), environment)
  return as_reply(run())
end

--- `script` as a function, for what is given its calls.
function Model:caller()
  return function(...)
    return self:script(...)
  end
end

return _M
