--- The last phase: gives back what the request held, takes from nginx what its line will say (phase/record), and puts
-- it in line for that. What a breaker or a limit must hear of now is concluded now.

local cached = require('causeway.phase.cached')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local inflight = require('causeway.io.inflight')
local lines = require('causeway.io.lines')
local record = require('causeway.phase.record')
local requested = require('causeway.io.requested')

local find = string.find

local M = {}

-- nginx reset an HTTP/2 stream whose header block was broken, and answered nothing.
local NO_STATUS, BAD_REQUEST = 0, 400

local function give_back(request)
  if request.requests_slot then
    inflight.leave(request.requests_slot)
  end
  if request.streams_slot then
    inflight.leave(request.streams_slot)
  end
  if request.reader then
    cached.leave(request)
  end
  if request.large then
    cached.end_turn(request)
  end
  -- Nor does it keep, until its line is made, what only the cache counts.
  request.copy, request.sought, request.headers = nil, nil, nil
end

-- Claude Code names itself; nobody else sends its headers, and looking for them costs three walks over all headers.
local function claude_code(facts, var)
  return find(facts, 'claude', 1, true) and {
    session_id = var.http_x_claude_code_session_id,
    agent_id = var.http_x_claude_code_agent_id,
    parent_agent_id = var.http_x_claude_code_parent_agent_id,
  } or nil
end

-- Takes over what only nginx knows, as long as it does.
local function take_facts(request, var)
  local status = ngx.status
  request.status = status == NO_STATUS and BAD_REQUEST or status
  request.facts = var.causeway_facts
  request.claude_code = claude_code(request.facts, var)
  request.began_at = ngx.req.start_time()
  request.ended = clock.monotonic_ms()
  if not request.head then
    -- Not nginx's own variable: it says GET once an own error has been redirected to.
    request.head = { method = (var.request or ''):match('^([%u_%-]+) '), target = var.request_uri }
  end
end

-- Whether nobody needs to know before its line is made how the request went: it went well, counts for no breaker, and
-- only its tokens are to be found out.
local function may_wait(request)
  local reader = request.usage
  return request.status < 400 and not request.stream and not request.probe
    and (request.weight or 0) == 0 and (not reader or request.whole and reader:may_wait())
end

-- Whether the line is to name a model that its answer does not name.
local function must_ask_for_model(request, waits)
  if request.model or not requested.names_model(request.route_class) then
    return false
  elseif not request.balanced then
    return request.cache ~= nil
  end
  local names_it = request.usage and (waits or request.used.model)
  return not names_it
end

function M.run()
  local var = ngx.var
  -- A request that ended before any of our phases (a client that left mid-headers) is counted all the same.
  local request = context.get() or context.begin(clock.monotonic_ms())
  -- First: whatever may fail below, a place that is not given back, or a context that is kept, is gone for good.
  give_back(request)
  context.finish(request)
  take_facts(request, var)
  local waits = may_wait(request)
  if not waits then
    record.conclude(request)
  end
  if must_ask_for_model(request, waits) then
    requested.look(request)
  end
  -- From now on the body is no longer to be had.
  request.looked = true
  lines.add(request)
end

return M
