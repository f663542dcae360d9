--- The heads of answers that come from the cache or a flight: the upstream's headers as they are kept, and beside them
-- what a client may do with such an answer.

local conditional = require('causeway.core.conditional')
local limits = require('causeway.phase.limits')
local settings = require('causeway.settings')

local M = {}

-- What the gateway says of a shared answer itself.
local OWN = { ['age'] = true, ['cache-control'] = true, ['etag'] = true, ['expires'] = true, ['pragma'] = true,
  ['vary'] = true }
-- What is about a body that a 304 does not have.
local OF_BODY = { ['content-encoding'] = true, ['content-language'] = true, ['content-type'] = true }
local NONE = {}

-- By what of a request answers are told apart (core/cache_key), whatever `anthropic-*` headers it has besides.
local VARY = { 'accept', 'anthropic-beta', 'anthropic-version', 'authorization', 'content-type', 'x-api-key' }

-- Headers of an answer -> list of { name, name in lower case, value or values of all its lines }. Weak keys: a copy
-- that is gone takes this with it.
local merged = setmetatable({}, { __mode = 'k' })

local function merge(headers)
  local list, by_name = {}, {}
  for _, header in ipairs(headers) do
    local lower = header[1]:lower()
    local before = by_name[lower]
    if not before then
      before = { header[1], lower, header[2] }
      by_name[lower], list[#list + 1] = before, before
    elseif type(before[3]) == 'table' then
      table.insert(before[3], header[2])
    else
      before[3] = { before[3], header[2] }
    end
  end
  merged[headers] = list
  return list
end

-- Returns the id that the upstream gave its answer.
local function set(headers, left_out, left_out_too)
  local answer, id = ngx.header, nil
  for _, header in ipairs(merged[headers] or merge(headers)) do
    local lower = header[2]
    if not left_out[lower] and not left_out_too[lower] then
      answer[header[1]] = header[3]
    end
    if lower == 'request-id' then
      id = header[3]
    end
  end
  return type(id) == 'string' and id or nil
end

-- What the gateway says on every such answer.
local function say_own(request)
  ngx.header['x-causeway-cache'] = request.cache
  if request.token_budget then
    limits.tell_budget(request.token_budget, ngx.header)
  end
end

-- Conditions of the client, which nginx would act on by itself, also where a method or an answer has none.
local CONDITIONS = { 'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'range' }

-- Returns the request's headers as they came, by name in lower case.
local function take_conditions(request)
  local headers = request.headers or ngx.req.get_headers(0)
  request.headers = nil
  for _, name in ipairs(CONDITIONS) do
    if headers[name] then
      ngx.req.clear_header(name)
    end
  end
  return headers
end

local IS_IN_VARY = {}
for _, name in ipairs(VARY) do
  IS_IN_VARY[name] = true
end
local USUAL_VARY = table.concat(VARY, ', ')

local function vary(asked)
  local names
  for name in pairs(asked) do
    if name:find('anthropic-', 1, true) == 1 and not IS_IN_VARY[name] then
      names = names or { unpack(VARY) }
      names[#names + 1] = name
    end
  end
  if not names then
    return USUAL_VARY
  end
  table.sort(names)
  return table.concat(names, ', ')
end

--- Behind CloudFront: that it serves nothing that has expired while it cannot reach us, which it does unless it is told
-- otherwise, and as long as it likes. Nobody would look at the key then.
-- @treturn string to be put behind what else Cache-Control says
function M.of_edge()
  return settings.cache.at_edge and ', stale-if-error=0' or ''
end

-- What a client may do with the answer. An answer to a POST is no copy for anything (RFC 9110, 9.3.3); one that stands
-- in for an upstream that fails is not held on to.
local function say_use(request, asked)
  local header = ngx.header
  local seconds = settings.cache.ttl.client_seconds
  if request.head.method ~= 'GET' then
    header['cache-control'] = 'private, no-store'
  elseif seconds > 0 and request.cache ~= 'STALE' then
    header['cache-control'] = 'private, max-age=' .. seconds .. M.of_edge()
  else
    header['cache-control'] = 'private, no-cache' .. M.of_edge()
  end
  header['vary'] = vary(asked)
end

--- Of an answer as it comes from its flight.
-- @tparam table request context
-- @tparam table head of the flight
function M.flight(request, head)
  local good, asked = head.status == 200, take_conditions(request)
  ngx.status = head.status
  local id = set(head.headers, good and OWN or NONE, NONE)
  request.answer_id = not head.refusal and id or nil
  if head.length then
    ngx.header['content-length'] = head.length
  end
  say_own(request)
  if good then
    say_use(request, asked)
  end
end

--- Of a copy.
-- @tparam table request context
-- @tparam table copy `{ entry of core/cache, age = seconds or nil }`
-- @treturn boolean whether the client has it already: then there is no body to send
function M.copy(request, copy)
  local entry, header, asked = copy.entry, ngx.header, take_conditions(request)
  local same = request.head.method == 'GET' and conditional.matches(asked['if-none-match'], entry.etag)
  request.answer_id = set(entry.headers, OWN, same and OF_BODY or NONE)
  header['etag'] = entry.etag
  header['age'] = copy.age and math.floor(copy.age)
  say_own(request)
  say_use(request, asked)
  if same then
    ngx.status = 304
  else
    ngx.status = entry.status
    header['content-length'] = #entry.body
  end
  return same
end

return M
