--- May they: refusals, the consumer's limits and policies; then the way to an upstream.

local attempt = require('causeway.phase.attempt')
local context = require('causeway.phase.context')
local limits = require('causeway.phase.limits')
local policy = require('causeway.core.policy')
local refuse = require('causeway.phase.refuse')
local request_body = require('causeway.io.request_body')
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

-- Methods that over HTTP/2 are taken to have no body unless they say its length: there is no telling before it comes.
local BODILESS = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

-- What policies ask of the head. By exact names: nginx's variables take `Content_Length` for `Content-Length`.
local function read_head(var)
  local headers = ngx.req.get_headers(0)
  local length = tonumber(var.content_length)
  local http2 = ngx.req.http_version() >= 2
  local has_body = (length or 0) > 0 or headers['transfer-encoding'] ~= nil
  if http2 and not length then
    has_body = not BODILESS[ngx.req.get_method()]
  end
  local override
  for _, name in ipairs(policy.OVERRIDES) do
    override = override or headers[name] and name
  end
  return {
    has_body = has_body,
    length = length,
    http2 = http2,
    encoding = headers['content-encoding'],
    content_type = headers['content-type'],
    override = override,
  }
end

local function apply_policy(request, var)
  local consumer, class = request.consumer, request.class
  if not policy.needs_head(consumer, class) then
    return
  end
  local head = read_head(var)
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
  local connection = var.http_connection
  if connection and connection ~= '' and connection ~= 'keep-alive' and connection ~= 'close' then
    strip_nominated(connection)
  end
  -- Last: it may not come back.
  return attempt.begin(request, var)
end

return M
