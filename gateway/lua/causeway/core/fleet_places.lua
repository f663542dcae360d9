--- The places of a consumer (requests in flight, streams open) over all nodes of a region.
--
-- How: in Valkey each node has a reservation for each consumer, and the reservations of the nodes that live never add
-- up to more than the consumer's limit. A node lets requests in by itself while they are within its reservation, and
-- asks for more when it needs more. So the limit is never exceeded, and a consumer that is far from it costs no round
-- trip.
--
--   - Far from the limit a node asks for some places more than it needs at the moment.
--   - What it does not use for about a second it gives back; at once where another node wants it. Whoever is refused
--     says so on a stream that all nodes wait at.
--   - A node that is refused waits for what others may give back, PATIENCE_MS at most, before a request is refused.
--     Where it has waited so already, and nothing came, requests are refused at once.
--   - Reservations are told as totals, one call of a node at a time, so a call whose answer was lost changes nothing
--     for long. Those of a node that no longer says that it lives count no more.
--
-- Units: milliseconds. Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `set`, `add`,
-- `delete` and `expire`; a slot is a kind of place and a consumer, such as `requests:team-a`.

local scripts = require 'causeway.core.fleet_scripts'

local floor, max, min = math.floor, math.max, math.min

local M = {}
local Places = {}
Places.__index = Places

--- How long a request waits for places that other nodes do not need.
M.PATIENCE_MS = 280
-- Between two looks at whether a place has become free, between two questions for one, and while another request of the
-- node asks.
local LOOK_MS, DENIED_SECONDS, BUSY_MS = 15, 0.05, 2
-- Requests of one worker that may wait for places that others may give back; more are refused at once.
local MAX_WAITING = 32
-- How long a slot counts as wanted elsewhere after it was last said, and how often it is then looked after.
local WANTED_MS, HAND_OVER_MS = 500, 20
-- A worker that dies while it asks must not keep the others from asking for long.
local LOCK_SECONDS = 1
-- Ticks (of 250 ms) after which a slot counts as idle.
local IDLE_TICKS, IDLE_SECONDS = 4, 1
-- Reservations that are not told anew are forgotten after an hour.
local REFRESH_MS = 1200000

--- What is known of a slot beforehand.
-- @tparam string slot
-- @tparam {string,...} keys of the script RESERVE
function M.place(slot, keys)
  return {
    slot = slot,
    keys = keys,
    -- Requests of this worker that wait; the tick in which one came last; the limit then, 0 where none came; when it
    -- was last told.
    waiting = 0,
    seen = 0,
    limit = 0,
    told = 0,
    reserved_key = 'reserved:' .. slot,
    lock_key = 'reserving:' .. slot,
    denied_key = 'denied:' .. slot,
    wanting_key = 'wanting:' .. slot,
    seen_key = 'seen:' .. slot,
  }
end

--- @tparam table options
-- @tparam table options.store what the workers of the node share
-- @tparam table options.count what is in use on this node: `enter(slot)` -> total or nil, `leave(slot)`, `get(slot)`
-- @tparam function options.clock monotonic ms
-- @tparam function options.sleep ms
-- @tparam function options.call (script, keys, args) -> reply | nil, why
-- @tparam function options.node this node's name
-- @tparam function options.nodes how many there are
-- @tparam function options.lost called where it is no longer sure what Valkey knows of this node
function M.new(options)
  return setmetatable({
    store = options.store,
    count = options.count,
    clock = options.clock,
    sleep = options.sleep,
    call = options.call,
    node = options.node,
    nodes = options.nodes,
    lost = options.lost,
    ticks = 0,
    -- Slots that this worker saw requests of, and those that are wanted elsewhere: slot -> place.
    watched = {},
    handing = {},
  }, Places)
end

-- Tells Valkey what this node has or wants of a slot. The slot is locked by then.
function Places:tell(place, limit, least, need, want)
  local node = self.node()
  local reply, why = self.call(scripts.RESERVE, place.keys, { node, place.slot, limit, least, need, want })
  if not reply or reply[1] < 0 or self.node() ~= node then
    self.lost()
    return nil, why or 'lost'
  end
  place.told = self.clock()
  return reply
end

-- Asks for what requests of this node need.
-- @treturn string|nil `granted`, `denied`, `alone` where no other node has any, `busy`; nil where Valkey did not say
-- @treturn nil|string why
function Places:reserve(place, limit)
  local store = self.store
  if not store:add(place.lock_key, true, LOCK_SECONDS) then
    return 'busy'
  end
  local used = self.count.get(place.slot)
  local least = max(used, store:get(place.reserved_key) or 0)
  local need = max(least, min(used + place.waiting, limit))
  local want = need + min(floor(limit / (4 * self.nodes())), need + 3)
  local reply, why = self:tell(place, limit, least, need, want)
  local outcome
  if reply then
    store:set(place.reserved_key, reply[1])
    if reply[1] >= need then
      store:delete(place.wanting_key)
      outcome = 'granted'
    elseif reply[2] == 0 then
      outcome = 'alone'
    else
      store:set(place.denied_key, true, DENIED_SECONDS)
      if not store:add(place.wanting_key, self.clock(), 1) then
        store:expire(place.wanting_key, 1)
      end
      outcome = 'denied'
    end
  end
  store:delete(place.lock_key)
  return outcome, why
end

-- Gives back what is not in use.
function Places:lower(place)
  local store, count = self.store, self.count
  local used = count.get(place.slot)
  if (store:get(place.reserved_key) or 0) <= used or not store:add(place.lock_key, true, LOCK_SECONDS) then
    return
  end
  -- First here: from now on nobody is let in that Valkey would not know of. Those who were meanwhile, count.
  store:set(place.reserved_key, used)
  local left = max(used, count.get(place.slot))
  if left > used then
    store:set(place.reserved_key, left)
  end
  self:tell(place, 0, left, left, left)
  store:delete(place.lock_key)
end

-- Lets a request in where that is within the reservation, which is read last: whoever lowers it counts after that.
function Places:enter(place, limit)
  local total = self.count.enter(place.slot)
  if not total then
    -- What cannot be counted passes.
    return true
  end
  local reserved = self.store:get(place.reserved_key) or 0
  if total <= reserved and total <= limit then
    return true
  end
  self.count.leave(place.slot)
  return false, reserved
end

-- One more try to be let in.
-- @treturn boolean|nil nil where there may yet be a place
function Places:try(place, limit)
  local entered, reserved = self:enter(place, limit)
  if entered then
    return true
  elseif reserved >= limit then
    -- All there are is this node's, and in use.
    return false
  end
end

function Places:await(place, limit)
  local store = self.store
  local deadline = self.clock() + M.PATIENCE_MS
  while true do
    local outcome = 'denied'
    if not store:get(place.denied_key) then
      local why
      outcome, why = self:reserve(place, limit)
      if not outcome then
        return nil, why
      end
      local entered = self:try(place, limit)
      if entered ~= nil then
        return entered
      elseif outcome == 'alone' then
        return false
      end
    end
    -- Since when there was none, if there was none lately.
    local now, since = self.clock(), store:get(place.wanting_key)
    if since and (now >= deadline or outcome == 'denied' and now - since >= M.PATIENCE_MS) then
      return false
    elseif now >= deadline then
      -- Nobody said that there is none: that a machine is busy is no reason to refuse.
      return nil, 'slow'
    end
    if outcome ~= 'granted' then
      self.sleep(outcome == 'busy' and BUSY_MS or LOOK_MS)
      local entered = self:try(place, limit)
      if entered ~= nil then
        return entered
      end
    end
  end
end

--- Takes one of a consumer's places.
-- @tparam table place of `M.place`
-- @tparam number limit how many there are
-- @treturn boolean|nil whether there was one; nil where Valkey did not say
-- @treturn nil|string why it did not
function Places:take(place, limit)
  place.seen, place.limit = self.ticks, limit
  self.watched[place.slot] = place
  local entered = self:try(place, limit)
  if entered ~= nil then
    return entered
  elseif place.waiting >= MAX_WAITING and self.store:get(place.wanting_key) then
    return false
  end
  place.waiting = place.waiting + 1
  local taken, why = self:await(place, limit)
  place.waiting = place.waiting - 1
  return taken, why
end

local function list_of(set)
  local list = {}
  for _, place in pairs(set) do
    list[#list + 1] = place
  end
  return list
end

function Places:look_after(place)
  local store = self.store
  local idle = self.ticks - place.seen
  if idle <= 1 then
    store:set(place.seen_key, true, IDLE_SECONDS)
  end
  local used, held = self.count.get(place.slot), store:get(place.reserved_key) or 0
  if used > held or held > 0 and self.clock() - place.told > REFRESH_MS then
    self:reserve(place, max(place.limit, used))
  elseif held > place.limit and place.limit > 0 then
    self:lower(place)
  elseif idle > IDLE_TICKS and not store:get(place.seen_key) then
    if held > used then
      self:lower(place)
    elseif used == 0 then
      store:delete(place.reserved_key)
      self.watched[place.slot] = nil
    end
  end
end

--- Gives back what this node no longer needs, and tells what it may not have told. To be called every 250 ms.
function Places:tick()
  self.ticks = self.ticks + 1
  -- A list of its own: requests go on while this waits for Valkey.
  for _, place in ipairs(list_of(self.watched)) do
    self:look_after(place)
  end
end

--- Gives back at once, for a while, what other nodes want and this one does not need. Returns when they want no more.
-- @tparam {table,...} places
function Places:hand_over(places)
  local handing = self.handing
  local running = next(handing) ~= nil
  for _, place in ipairs(places) do
    handing[place.slot] = place
    place.wanted_until = self.clock() + WANTED_MS
  end
  if running then
    return
  end
  while next(handing) do
    for _, place in ipairs(list_of(handing)) do
      self:lower(place)
      if self.clock() >= place.wanted_until then
        handing[place.slot] = nil
      end
    end
    self.sleep(HAND_OVER_MS)
  end
end

--- Takes over slots that a worker has left which is gone, so that what lies idle of them goes back.
-- @tparam {table,...} places
function Places:adopt(places)
  for _, place in ipairs(places) do
    self.watched[place.slot] = self.watched[place.slot] or place
  end
end

--- Tells Valkey all that is in use here, for a node that has a new name.
-- @tparam {table,...} places
-- @treturn boolean whether it was told
function Places:rejoin(places)
  for _, place in ipairs(places) do
    local used = self.count.get(place.slot)
    self.store:set(place.reserved_key, used)
    if used > 0 and not self:tell(place, 0, used, used, used) then
      return false
    end
  end
  return true
end

return M
