--- What is known of a request, from its first phase to its log line. `ngx.ctx` is lost on every internal redirect (own
-- errors, later upstreams); nginx's own structure of a request stays where it is in memory, so its address is what the
-- context is found by.

local ffi = require('ffi')
local get_request = require('resty.core.base').get_request

local cast = ffi.cast

local M = {}

-- address -> context, for requests in flight
local inflight = {}
local next_number = 0

--- How many requests and streams of this worker are in flight.
M.active = { requests = 0, streams = 0 }

-- What tells this worker's requests from all others': 64 random bits. The number of the request follows.
local id_prefix

local function random_prefix()
  local handle = assert(io.open('/dev/urandom', 'rb'))
  local bytes = handle:read(8)
  handle:close()
  return 'req_' .. bytes:gsub('.', function(character)
    return ('%02x'):format(character:byte())
  end)
end

local function address()
  local request = get_request()
  return request and tonumber(cast('uintptr_t', cast('void *', request)))
end

-- Most requests come to have these, and no others. Named here, each has its place from the start: to put a name into a
-- table that lacks it takes ten times as long. They are few enough for 32 places: twice as many would take twice the
-- time to make and to collect.
local function new_context(id, started, none)
  return {
    -- The gateway's own request id, in the API's form; monotonic ms.
    id = id, started = started,
    -- phase/rewrite: whose it is, and what it asks for.
    consumer = none, consumer_id = none, head = none, class = none, route_class = none,
    -- phase/access: what it holds.
    requests_slot = none,
    -- phase/attempt and phase/balancer: the way to its upstream. Times are monotonic ms.
    upstream = none, attempts = none, passed = none, balanced = none, peer = none, sent = none, weight = none,
    verdict = none, answered = none,
    -- The filters: what comes back.
    stream = none, usage = none, whole = none,
    -- phase/log: what its line says.
    status = none, facts = none, claude_code = none, began_at = none, ended = none, looked = none,
    concluded = none, used = none, upstream_status = none, usage_counted = none,
  }
end

local function forget(key, context)
  inflight[key] = nil
  if not context.fetch then
    M.active.requests = M.active.requests - 1
    M.active.streams = M.active.streams - (context.stream and 1 or 0)
  end
end

--- Begins a request's context.
-- @tparam number started
-- @tparam ?string fetch_for where it is no client's request but a fetch (io/fetch): the id of the one that began it
function M.begin(started, fetch_for)
  next_number = next_number + 1
  id_prefix = id_prefix or random_prefix()
  local key = address()
  if inflight[key] then
    -- The structure is another request's now: the one before has ended without its last phase.
    forget(key, inflight[key])
  end
  local context = new_context(id_prefix .. ('%016x'):format(next_number), started)
  inflight[key] = context
  if fetch_for then
    context.id, context.fetch = fetch_for, true
  else
    M.active.requests = M.active.requests + 1
  end
  return context
end

--- The context of the current request; nil where it was refused before the access phase.
function M.get()
  local key = address()
  return key and inflight[key]
end

--- The contexts of this worker's requests in flight, by the address of each.
function M.all()
  return inflight
end

--- Marks the request as a stream, once its answer says so.
function M.mark_stream(context)
  if not context.stream then
    context.stream = true
    if not context.fetch then
      M.active.streams = M.active.streams + 1
    end
  end
end

--- Ends the context of the current request: its last phase has run.
function M.finish(context)
  local key = address()
  if inflight[key] == context then
    forget(key, context)
  end
end

return M
