--- The shared tier of the simulation: a store with times to live, reached over a network, with the faults of both.
--
-- Faults, as fields of the store: `mode` (`up`; `down` refuses at once; `hung` answers nobody, and does later what it
-- was asked for), `partitioned` (a set of nodes), `mixes_up` and `tears` (shares of replies that are another key's, or
-- cut). Methods lose data: `flush`, `lose_some`, `fail_over`.

local M = {}
local Store = {}
Store.__index = Store

local TIMEOUT_MS, MOST_LATENCY_MS = 50, 6

function M.new(world)
  return setmetatable({
    world = world, entries = {}, log = {}, delayed = {},
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
  assert(command == 'SET' and words[4] == 'PX', 'the store knows GET and SET … PX')
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

--- As io/valkey's call, in a process of a worker.
function Store:call(node, ...)
  local world, words = self.world, { ... }
  self.calls = self.calls + 1
  if self.mode == 'down' then
    return nil, 'refused'
  elseif self.mode == 'hung' or self.partitioned[node] then
    if self.mode == 'hung' then
      self.delayed[#self.delayed + 1] = words
    end
    world:sleep(TIMEOUT_MS)
    return nil, 'timeout'
  end
  world:sleep(world:between(0, MOST_LATENCY_MS / 2))
  local reply = self:apply(words)
  world:sleep(world:between(0, MOST_LATENCY_MS / 2))
  return self:garble(words, reply)
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
  self.entries, self.log = {}, {}
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
