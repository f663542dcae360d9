--- Who asks: path and credential, before nginx counts the address. What is refused is refused in the access phase; here
-- it is only found out, so that requests without a good credential are limited by address first.

local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local documents = require('causeway.io.documents')
local kept = require('causeway.core.kept')
local proven = require('causeway.io.proven')
local route = require('causeway.core.route')
local settings = require('causeway.settings')
local sha256 = require('causeway.io.sha256')

local find, sub = string.find, string.sub

local M = {}

-- One value of a header that may have come on several lines: nginx joins them by commas from 1.23 on (before, it gives
-- the first). nil where they differ.
local function single(value)
  local comma = value:find(',', 1, true)
  if not comma then
    return value
  end
  local first = value:sub(1, comma - 1)
  for each in value:gmatch('[^,%s]+') do
    if each ~= first then
      return nil
    end
  end
  return first
end

--- The credential that the client sent: one of the two headers, or both when they agree (Claude Code's apiKeyHelper).
-- @treturn string|nil
-- @treturn nil|string why there is none: 'missing', 'malformed' or 'disagree'
local function client_credential(key, authorization)
  local bearer
  if authorization ~= '' then
    bearer = authorization:match('^[Bb][Ee][Aa][Rr][Ee][Rr] +([^%s]+)$')
    if not bearer then
      return nil, 'malformed'
    end
  end
  if key == '' then
    key = nil
  else
    key = single(key)
    if not key then
      return nil, 'disagree'
    end
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

-- Reason -> word for the log, message. Which of a key's failings it was is not told to whoever tries it.
local REFUSALS = {
  missing = { 'no_credential', 'x-api-key header is required' },
  malformed = { 'bad_authorization', 'invalid authorization header' },
  disagree = { 'credentials_disagree', 'x-api-key and authorization disagree; send one of them' },
  unknown = { 'unknown_key', 'invalid x-api-key' },
  expired = { 'expired_key', 'invalid x-api-key' },
  disabled = { 'disabled_consumer', 'invalid x-api-key' },
}

local NOT_READY = {
  status = 503,
  reason = 'not_ready',
  message = 'Causeway is starting.',
  headers = { ['retry-after'] = 1 },
}

local function deny(status, reason, message)
  return { status = status, reason = reason, message = message }
end

-- The gateway's own keys. Returns what the request is denied for, if anything.
local function authenticate_key(request, credential)
  local registry = documents.registry.value
  if not registry or not documents.credentials.value then
    return NOT_READY
  end
  local consumer, reason = registry:find(sha256.digest(credential), ngx.time())
  if not consumer then
    local refusal = REFUSALS[reason]
    return deny(401, refusal[1], refusal[2])
  end
  request.consumer = consumer
  request.consumer_id = consumer.id
end

-- The client's own credential; only its hash is used here. Limits hold from when the upstream has accepted it: before
-- that, anybody could make as many consumers as they like.
local function take_credential(request, credential)
  -- What browsers ask beforehand is answered without a look at the credential: it proves nothing, and is nobody's.
  if request.head.method == 'OPTIONS' then
    request.unproven = true
    return
  end
  local hash = sha256.hex(credential)
  request.credential_hash = hash
  request.consumer_id = 'credential-' .. hash:sub(1, 16)
  request.unproven = not proven.is_accepted(hash)
  if not request.unproven then
    request.consumer = proven.consumer(request.consumer_id)
  end
end

local function authenticate(request, key, authorization)
  local credential, problem = client_credential(key, authorization)
  if not credential then
    local refusal = REFUSALS[problem]
    return deny(401, refusal[1], refusal[2])
  end
  if settings.auth.mode == 'keys' then
    return authenticate_key(request, credential)
  end
  take_credential(request, credential)
end

-- What is told of a request beside its credential, and was good lately: text -> head.
local heads = kept.new(512, 256)

-- The head of a request that is like none before: `{ connection, method, target, class }`, the last of which it does
-- not have yet.
local function read_head(text)
  local connection, method, target = text:match('^([^\n]*)\n(%S+) ([^\n]*)$')
  return { connection = connection, method = method, target = target, class = nil }
end

local function check_route(request, head, text, var)
  request.class = head.class
  if head.class then
    return nil
  end
  local path_problem = route.check_path(head.target)
  if path_problem then
    return deny(400, 'odd_path', 'The path is not allowed: ' .. path_problem .. '.')
  end
  request.class = route.classify(head.method, var.uri)
  if request.class == 'admin' and not settings.allow_admin_api then
    return deny(403, 'admin_api', 'The Admin API is not reachable through this gateway.')
  end
  head.class = request.class
  kept.keep(heads, text, head)
end

local MAPPED_IPV4 = ('\0'):rep(10) .. '\255\255'

--- What nginx counts the client by. An IPv6 client commands a whole /64: each address of it for itself would be no
-- limit.
-- @treturn string bytes; empty for an exempt network
function M.address_key()
  local var = ngx.var
  if var.causeway_exempt == '1' then
    return ''
  end
  local address = var.binary_remote_addr
  if #address == 16 and address:sub(1, 12) ~= MAPPED_IPV4 then
    return address:sub(1, 8)
  end
  return address
end

--- Begins the request. Runs as set_by_lua, which makes no coroutine and so costs half of rewrite_by_lua; nothing here
-- may wait.
-- @tparam string route_class of the location
-- @tparam string upstream id of the one that the location proxies to
-- @treturn string what nginx counts this request by; empty where it does not
function M.run(route_class, upstream)
  local request = context.begin(clock.monotonic_ms())
  request.route_class, request.upstream = route_class, upstream
  local var = ngx.var
  -- Two credentials, a line each, and what stands beside them (http/facts.conf).
  local all = var.causeway_head
  local key_end = find(all, '\n', 1, true)
  local authorization_end = find(all, '\n', key_end + 1, true)
  local text = sub(all, authorization_end + 1)
  local head = heads.values[text] or read_head(text)
  request.head = head
  local denied = authenticate(request, sub(all, 1, key_end - 1), sub(all, key_end + 1, authorization_end - 1))
  local key = ''
  if (denied or request.unproven) and denied ~= NOT_READY then
    key = M.address_key()
  end
  request.denied = denied or check_route(request, head, text, var)
  return key
end

return M
