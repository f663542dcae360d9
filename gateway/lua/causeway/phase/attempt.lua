--- Sends a request to an upstream, with the credential that this upstream takes: which upstream, and what happens if it
-- fails.
--
-- Where one upstream serves a route class, the request goes on in the location that it came in by. Where several do,
-- each attempt after that has named locations of its own (lib/nginx/files/attempts.ts): one from which a failure leads
-- on to phase/next_attempt, and one for the last attempt, whose answer goes to the client whatever it is.

local breaker = require('causeway.io.breaker')
local clock = require('causeway.io.clock')
local dns = require('causeway.io.dns')
local documents = require('causeway.io.documents')
local refuse = require('causeway.phase.refuse')
local requested = require('causeway.io.requested')
local settings = require('causeway.settings')

local M = {}

-- Those who are told to wait come back over this time, not all in one moment: a half-open breaker lets few through.
local SPREAD_MS = 3000

-- Another consumer's way may lead elsewhere: a consumer's own credential is one of the first upstream's.
local function secret_for(request, upstream)
  local own = upstream == settings.upstreams[1] and request.consumer.upstreamCredential
  return documents.credentials.value[own or upstream.credential]
end

-- The client's credential stops here, the upstream's takes its place.
local function inject_credential(request, var, upstream)
  if settings.auth.mode ~= 'keys' then
    var.causeway_authorization = var.http_authorization or ''
    var.causeway_api_key = var.http_x_api_key or ''
    return
  end
  local secret = secret_for(request, upstream)
  if not secret then
    return refuse.send(request, 503, 'no_upstream_credential', 'The upstream credential of this consumer is missing.')
  end
  local name, value, other = 'causeway_api_key', secret, 'causeway_authorization'
  if upstream.credential_header == 'authorization' then
    name, value, other = other, 'Bearer ' .. secret, name
  end
  var[name] = value
  if request.attempts > 1 then
    -- The attempt before this one may have set it. At first both are empty.
    var[other] = ''
  end
end

--- Answers in the place of upstreams that are all left alone.
-- @tparam table request
-- @tparam string reason for the log
-- @tparam number wait_ms after which one of them may be asked
function M.refuse(request, reason, wait_ms)
  local wait = wait_ms + math.random() * SPREAD_MS
  return refuse.send(request, 503, reason, 'The upstream is overloaded or unreachable. Try again shortly.', {
    ['retry-after'] = math.ceil(wait / 1000),
    ['retry-after-ms'] = math.ceil(wait),
    ['x-should-retry'] = 'true',
  }, 'overloaded_error')
end

local function begin_at(request, var, upstream)
  request.upstream = upstream.id
  request.attempts = (request.attempts or 0) + 1
  request.sent, request.verdict = nil, nil
  inject_credential(request, var, upstream)
  request.passed = request.passed or clock.monotonic_ms()
end

--- Chooses the next upstream of the request's route class that may be asked now, and has an address.
-- @tparam table request
-- @tparam number after the number of the attempt before; 0 for the first
-- @treturn number|nil its number; nil where there is none
-- @treturn nil|number ms until one that is left alone may be asked; nil where there is none of these either
function M.choose(request, after)
  local attempts, least = settings.attempts[request.route_class], nil
  for number = after + 1, #attempts do
    local id = attempts[number].upstream
    if dns.addresses(id) then
      local admitted, wait = breaker.admit(request, id)
      if admitted then
        return number
      end
      request.left_out = true
      least = math.min(least or wait, wait)
    end
  end
  return nil, least
end

-- Whether another upstream could be asked after this one. If it can no longer once this one has failed, that one's
-- answer is lost: nginx has to be told before which answers it is to hold back.
local function is_another(request, after)
  if (request.attempts or 0) + 1 >= settings.max_attempts then
    return false
  end
  local attempts = settings.attempts[request.route_class]
  for number = after + 1, #attempts do
    local id = attempts[number].upstream
    if dns.addresses(id) and breaker.would_admit(request, id) then
      return true
    end
  end
  return false
end

--- Sends the request to the upstream that was chosen. Comes back only where its way is the location that it is in: the
-- first upstream, and no other to ask after it.
function M.enter(request, var, number)
  local chosen = settings.attempts[request.route_class][number]
  local location = is_another(request, number) and chosen.further or chosen.last
  request.attempt = number
  begin_at(request, var, settings.upstream_by_id[chosen.upstream])
  if location then
    return ngx.exec(location)
  end
end

local READS = { GET = true, HEAD = true }

-- Whether the request may be sent to any upstream of its route class. Only a request of the location's own class is one
-- that all of them are known to serve.
local function may_go_anywhere(request, var)
  local class = request.route_class
  if not settings.attempts[class] or request.class ~= class or class == 'models' and not READS[request.head.method] then
    return false
  end
  requested.receive(request)
  return class == 'models' or not requested.names_upstream_ids(var)
end

-- The only upstream, or the one that made what the request names.
local function begin_at_first(request, var)
  local upstream = settings.upstream_by_id[request.upstream]
  if not breaker.calm(request, upstream.id) then
    if requested.names_model(request.route_class) then
      requested.receive(request)
    end
    local admitted, wait = breaker.admit(request, upstream.id)
    if not admitted then
      request.left_out = true
      return M.refuse(request, 'breaker_open', wait)
    end
  end
  return begin_at(request, var, upstream)
end

--- Begins the first attempt, at the upstream of the location unless others may be asked. May not come back: the
-- request then goes on in another location, or ends with an own answer.
-- @tparam table request its context. Read are `route_class`, `class`, `head`, `consumer`, and `upstream`, the first
--   of the route class
-- @tparam table var ngx.var
function M.begin(request, var)
  if not may_go_anywhere(request, var) then
    return begin_at_first(request, var)
  end
  local number, wait = M.choose(request, 0)
  if number then
    return M.enter(request, var, number)
  elseif wait then
    return M.refuse(request, 'breaker_open', wait)
  end
  -- No upstream has an address. nginx says so in its own words.
  return begin_at(request, var, settings.upstream_by_id[request.upstream])
end

return M
