--- The circuit breaker: whether an upstream is asked at all, by route class and model.
--
-- closed     every request passes. Failures and successes of the last `window_ms` are counted. It opens at a failure
--            after which there were `min_requests` of them, the share `error_share` of them failed, and the failures
--            came from `min_consumers` consumers.
-- open       no request passes, for `open_ms`.
-- half-open  `probes` requests at a time pass. `close_after` of them that succeed close it, one that fails opens it
--            again. A slot that is not given back within `open_ms` is given to the next. A probe that decides nothing
--            (4xx, a client that left) gives its slot back.
-- A half-open breaker that nobody asks for a window, or whose probes decide nothing for so long, closes.
--
-- What it costs: a closed one is one `get`, by `calm`, which also says that nothing else has to be looked at.
-- State: the only mark of a breaker that is not closed is its generation: the moment from which on it is half-open.
-- Whoever must know whether a state is still the one it saw compares generations, and what only one worker may do is
-- decided by an `add`.
--
-- Units: milliseconds of one clock that all workers of a node share (monotonic); the store's ttl in seconds.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `set(key, value, ttl)`,
-- `add(key, value, ttl)`, `incr(key, value, init, init_ttl)`, `delete`. A probe is a table that `admit` gives and
-- `succeed`, `fail` and `release` take.

local floor = math.floor

local window = require('causeway.core.window')

local M = {}
M.__index = M

-- When the others come again that a half-open breaker lets wait.
local RETRY_MS = 1000
-- What must outlive the longest request: an hour of streaming and the time for which it is waited for.
local LONG_SECONDS = 2 * 3600
-- Within which workers that change the same state are told apart.
local RACE_SECONDS = 60

--- @tparam table options `store`; `clock()` -> ms; `rules` with the names above; `models` (core/breaker_models);
-- `on_change(change)`, called by the one worker that changes a breaker, with `change.to` (`open`, `half-open`,
-- `closed`), `upstream`, `class`, `model` and what led to it: `bad`, `total`, `consumers`, or `why`
function M.new(options)
  return setmetatable({
    store = options.store,
    clock = options.clock,
    rules = options.rules,
    models = options.models,
    on_change = options.on_change,
    window = window.new(options.store, options.rules.window_ms),
    -- What is kept of one generation: longer than it is likely to last.
    generation_seconds = 4 * (options.rules.window_ms + options.rules.open_ms) / 1000 + RACE_SECONDS,
    calm_keys = {},
  }, M)
end

local function id_of(upstream, class, model)
  return upstream .. ' ' .. class .. ' ' .. model
end

local function calm_key(self, upstream, class)
  local keys = self.calm_keys[upstream]
  if not keys then
    keys = {}
    self.calm_keys[upstream] = keys
  end
  local key = keys[class]
  if not key then
    key = 'any ' .. upstream .. ' ' .. class
    keys[class] = key
  end
  return key
end

local function changed(self, to, upstream, class, model, more)
  local change = more or {}
  change.to, change.upstream, change.class, change.model = to, upstream, class, model
  self.on_change(change)
end

--- Whether all breakers of an upstream's route class are closed.
function M:calm(upstream, class)
  return self.store:get(calm_key(self, upstream, class)) == nil
end

-- Closed -> open, or half-open -> open.
local function open(self, upstream, class, model, counts)
  local id, now = id_of(upstream, class, model), self.clock()
  local generation = floor(now + self.rules.open_ms)
  -- Before the state: who sees that something is open looks closer, and finds nothing yet at worst.
  self.store:set(calm_key(self, upstream, class), generation)
  if counts.reopened then
    if not self.store:add('reopened ' .. id .. ' ' .. counts.reopened, true, RACE_SECONDS) then
      return
    end
    self.store:set('open ' .. id, generation)
  elseif not self.store:add('open ' .. id, generation) then
    return
  end
  for _, name in ipairs({ 'bad ', 'good ', 'who ' }) do
    self.window:clear(name .. id, now)
  end
  changed(self, 'open', upstream, class, model, counts)
end

local function close(self, upstream, class, model, generation, why)
  local id = id_of(upstream, class, model)
  if not self.store:add('closed ' .. id .. ' ' .. generation, true, RACE_SECONDS) then
    return
  end
  -- First: a failure of a request from before must not count against what has recovered since.
  self.store:set('since ' .. id, self.clock(), LONG_SECONDS)
  self.store:delete('open ' .. id)
  changed(self, 'closed', upstream, class, model, { why = why })
end

--- Whether a request may be sent to an upstream.
-- @tparam string upstream its id
-- @tparam string class the route class
-- @tparam ?string model as the request names it; nil where it could not be read
-- @treturn boolean
-- @return the probe that the request is, where the breaker is half-open; what is left of the time in ms, where it may
--   not be sent
function M:admit(upstream, class, model)
  model = self.models:look_up(model)
  local id = id_of(upstream, class, model)
  local generation = self.store:get('open ' .. id)
  if not generation then
    return true
  end
  local now = self.clock()
  if now < generation then
    return false, generation - now
  end
  for number = 1, self.rules.probes do
    local slot = 'probe ' .. id .. ' ' .. generation .. ' ' .. number
    if self.store:add(slot, now, self.rules.open_ms / 1000) then
      local about = id .. ' ' .. generation
      self.store:set('asked ' .. about, now, self.generation_seconds)
      self.store:incr('undecided ' .. about, 1, 0, self.generation_seconds)
      if self.store:add('half-open ' .. about, true, self.generation_seconds) then
        changed(self, 'half-open', upstream, class, model)
      end
      return true, {
        upstream = upstream, class = class, model = model,
        id = id, generation = generation, slot = slot, since = now,
      }
    end
  end
  return false, RETRY_MS
end

--- Whether `admit` would let a request through; takes no slot.
function M:would_admit(upstream, class, model)
  local id = id_of(upstream, class, self.models:look_up(model))
  local generation = self.store:get('open ' .. id)
  if not generation then
    return true
  elseif self.clock() < generation then
    return false
  end
  for number = 1, self.rules.probes do
    if not self.store:get('probe ' .. id .. ' ' .. generation .. ' ' .. number) then
      return true
    end
  end
  return false
end

-- Gives a probe's slot back, once. Returns how many probes of its generation are undecided.
local function give_back(self, probe)
  local undecided = 'undecided ' .. probe.id .. ' ' .. probe.generation
  if probe.given_back then
    return self.store:get(undecided) or 0
  end
  probe.given_back = true
  -- After its time the slot is somebody else's.
  if self.store:get(probe.slot) == probe.since then
    self.store:delete(probe.slot)
  end
  return self.store:incr(undecided, -1, 0, self.generation_seconds)
end

-- Whether a probe's breaker is still the half-open one that let it through.
local function is_current(self, probe)
  return self.store:get('open ' .. probe.id) == probe.generation
end

--- A request succeeded.
-- @tparam string upstream
-- @tparam string class
-- @tparam ?string model
-- @tparam number weight for how many requests it stands
-- @tparam ?table probe what `admit` gave for it
function M:succeed(upstream, class, model, weight, probe)
  if not probe then
    self.window:add('good ' .. id_of(upstream, class, self.models:name(model)), weight, self.clock())
    return
  end
  local current = is_current(self, probe)
  give_back(self, probe)
  if not current then
    return
  end
  local successes = self.store:incr('won ' .. probe.id .. ' ' .. probe.generation, 1, 0, self.generation_seconds)
  if successes == self.rules.close_after then
    close(self, probe.upstream, probe.class, probe.model, probe.generation, 'probes succeeded')
  end
end

--- A request was neither: a 4xx, or its client left. Gives its slot back where it was a probe.
function M:release(probe)
  if not is_current(self, probe) then
    return give_back(self, probe)
  end
  local undecided = give_back(self, probe)
  -- No probe has failed for a window, or it would be another generation: nothing speaks against the upstream any more.
  if undecided <= 0 and self.clock() >= probe.generation + self.rules.window_ms then
    close(self, probe.upstream, probe.class, probe.model, probe.generation, 'no probe failed')
  end
end

-- Notes that a consumer's request failed. No more are kept than the rule asks for.
local function note_consumer(self, id, consumer, now)
  local key = self.window:key('who ' .. id, now)
  local names = self.store:get(key) or ' '
  local _, count = names:gsub('%S+', '')
  if count < self.rules.min_consumers and not names:find(' ' .. consumer .. ' ', 1, true) then
    self.store:set(key, names .. consumer .. ' ', self.window.ttl)
  end
end

local function failing_consumers(self, id, now)
  local seen, count = {}, 0
  for _, names in ipairs(self.window:values('who ' .. id, now)) do
    for name in names:gmatch('%S+') do
      if not seen[name] then
        seen[name] = true
        count = count + 1
      end
    end
  end
  return count
end

--- A request failed.
-- @tparam string upstream
-- @tparam string class
-- @tparam ?string model
-- @tparam number weight for how many requests it stands
-- @tparam ?table probe what `admit` gave for it
-- @tparam string consumer who sent it: an id without spaces
-- @tparam number sent when it was sent
function M:fail(upstream, class, model, weight, probe, consumer, sent)
  if probe then
    local current = is_current(self, probe)
    give_back(self, probe)
    if current then
      open(self, probe.upstream, probe.class, probe.model, { reopened = probe.generation, why = 'a probe failed' })
    end
    return
  end
  model = self.models:name(model)
  local id, now, rules = id_of(upstream, class, model), self.clock(), self.rules
  -- What was sent before it opened, or before it closed again, is no news.
  if self.store:get('open ' .. id) or sent < (self.store:get('since ' .. id) or sent) then
    return
  end
  self.window:add('bad ' .. id, weight, now)
  note_consumer(self, id, consumer, now)
  local bad = self.window:sum('bad ' .. id, now)
  if bad < rules.min_requests * rules.error_share then
    return
  end
  local total = bad + self.window:sum('good ' .. id, now)
  if total < rules.min_requests or bad < rules.error_share * total then
    return
  end
  local consumers = failing_consumers(self, id, now)
  if consumers >= rules.min_consumers then
    open(self, upstream, class, model, { bad = bad, total = total, consumers = consumers })
  end
end

local function sweep_one(self, upstream, class, model, now)
  local id = id_of(upstream, class, model)
  local generation = self.store:get('open ' .. id)
  if not generation then
    return false
  end
  local asked = self.store:get('asked ' .. id .. ' ' .. generation)
  -- A probe that hangs is waited for as long as it holds its slot, and a window more.
  local since = asked and asked + self.rules.open_ms or generation
  if now < math.max(generation, since) + self.rules.window_ms then
    return true
  end
  close(self, upstream, class, model, generation, 'nobody asked')
  return false
end

--- Closes what nobody asks for. Called by one worker each second.
-- @tparam {[string]={string,...}} classes_of route classes by upstream
-- @tparam function has_models whether requests of a class name a model
-- @treturn {[string]=number} how many breakers of each upstream are not closed
function M:sweep(classes_of, has_models)
  local now, not_closed = self.clock(), {}
  local names = self.models:list()
  names[#names + 1] = self.models.REST
  for upstream, classes in pairs(classes_of) do
    not_closed[upstream] = 0
    for _, class in ipairs(classes) do
      local mark, count = self.store:get(calm_key(self, upstream, class)), 0
      for _, model in ipairs(has_models(class) and names or { self.models.NONE }) do
        count = count + (sweep_one(self, upstream, class, model, now) and 1 or 0)
      end
      -- One that opened just now has left another mark.
      if count == 0 and mark and self.store:get(calm_key(self, upstream, class)) == mark then
        self.store:delete(calm_key(self, upstream, class))
      elseif count > 0 and not mark then
        self.store:set(calm_key(self, upstream, class), now)
      end
      not_closed[upstream] = not_closed[upstream] + count
    end
  end
  return not_closed
end

return M
