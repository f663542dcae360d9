--- Who asks, and may they: path, authentication, the upstream's credential.

local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local documents = require('causeway.io.documents')
local refuse = require('causeway.phase.refuse')
local route = require('causeway.core.route')
local settings = require('causeway.settings')
local sha256 = require('causeway.io.sha256')

local M = {}

-- Headers that must reach the upstream whatever a client's Connection header says: nominating one of them to be dropped
-- would be a way round authentication or framing.
local NEVER_NOMINATED = {
  ['close'] = true,
  ['keep-alive'] = true,
  ['authorization'] = true,
  ['x-api-key'] = true,
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

--- The credential that the client sent: one of the two headers, or both when they agree (Claude Code's apiKeyHelper).
-- @treturn string|nil
-- @treturn nil|string why there is none: 'missing', 'malformed' or 'disagree'
local function client_credential(var)
  local key, authorization = var.http_x_api_key, var.http_authorization
  local bearer
  if authorization and authorization ~= '' then
    bearer = authorization:match('^[Bb][Ee][Aa][Rr][Ee][Rr] +([^%s]+)$')
    if not bearer then
      return nil, 'malformed'
    end
  end
  if key == '' then
    key = nil
  end
  if key and bearer and key ~= bearer then
    return nil, 'disagree'
  end
  local credential = bearer or key
  if not credential then
    return nil, 'missing'
  end
  return credential
end

local REFUSALS = {
  missing = { 'no_credential', 'x-api-key header is required' },
  malformed = { 'bad_authorization', 'invalid authorization header' },
  disagree = { 'credentials_disagree', 'x-api-key and authorization disagree; send one of them' },
  unknown = { 'unknown_key', 'invalid x-api-key' },
  expired = { 'expired_key', 'invalid x-api-key' },
  disabled = { 'disabled_consumer', 'invalid x-api-key' },
}

local function refuse_credential(request, reason)
  local refusal = REFUSALS[reason]
  return refuse.send(request, 401, refusal[1], refusal[2])
end

-- The gateway's own keys: the client's credential stops here, the upstream's takes its place.
local function use_gateway_key(request, var, credential)
  local registry, credentials = documents.registry.value, documents.credentials.value
  if not registry or not credentials then
    return refuse.send(request, 503, 'not_ready', 'Causeway is starting.', { ['retry-after'] = 1 })
  end
  local consumer, reason = registry:find(sha256.hex(credential), ngx.time())
  if not consumer then
    return refuse_credential(request, reason)
  end
  request.consumer = consumer.id
  local upstream = settings.upstream_by_id[var.causeway_upstream]
  local secret = credentials[consumer.upstreamCredential or upstream.credential]
  if not secret then
    return refuse.send(request, 503, 'no_upstream_credential', 'The upstream credential of this consumer is missing.')
  end
  if upstream.credential_header == 'authorization' then
    var.causeway_authorization = 'Bearer ' .. secret
  else
    var.causeway_api_key = secret
  end
end

-- The client's own credential goes through; only its hash is used here.
local function pass_credential(request, var, credential)
  request.consumer = 'credential-' .. sha256.hex(credential):sub(1, 16)
  request.consumer_unproven = true
  var.causeway_authorization = var.http_authorization or ''
  var.causeway_api_key = var.http_x_api_key or ''
end

function M.run()
  local request = context.begin(clock.monotonic_ms())
  local var = ngx.var
  local path_problem = route.check_path(var.request_uri)
  if path_problem then
    return refuse.send(request, 400, 'odd_path', 'The path is not allowed: ' .. path_problem .. '.')
  end
  if not settings.allow_admin_api and route.classify('GET', var.uri) == 'admin' then
    return refuse.send(request, 403, 'admin_api', 'The Admin API is not reachable through this gateway.')
  end
  local credential, problem = client_credential(var)
  if not credential then
    return refuse_credential(request, problem)
  end
  if settings.auth.mode == 'keys' then
    use_gateway_key(request, var, credential)
  else
    pass_credential(request, var, credential)
  end
  local connection = var.http_connection
  if connection and connection ~= '' and connection ~= 'keep-alive' and connection ~= 'close' then
    strip_nominated(connection)
  end
  request.passed = clock.monotonic_ms()
end

return M
