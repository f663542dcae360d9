--- Which identical requests share which answer, on this node.
--
-- The first worker that takes a key in the shared dictionary owns the flight and fetches; requests in the same worker
-- join its flight, other workers follow it over io/flight_bus. A key is given back as soon as nobody may join any more:
-- the answer was stored, has failed, or is too large to be held. Then the next request flies anew.
--
-- Memory: what all flights of a worker hold is bounded by `fetch.held_bytes` (beyond it, flights keep only what their
-- readers still need) and, per flight, by core/flight; how many there are, by `fetch.most`.

local bus = require('causeway.io.flight_bus')
local core_flight = require('causeway.core.flight')
local fetch = require('causeway.io.fetch')
local fetch_request = require('causeway.io.fetch_request')
local mirrors = require('causeway.io.flight_mirrors')
local semaphore = require('ngx.semaphore')
local settings = require('causeway.settings')
local workers = require('causeway.io.workers')

local M = {}

local DICTIONARY = 'causeway_flights'
local PREFIX = 'own:'
-- What a flight may hold beyond what its slowest reader has taken, once it does not hold the whole answer.
local WINDOW_BYTES = 131072
-- Longer than any answer takes: an owner that died without a trace is forgotten then, if not found out before.
local OWNED_SECONDS = 7200

--- How many answers this worker fetches, and what its flights hold in bytes.
M.active = { fetches = 0, bytes = 0 }

-- A timer that nginx cannot give a connection is dropped without a word to whoever set it: a fetch that has not begun
-- after so long never will.
local BEGIN_SECONDS = 2
-- How long requests go their own way after a fetch could not begin.
local REST_SECONDS = 1

-- key -> flight that requests of this worker may join: its own, or one that it follows
local joinable = {}
-- flight whose fetch has not begun -> `{ key, since }`
local unbegun = {}
local resting_until = 0

local function dictionary()
  return ngx.shared[DICTIONARY]
end

-- Gives a key back, if it is still this flight's.
local function resign(key, flight)
  if flight.claim and dictionary():get(PREFIX .. key) == flight.claim then
    dictionary():delete(PREFIX .. key)
  end
  flight.claim = nil
end

local function new_flight(key)
  local flight
  flight = core_flight.new({
    keep = settings.cache.max_item_bytes,
    window = WINDOW_BYTES,
    account = function(bytes)
      M.active.bytes = M.active.bytes + bytes
      if bytes > 0 and M.active.bytes > settings.fetch.held_bytes then
        flight:let_go()
      end
    end,
    on_closed_to_joiners = function()
      if joinable[key] == flight then
        joinable[key] = nil
      end
      -- At its end the key is kept until the answer has been stored, or others would ask for it anew.
      if not flight.outcome then
        resign(key, flight)
      end
    end,
  })
  return flight
end

-- The fetch of a flight has ended, or never began.
local function ended(key, flight)
  resign(key, flight)
  M.active.fetches = M.active.fetches - 1
  if flight.outcome == 'gone' then
    resting_until = ngx.now() + REST_SECONDS
  end
end

-- Gives up what has not begun in time: nothing has been sent.
local function give_up()
  local now = ngx.now()
  for flight, begun in pairs(unbegun) do
    if now - begun.since > BEGIN_SECONDS then
      unbegun[flight] = nil
      flight:close('gone')
      ended(begun.key, flight)
    end
  end
end

local function run(premature, flight, job, cache)
  if not unbegun[flight] then
    -- Too late: it was given up.
    return
  end
  unbegun[flight] = nil
  if premature then
    -- This worker ends before the fetch began: nothing has been sent.
    flight:close('gone')
  else
    fetch.run(flight, job, cache, function()
      -- From now on whoever asks on this node finds it.
      resign(job.place.key, flight)
    end)
  end
  ended(job.place.key, flight)
end

-- Starts to fetch. With a claim on the key, others may join.
local function lead(job, cache, claim)
  local key = job.place.key
  local flight = new_flight(key)
  flight.claim = claim
  local ok, problem = ngx.timer.at(0, run, flight, fetch_request.prepare(job), cache)
  if not ok then
    resign(key, flight)
    return nil, problem
  end
  M.active.fetches = M.active.fetches + 1
  unbegun[flight] = { key = key, since = ngx.now() }
  if claim then
    joinable[key] = flight
    bus.watch()
  end
  return M.join(flight), false
end

-- A flight that another worker fills.
local function follow(key, owner)
  if not bus.watch(true) then
    return nil, 'exiting'
  end
  local flight = new_flight(key)
  flight.follows = true
  joinable[key] = flight
  mirrors.begin(flight, key, owner)
  if flight.outcome then
    -- It could not even be asked for.
    return nil, 'again'
  end
  return M.join(flight), true
end

-- Whether this worker may fetch no more for now.
local function is_full()
  return M.active.fetches >= settings.fetch.most or ngx.now() < resting_until
end

local claims = 0

-- Claims a key. Returns the claim, or the worker that has it already; neither where there is no room for it.
local function claim_key(key)
  local pid = ngx.worker.pid()
  claims = claims + 1
  local claim = pid .. ' ' .. claims
  for _ = 1, 2 do
    local ok, problem = dictionary():safe_add(PREFIX .. key, claim, OWNED_SECONDS)
    if ok then
      return claim
    elseif problem ~= 'exists' then
      return nil
    end
    local other = dictionary():get(PREFIX .. key)
    local owner = other and tonumber(other:match('^%d+'))
    if owner and workers.is_alive(owner) then
      return nil, owner
    elseif owner then
      dictionary():delete(PREFIX .. key)
    end
  end
  return nil
end

--- A reader of the answer to a request: of one that is being fetched already, or of one that is fetched from now on.
-- Does not wait.
-- @tparam table job of io/fetch_request
-- @tparam table cache of core/cache
-- @tparam function came_in() whether a copy has been stored since the request looked for one
-- @treturn table|nil reader of core/flight, with `wait(seconds)`
-- @treturn boolean|string whether somebody else's fetch is shared; or, where there is no reader, why: `again`: look for
--   a copy once more and come back; else the request must go its own way
function M.enter(job, cache, came_in)
  local key = job.place.key
  give_up()
  if joinable[key] then
    return M.join(joinable[key]), true
  end
  if is_full() then
    return nil, 'full'
  end
  local claim, owner = claim_key(key)
  if owner == ngx.worker.pid() then
    -- It is being stored just now.
    return nil, 'again'
  elseif owner then
    return follow(key, owner)
  elseif claim and came_in() then
    dictionary():delete(PREFIX .. key)
    return nil, 'again'
  end
  return lead(job, cache, claim)
end

--- A reader of an answer that is fetched for this request alone, as sharing has failed.
-- @treturn ?table reader; nil where the request must go its own way
function M.alone(job, cache)
  if is_full() then
    return nil
  end
  return lead(job, cache, nil)
end

--- Adds a reader to a flight that may be joined.
function M.join(flight)
  local woken = semaphore.new(0)
  local waiting = false
  local reader = flight:join(function()
    if waiting then
      waiting = false
      woken:post(1)
    end
  end)
  reader.wait = function(seconds)
    waiting = true
    if not woken:wait(seconds) then
      -- Timers by which it would be woken may have been dropped.
      give_up()
      bus.watch()
    end
  end
  return reader
end

bus.init(function(key)
  local flight = joinable[key]
  return flight and not flight.follows and flight or nil
end, function()
  return M.active.fetches > 0
end)

return M
