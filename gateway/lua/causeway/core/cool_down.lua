--- Whether a service that a node can do without is asked at all. The first failure of any worker makes all of them
-- leave it alone; one of them at a time looks whether it is back. So a service that hangs costs a node its timeout
-- once, and no request ever waits for a look.
--
-- The state is one number that workers share: the generation, negative while the service is down. It goes up with each
-- recovery, so that connections from before can be told from those after, and a failure from before cannot hide it.

local M = {}
M.__index = M

-- Between two looks: they cost no request anything, and nodes that are back at different times count differently.
local LOOK_SECONDS = 1
-- Each failure costs the requests of that moment a timeout. So who fails again this soon is left alone for longer,
-- twice as long each time.
local REMEMBERED_SECONDS, MAX_SECONDS = 15, 5

--- @tparam string name the prefix of the store's keys
-- @tparam table store `get(key)`, `set(key, value, ttl)`, `add(key, value, ttl)`, `delete(key)`: a shared dictionary
-- @tparam function now seconds of a clock that all workers share
-- @tparam number look_seconds the longest that a look may take; one that takes longer has died
function M.new(name, store, now, look_seconds)
  return setmetatable({
    store = store,
    now = now,
    look_seconds = look_seconds,
    state_key = name .. ':state',
    failures_key = name .. ':failures',
    due_key = name .. ':due',
    looking_key = name .. ':looking',
  }, M)
end

--- The generation to use, or nil while the service is to be left alone.
function M:generation()
  local state = self.store:get(self.state_key) or 1
  return state > 0 and state or nil
end

--- A use of the service failed.
-- @tparam number generation the one that it was used in
-- @treturn boolean whether this failure is what made it down
function M:failed(generation)
  if self:generation() ~= generation then
    return false
  end
  self.store:set(self.state_key, -generation)
  local failures = (self.store:get(self.failures_key) or 0) + 1
  local seconds = math.min(LOOK_SECONDS * 2 ^ (failures - 1), MAX_SECONDS)
  self.store:set(self.failures_key, failures, seconds + REMEMBERED_SECONDS)
  self:look_in(seconds)
  return true
end

function M:look_in(seconds)
  self.store:set(self.due_key, self.now() + seconds)
end

--- Begins a look at the service, where one is due and nobody else looks. What comes of it must be told to `looked`.
-- @treturn number|nil the generation that the look belongs to
function M:begin_look()
  local state = self.store:get(self.state_key) or 1
  if state > 0 or self.now() < (self.store:get(self.due_key) or 0) then
    return nil
  end
  if not self.store:add(self.looking_key, true, self.look_seconds) then
    return nil
  end
  return 1 - state
end

--- Ends a look.
-- @tparam number generation of `begin_look`
-- @tparam boolean found whether the service is back
function M:looked(generation, found)
  if found then
    self.store:set(self.state_key, generation)
  else
    self:look_in(LOOK_SECONDS)
  end
  self.store:delete(self.looking_key)
end

return M
