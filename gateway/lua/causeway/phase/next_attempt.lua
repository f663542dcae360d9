--- An attempt has failed before a byte of its answer reached the client: asks the next upstream, where that may be done
-- and there is one.

local attempt = require('causeway.phase.attempt')
local breaker = require('causeway.io.breaker')
local context = require('causeway.phase.context')
local failover = require('causeway.core.failover')
local lines = require('causeway.io.lines')
local settings = require('causeway.settings')

local M = {}

-- How long to wait where all have failed and none is left alone.
local RETRY_MS = 1000

-- An answer of nginx's own, in the API's shape.
local function own_error(status)
  return ngx.exec('/.causeway/error/' .. status)
end

-- The request's own line tells of the upstream that is asked last: those before have lines of their own.
local function tell(request, var, outcome)
  local connect = tonumber(failover.last(var.upstream_connect_time))
  local first_byte = tonumber(failover.last(var.upstream_header_time))
  lines.now({
    Failovers = 1,
    UpstreamErrors5xx = 1,
    UpstreamOverloads = outcome.status == 529 and 1 or nil,
    UpstreamConnectTime = connect and connect > 0 and connect * 1000 or nil,
    TimeToFirstByte = first_byte and first_byte * 1000 or nil,
  }, {
    Environment = settings.environment,
    Region = settings.region,
    Upstream = request.upstream,
    RouteClass = request.route_class,
    requestId = request.id,
    model = request.asked_model,
    upstreamRequestId = failover.last(var.upstream_http_request_id),
    upstreamStatus = outcome.status,
    upstreamAddress = failover.last(var.upstream_addr),
  })
end

function M.run()
  local request, var = context.get(), ngx.var
  local outcome = failover.outcome(
    var.upstream_status, var.upstream_header_time, var.upstream_bytes_sent, tonumber(var.content_length) or 0
  )
  if not request or not outcome.status then
    -- Nothing was asked of anybody: the fault is ours.
    return own_error(500)
  end
  breaker.failed(request)
  local upstream = settings.upstream_by_id[request.upstream]
  if not failover.may_repeat(outcome, request.route_class, upstream.repeat_after_sent) then
    return own_error(outcome.status)
  end
  local number, wait = attempt.choose(request, request.attempt)
  if number then
    tell(request, var, outcome)
    return attempt.enter(request, var, number)
  elseif outcome.answered then
    -- Its answer is gone: when it was asked, another was there to be asked after it.
    return attempt.refuse(request, 'upstreams_failed', wait or RETRY_MS)
  end
  return own_error(outcome.status)
end

return M
