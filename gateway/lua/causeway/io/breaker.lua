--- The node's breakers: core/breaker on the shared dictionary, fed with what became of requests. Requests of all
-- workers count together; what changes is said in the log, and counted for the gauges.

local breaker = require('causeway.core.breaker')
local breaker_models = require('causeway.core.breaker_models')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local log = require('causeway.io.log')
local requested = require('causeway.io.requested')
local settings = require('causeway.settings')

local M = {}

local LOOK_SECONDS = 1
-- What `passthrough` knows nothing of is one consumer: anybody could be as many as they like.
local UNPROVEN = 'unproven'

-- nil where the breaker is disabled
local breakers
local deadline_ms
-- upstream id -> route classes that it serves
local classes_of = {}
-- upstream id -> breakers that are not closed, as the last sweep found them
local not_closed = {}

local function store()
  return ngx.shared.causeway_breaker
end

local WORDS = {
  open = function(change)
    if change.why then
      return ' is open again: ' .. change.why
    end
    return (' is open: %d of %d requests failed, of %d consumers'):format(change.bad, change.total, change.consumers)
  end,
  ['half-open'] = function()
    return ' is half-open: it lets probes through'
  end,
  closed = function(change)
    return ' is closed: ' .. change.why
  end,
}

local function on_change(change)
  store():incr('count ' .. change.to .. ' ' .. change.upstream, 1, 0)
  ngx.log(
    ngx.NOTICE, 'causeway: the breaker of ', change.upstream, ' for ', change.class, ', model ', change.model,
    WORDS[change.to](change)
  )
end

--- Makes the breakers. Called in the master.
function M.init()
  local rules = settings.breaker
  if not rules then
    return
  end
  breakers = breaker.new({
    store = store(),
    clock = clock.monotonic_ms,
    rules = {
      window_ms = rules.window_seconds * 1000,
      error_share = rules.error_share,
      min_requests = rules.min_requests,
      min_consumers = rules.min_consumers,
      open_ms = rules.open_seconds * 1000,
      probes = rules.probes,
      close_after = rules.close_after,
    },
    models = breaker_models.new(store(), clock.monotonic_ms, rules.max_models),
    on_change = on_change,
  })
  deadline_ms = rules.stream_first_byte_seconds * 1000
  for class, ids in pairs(settings.route_upstreams) do
    for _, id in ipairs(ids) do
      classes_of[id] = classes_of[id] or {}
      table.insert(classes_of[id], class)
    end
  end
end

local function model_of(request)
  if not requested.names_model(request.route_class) then
    return breaker_models.NONE
  end
  requested.look(request)
  return request.asked_model
end

-- Requests that come in one millisecond are let through by one look: upstream id -> route class -> when all of its
-- breakers were found closed, by nginx's clock. What fails in this worker has it look again.
local calm_at = {}

--- Whether an upstream's breakers for the request's route class are all closed, so that nothing need be looked at.
function M.calm(request, upstream)
  if not breakers then
    return true
  end
  local class, now = request.route_class, ngx.now()
  local found = calm_at[upstream]
  if found and found[class] == now then
    return true
  end
  local calm = breakers:calm(upstream, class)
  if calm then
    found = found or {}
    calm_at[upstream], found[class] = found, now
  end
  return calm
end

--- Whether the request may be sent to an upstream. Where it may be as a probe, it is marked as one. Its body must have
-- been received, unless the breakers are calm.
-- @treturn boolean
-- @treturn nil|number ms after which to come again
function M.admit(request, upstream)
  request.probe = nil
  if M.calm(request, upstream) then
    return true
  end
  local admitted, more = breakers:admit(upstream, request.route_class, model_of(request))
  if not admitted then
    return false, more
  end
  request.probe = more
  return true
end

--- The same without marking it.
function M.would_admit(request, upstream)
  return M.calm(request, upstream) or breakers:would_admit(upstream, request.route_class, model_of(request))
end

--- The request goes out to its upstream now: what the breaker will want to know of it is found out where it is cheap.
-- Its body has been received.
function M.sent(request, now)
  request.sent, request.answered = now, nil
  if not breakers then
    return
  end
  local weight = request.probe and 1 or requested.weight()
  request.weight = weight
  if weight > 0 then
    requested.look(request)
  end
end

--- The upstream did what it was asked for.
function M.succeeded(request)
  if not breakers or request.verdict or request.weight == 0 then
    return
  end
  request.verdict = 'success'
  breakers:succeed(request.upstream, request.route_class, model_of(request), request.weight, request.probe)
end

local function fail(request, weight)
  request.verdict = 'failure'
  calm_at = {}
  local consumer = not request.unproven and request.consumer_id or UNPROVEN
  breakers:fail(
    request.upstream, request.route_class, model_of(request), weight, request.probe, consumer, request.sent
  )
end

--- Nothing can be said of the upstream: a 4xx, a client that left, a request that was not sent after all.
function M.undecided(request)
  if breakers and request.probe and not request.verdict then
    request.verdict = 'none'
    breakers:release(request.probe)
  end
end

--- The upstream failed; it may have begun well.
function M.failed(request)
  if not breakers or request.verdict == 'failure' then
    return
  elseif not request.sent then
    -- It had no address.
    return M.undecided(request)
  end
  fail(request, 1)
end

-- Streams whose first byte is overdue have failed, though they hang on: their clients may wait for long.
local function look_for_overdue(now)
  for _, request in pairs(context.all()) do
    if request.asks_stream and request.sent and not request.answered and not request.verdict
      and now - request.sent >= deadline_ms
    then
      request.overdue = true
      fail(request, request.weight)
    end
  end
end

local function on_timer(premature)
  if premature then
    return
  end
  look_for_overdue(clock.monotonic_ms())
  if log.is_speaker() then
    not_closed = breakers:sweep(classes_of, requested.names_model)
  end
end

--- Starts this worker's looking.
function M.start()
  if breakers then
    assert(ngx.timer.every(LOOK_SECONDS, on_timer))
  end
end

local function take(key)
  local count = store():get(key) or 0
  if count > 0 then
    store():incr(key, -count)
  end
  return count
end

--- What the breakers of an upstream did since this was last asked, by metric. Only for the worker that speaks.
-- @treturn {[string]=number} empty where the breaker is disabled
function M.metrics(upstream)
  if not breakers then
    return {}
  end
  return {
    BreakerOpenNow = not_closed[upstream] or 0,
    BreakerOpened = take('count open ' .. upstream),
    BreakerHalfOpened = take('count half-open ' .. upstream),
    BreakerClosed = take('count closed ' .. upstream),
  }
end

return M
