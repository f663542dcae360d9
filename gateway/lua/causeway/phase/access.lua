--- May they: refusals, the consumer's limits and policies, and the credential that goes on to the upstream.

local clock = require('causeway.io.clock')
local documents = require('causeway.io.documents')
local context = require('causeway.phase.context')
local gcra = require('causeway.core.gcra')
local inflight = require('causeway.io.inflight')
local policy = require('causeway.core.policy')
local refuse = require('causeway.phase.refuse')
local request_body = require('causeway.io.request_body')
local settings = require('causeway.settings')
local timestamp = require('causeway.core.timestamp')

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

local function limited(request, reason, message, retry_ms, remaining, reset_ms)
  local consumer = request.consumer
  return refuse.send(request, 429, reason, message, {
    ['retry-after'] = math.ceil(retry_ms / 1000),
    ['retry-after-ms'] = math.ceil(retry_ms),
    ['x-should-retry'] = 'true',
    -- The API counts by the minute.
    ['anthropic-ratelimit-requests-limit'] = math.floor(consumer.rate * 60),
    ['anthropic-ratelimit-requests-remaining'] = remaining,
    ['anthropic-ratelimit-requests-reset'] = timestamp.format(math.ceil(ngx.now() + reset_ms / 1000)),
  })
end

local CONCURRENCY_RETRY_MS = 1000

local function check_rate(request)
  local consumer = request.consumer
  local allowed, remaining, reset_ms, retry_ms, store_error =
    gcra.check(ngx.shared.causeway_limits, consumer.id, consumer.rate, consumer.burst, ngx.now() * 1000)
  if store_error then
    ngx.log(ngx.ERR, 'causeway: the rate of ', consumer.id, ' cannot be counted: ', store_error)
  end
  if not allowed then
    -- The next token is one, and those who wait for it may be many: told the same time, all but one come in vain, and
    -- the SDKs try twice only (measured: 3 of 5 failed, spread out none). So they are spread until the bucket is empty.
    local wait_ms = retry_ms + math.random() * (reset_ms - retry_ms)
    return limited(request, 'rate', 'This key exceeds its rate of requests.', wait_ms, remaining, reset_ms)
  end
end

local function take_place(request, kind, limit, message)
  local consumer = request.consumer
  if not inflight.take(kind, consumer.id, limit) then
    return limited(request, 'concurrency', message, CONCURRENCY_RETRY_MS, 0, CONCURRENCY_RETRY_MS)
  end
  request[kind .. '_taken'] = true
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
  local body = policy.is_readable(class, head) and request_body.read(policy.MAX_SCANNED_BYTES) or nil
  local problem, model, stream = policy.check_body(consumer, class, body, request_body.SCAN_OPTIONS)
  request.model = model
  if problem then
    return refuse.send(request, problem.status, problem.reason, problem.message)
  end
  if stream and consumer.maxStreams < consumer.concurrency then
    return take_place(request, 'streams', consumer.maxStreams, 'This key exceeds its number of concurrent streams.')
  end
end

-- The client's credential stops here, the upstream's takes its place.
local function inject_credential(request, var)
  local upstream = settings.upstream_by_id[request.upstream]
  local secret = documents.credentials.value[request.consumer.upstreamCredential or upstream.credential]
  if not secret then
    return refuse.send(request, 503, 'no_upstream_credential', 'The upstream credential of this consumer is missing.')
  end
  if upstream.credential_header == 'authorization' then
    var.causeway_authorization = 'Bearer ' .. secret
  else
    var.causeway_api_key = secret
  end
end

function M.run()
  local request, var = context.get(), ngx.var
  local denied = request.denied
  if denied then
    return refuse.send(request, denied.status, denied.reason, denied.message, denied.headers)
  end
  if request.consumer then
    check_rate(request)
    take_place(request, 'requests', request.consumer.concurrency, 'This key exceeds its number of concurrent requests.')
    apply_policy(request, var)
  end
  if settings.auth.mode == 'keys' then
    inject_credential(request, var)
  else
    var.causeway_authorization = var.http_authorization or ''
    var.causeway_api_key = var.http_x_api_key or ''
  end
  local connection = var.http_connection
  if connection and connection ~= '' and connection ~= 'keep-alive' and connection ~= 'close' then
    strip_nominated(connection)
  end
  request.passed = clock.monotonic_ms()
end

return M
