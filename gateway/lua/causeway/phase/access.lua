--- May they: refusals, the consumer's limits and policies; then the way to an upstream.

local attempt = require('causeway.phase.attempt')
local cached = require('causeway.phase.cached')
local context = require('causeway.phase.context')
local limits = require('causeway.phase.limits')
local policy = require('causeway.core.policy')
local refuse = require('causeway.phase.refuse')
local request_body = require('causeway.io.request_body')
local request_head = require('causeway.io.request_head')
local requested = require('causeway.io.requested')

local M = {}

-- Headers that must reach the upstream whatever a client's Connection header says: nominating one of them to be dropped
-- would be a way round authentication or framing.
local NEVER_NOMINATED = {
  ['close'] = true,
  ['keep-alive'] = true,
  ['authorization'] = true,
  ['x-api-key'] = true,
  ['content-encoding'] = true,
  ['content-length'] = true,
  ['content-type'] = true,
  ['host'] = true,
  ['transfer-encoding'] = true,
}

-- RFC 9110, 7.6.1: what Connection nominates is meant for this hop alone.
local function strip_nominated(connection)
  for name in connection:lower():gmatch('[^%s,]+') do
    if not NEVER_NOMINATED[name] and name:sub(1, 10) ~= 'anthropic-' then
      ngx.req.clear_header(name)
    end
  end
end

local function apply_policy(request, var)
  local consumer, class = request.consumer, request.class
  if not policy.needs_head(consumer, class) then
    return
  end
  local head = request_head.read(var, ngx.req.get_headers(0))
  local refusal = policy.check_head(consumer, class, head)
  if refusal then
    return refuse.send(request, refusal.status, refusal.reason, refusal.message)
  end
  if not policy.needs_body(consumer, class, head) then
    return
  end
  requested.receive(request)
  local body = policy.is_readable(class, head) and request_body.read(policy.MAX_SCANNED_BYTES) or nil
  local problem, model, stream = policy.check_body(consumer, class, body, request_body.SCAN_OPTIONS)
  request.model = model
  if problem then
    return refuse.send(request, problem.status, problem.reason, problem.message)
  end
  if stream and consumer.maxStreams < consumer.concurrency then
    return limits.take_stream(request)
  end
end

function M.run()
  local request, var = context.get(), ngx.var
  local denied = request.denied
  if denied then
    return refuse.send(request, denied.status, denied.reason, denied.message, denied.headers)
  end
  if request.consumer then
    limits.take(request)
    apply_policy(request, var)
  end
  local connection = request.head.connection
  if connection ~= '' and connection ~= 'keep-alive' and connection ~= 'close' then
    strip_nominated(connection)
  end
  if request.consumer then
    cached.run(request, var)
  end
  -- Last: it may not come back.
  return attempt.begin(request, var)
end

return M
