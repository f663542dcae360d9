--- Which models have a breaker of their own.
--
-- What it is for: a model's name is whatever a client writes. So that nobody can fill the store, and the metrics,
-- with names, so many are told apart and the rest shares one breaker. A name that nobody uses for an hour makes room.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `set(key, value, ttl)`,
-- `add(key, value, ttl)`, `delete`.

local M = {}
M.__index = M

--- The breaker that is shared by models which are not told apart, or could not be read.
M.REST = '*'
--- The one breaker of a route class whose requests name no model.
M.NONE = '-'

local LIST = 'models'
local LOCK, LOCK_SECONDS = 'models lock', 1
local USED_SECONDS = 3600
-- How long a worker takes its own word for it that a name is in use.
local TRUSTED_MS = 60000
local MAX_LENGTH = 128

--- @tparam table store
-- @tparam function clock milliseconds
-- @tparam number limit how many are told apart
function M.new(store, clock, limit)
  return setmetatable({ store = store, clock = clock, limit = limit, trusted = {}, trusted_count = 0 }, M)
end

local function used_key(model)
  return 'model ' .. model
end

--- The models that are told apart.
-- @treturn {string,...}
function M:list()
  local names = {}
  for name in (self.store:get(LIST) or ''):gmatch('%S+') do
    names[#names + 1] = name
  end
  return names
end

-- Those of the list that are still in use.
local function in_use(self)
  local names = {}
  for _, name in ipairs(self:list()) do
    if self.store:get(used_key(name)) then
      names[#names + 1] = name
    end
  end
  return names
end

local function register(self, model)
  -- Workers that register at the same moment would drop each other's names. Who comes second takes the shared breaker
  -- this once.
  if not self.store:add(LOCK, true, LOCK_SECONDS) then
    return false
  end
  local names = in_use(self)
  local taken = false
  for _, name in ipairs(names) do
    taken = taken or name == model
  end
  if not taken and #names < self.limit then
    names[#names + 1] = model
    taken = true
  end
  if taken then
    self.store:set(used_key(model), true, USED_SECONDS)
    self.store:set(LIST, table.concat(names, ' '))
  end
  self.store:delete(LOCK)
  return taken
end

local function trust(self, model, now)
  if self.trusted_count >= 2 * self.limit then
    self.trusted, self.trusted_count = {}, 0
  end
  if not self.trusted[model] then
    self.trusted_count = self.trusted_count + 1
  end
  self.trusted[model] = now
end

local function is_name(model)
  return model ~= nil and #model <= MAX_LENGTH and model:find('^[%w][%w%._:/@-]*$') ~= nil
end

--- What a model's breaker is called, for an outcome that is to be counted: a new model is told apart from now on, if
-- there is room.
-- @tparam ?string model as the request names it; NONE where requests of its class name none
-- @treturn string the model, NONE or REST
function M:name(model)
  if model == M.NONE then
    return model
  elseif not is_name(model) then
    return M.REST
  end
  local now, since = self.clock(), self.trusted[model]
  if since and now - since < TRUSTED_MS then
    return model
  end
  if self.store:get(used_key(model)) then
    self.store:set(used_key(model), true, USED_SECONDS)
  elseif not register(self, model) then
    return M.REST
  end
  trust(self, model, now)
  return model
end

--- The same for a request that is only to be let through: it makes no model known.
function M:look_up(model)
  if model == M.NONE then
    return model
  elseif not is_name(model) then
    return M.REST
  end
  if self.trusted[model] or self.store:get(used_key(model)) or #in_use(self) < self.limit then
    return model
  end
  return M.REST
end

return M
