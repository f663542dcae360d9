--- The shared tier of the simulation: a store with times to live, reached over a network, with the faults of both.
--
-- Faults, as fields of the store: `mode` (`up`; `down` refuses at once; `hung` answers nobody, and does later what it
-- was asked for), `partitioned` (a set of nodes), `mixes_up` and `tears` (shares of replies that are another key's, or
-- cut). Methods lose data: `flush`, `lose_some`, `fail_over`.

local script_host = require 'tools.script_host'

local M = {}
local Store = {}
Store.__index = Store

local TIMEOUT_MS, MOST_LATENCY_MS = 50, 6

function M.new(world)
  return setmetatable({
    world = world, entries = {}, log = {}, delayed = {},
    host = script_host.new(function()
      return world.now
    end),
    mode = 'up', partitioned = {}, mixes_up = 0, tears = 0, calls = 0,
  }, Store)
end

function Store:live(key)
  local entry = self.entries[key]
  return entry and self.world.now < entry.expires and entry or nil
end

function Store:apply(words)
  local command, key = words[1], words[2]
  if command == 'GET' then
    local entry = self:live(key)
    return entry and entry.value
  end
  if command == 'SCRIPT' then
    return self.host:run(words[2], words[3], words[4])
  elseif command == 'UNLINK' then
    self.entries[key] = nil
    return 1
  end
  assert(command == 'SET' and words[4] == 'PX', 'the store knows GET, SET … PX, UNLINK and scripts')
  self.log[#self.log + 1] = { at = self.world.now, key = key, before = self.entries[key] }
  self.entries[key] = { value = words[3], expires = self.world.now + words[5], at = self.world.now }
  return 'OK'
end

-- What comes back is not what was asked for.
function Store:garble(words, reply)
  local world = self.world
  if words[1] ~= 'GET' then
    return reply
  end
  if world:chance(self.mixes_up) then
    local keys = {}
    for key in pairs(self.entries) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    local other = #keys > 0 and self:live(world:pick(keys))
    return other and other.value or reply
  elseif reply and world:chance(self.tears) then
    return reply:sub(1, world:between(0, #reply - 1))
  end
  return reply
end

-- One round trip, in a process of a worker.
function Store:round_trip(node, commands)
  local world = self.world
  self.calls = self.calls + 1
  if self.mode == 'down' then
    return nil, 'refused'
  elseif self.mode == 'hung' or self.partitioned[node] then
    if self.mode == 'hung' then
      for _, words in ipairs(commands) do
        self.delayed[#self.delayed + 1] = words
      end
    end
    world:sleep(TIMEOUT_MS)
    return nil, 'timeout'
  end
  world:sleep(world:between(0, MOST_LATENCY_MS / 2))
  local replies = {}
  for index, words in ipairs(commands) do
    replies[index] = self:apply(words) or false
  end
  world:sleep(world:between(0, MOST_LATENCY_MS / 2))
  for index, words in ipairs(commands) do
    replies[index] = self:garble(words, replies[index])
  end
  return replies
end

--- As io/valkey's functions of these names.
function Store:call(node, ...)
  local replies, problem = self:round_trip(node, { { ... } })
  return replies and replies[1] or nil, problem
end

function Store:pipeline(node, commands)
  return self:round_trip(node, commands)
end

function Store:script(node, script, keys, args)
  return self:call(node, 'SCRIPT', script.source, keys, args)
end

--- Answers again. What it was asked for while it was hung, it does now.
function Store:recover()
  self.mode = 'up'
  for _, words in ipairs(self.delayed) do
    self:apply(words)
  end
  self.delayed = {}
end

function Store:flush()
  self.entries, self.log, self.host.hashes, self.host.sets = {}, {}, {}, {}
end

--- Evicts some keys.
function Store:lose_some(share)
  for _, key in ipairs(self:keys()) do
    if self.world:chance(share) then
      self.entries[key] = nil
    end
  end
end

function Store:keys()
  local keys = {}
  for key in pairs(self.entries) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

--- A replica takes over that is so far behind: what was written since is undone.
function Store:fail_over(behind_ms)
  local log, from = self.log, self.world.now - behind_ms
  while #log > 0 and log[#log].at >= from do
    local write = table.remove(log)
    self.entries[write.key] = write.before
  end
end

return M
