--- What `ngx.shared` gives, on a clock of the test's own.
--
-- Shapes: `new{ clock = function() -> epoch ms, before = function, called before each operation: a point at which
-- another worker may run, capacity = bytes, charge = function(key, value) -> bytes }`. Without a capacity there is
-- always room. As the real one, it evicts the least recently used where `set`, `add` and `incr` find no room; `evicted`
-- counts that.

local M = {}
local Dict = {}
Dict.__index = Dict

function M.new(options)
  local dict = setmetatable({
    clock = options.clock,
    before = options.before or function() end,
    capacity = options.capacity or math.huge,
    charge = options.charge or function() return 0 end,
    entries = {}, used = 0, tick = 0, evicted = 0,
  }, Dict)
  return dict
end

function Dict:remove(key)
  local entry = self.entries[key]
  if entry then
    self.entries[key] = nil
    self.used = self.used - entry.bytes
  end
end

function Dict:live(key)
  local entry = self.entries[key]
  if entry and self.clock() < entry.expires then
    self.tick = self.tick + 1
    entry.used_at = self.tick
    return entry
  end
  return nil
end

local function oldest_of(entries)
  local found
  for key, entry in pairs(entries) do
    if not found or entry.used_at < entries[found].used_at then
      found = key
    end
  end
  return found
end

function Dict:put(key, value, ttl, flags, forcibly)
  self:remove(key)
  local bytes = self.charge(key, value)
  for _ = 1, 30 do
    if self.used + bytes <= self.capacity then
      break
    end
    local victim = oldest_of(self.entries)
    if not victim or not (forcibly or self.clock() >= self.entries[victim].expires) then
      break
    end
    self.evicted = self.evicted + (self.clock() < self.entries[victim].expires and 1 or 0)
    self:remove(victim)
  end
  if self.used + bytes > self.capacity then
    return nil, 'no memory'
  end
  self.tick = self.tick + 1
  self.used = self.used + bytes
  self.entries[key] = {
    value = value, bytes = bytes, flags = flags, used_at = self.tick,
    expires = ttl and ttl > 0 and self.clock() + ttl * 1000 or math.huge,
  }
  return true
end

function Dict:get(key)
  self.before()
  local entry = self:live(key)
  if entry then
    assert(type(entry.value) ~= 'table', 'value is a list')
    return entry.value, entry.flags
  end
  return nil
end

function Dict:set(key, value, ttl, flags)
  self.before()
  return self:put(key, value, ttl, flags, true)
end

function Dict:safe_set(key, value, ttl, flags)
  self.before()
  return self:put(key, value, ttl, flags, false)
end

function Dict:add(key, value, ttl, flags)
  self.before()
  if self:live(key) then
    return false, 'exists'
  end
  return self:put(key, value, ttl, flags, true)
end

function Dict:safe_add(key, value, ttl, flags)
  self.before()
  if self:live(key) then
    return false, 'exists'
  end
  return self:put(key, value, ttl, flags, false)
end

function Dict:delete(key)
  self.before()
  self:remove(key)
end

function Dict:incr(key, value, init, init_ttl)
  self.before()
  local entry = self:live(key)
  if not entry then
    if not init then
      return nil, 'not found'
    end
    local ok, err = self:put(key, init + value, init_ttl, nil, true)
    return ok and init + value, err
  end
  entry.value = entry.value + value
  return entry.value
end

function Dict:expire(key, ttl)
  self.before()
  local entry = self:live(key)
  if not entry then
    return nil, 'not found'
  end
  entry.expires = ttl > 0 and self.clock() + ttl * 1000 or math.huge
  return true
end

function Dict:ttl(key)
  self.before()
  local entry = self.entries[key]
  if not entry then
    return nil, 'not found'
  end
  return entry.expires == math.huge and 0 or (entry.expires - self.clock()) / 1000
end

function Dict:get_keys()
  self.before()
  local keys = {}
  for key in pairs(self.entries) do
    if self:live(key) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  return keys
end

function Dict:list(key)
  local entry = self:live(key)
  return entry and entry.value
end

local function push(dict, key, value, at_front)
  dict.before()
  local list = dict:list(key)
  local bytes = dict.charge(nil, value)
  if dict.used + bytes > dict.capacity then
    return nil, 'no memory'
  end
  if not list then
    list = {}
    local ok, err = dict:put(key, list, nil, nil, false)
    if not ok then
      return nil, err
    end
  end
  table.insert(list, at_front and 1 or #list + 1, value)
  dict.entries[key].bytes = dict.entries[key].bytes + bytes
  dict.used = dict.used + bytes
  return #list
end

function Dict:rpush(key, value)
  return push(self, key, value, false)
end

function Dict:lpush(key, value)
  return push(self, key, value, true)
end

function Dict:lpop(key)
  self.before()
  local list = self:list(key)
  if not list then
    return nil
  end
  local value = table.remove(list, 1)
  local bytes = self.charge(nil, value)
  self.entries[key].bytes = self.entries[key].bytes - bytes
  self.used = self.used - bytes
  if #list == 0 then
    self:remove(key)
  end
  return value
end

function Dict:llen(key)
  self.before()
  local list = self:list(key)
  return list and #list or 0
end

return M
