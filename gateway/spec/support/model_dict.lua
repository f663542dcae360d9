--- What ngx.shared gives, on a clock of the test's own.

local _M = {}
local Dict = {}
Dict.__index = Dict

--- @param clock  `{ ms = … }`
function _M.new(clock)
  return setmetatable({ clock = clock, entries = {}, operations = 0 }, Dict)
end

function Dict:live(key)
  self.operations = self.operations + 1
  local entry = self.entries[key]
  if entry and entry.expires and self.clock.ms >= entry.expires then
    self.entries[key] = nil
    return nil
  end
  return entry
end

function Dict:put(key, value, ttl)
  assert(ttl == nil or ttl >= 0.001, ttl)
  self.entries[key] = { value = value, expires = ttl and self.clock.ms + ttl * 1000 }
  return true
end

function Dict:get(key)
  local entry = self:live(key)
  return entry and entry.value
end

function Dict:set(key, value, ttl)
  self:live(key)
  if value == nil then
    self.entries[key] = nil
    return true
  end
  return self:put(key, value, ttl)
end

function Dict:add(key, value, ttl)
  if self:live(key) then
    return false, 'exists'
  end
  return self:put(key, value, ttl)
end

function Dict:delete(key)
  self:set(key, nil)
end

function Dict:expire(key, ttl)
  local entry = self:live(key)
  if not entry then
    return nil, 'not found'
  end
  entry.expires = self.clock.ms + ttl * 1000
  return true
end

function Dict:incr(key, value, init, init_ttl)
  local entry = self:live(key)
  if not entry then
    if not init then
      return nil, 'not found'
    end
    self:put(key, init, init_ttl)
    entry = self.entries[key]
  end
  entry.value = entry.value + value
  return entry.value
end

function Dict:get_keys()
  local keys = {}
  for key in pairs(self.entries) do
    if self:live(key) then
      keys[#keys + 1] = key
    end
  end
  return keys
end

return _M
