--- What a request asks of the cache: whether its answer may come from a copy, how old that may be, and whether the
-- request is one that may have a copy at all.
--
-- Who decides: `GET /v1/models*` is cached for everybody, `count_tokens` where the config says so
-- (`cache.countTokens`), everything else only where somebody asked for it: the consumer's policy (`cache.mode`,
-- `cache.maxAgeSeconds` in the registry) or the request itself by the header `x-causeway-cache`. That is a list of
--   max-age=N   a copy of at most N whole seconds will do. 0 fetches the answer anew and keeps it
--   outage      never a copy while the upstream answers; the answer is kept for when it does not
--   no-store    neither a copy nor is one kept
-- Names in any case, spaces around commas allowed, several lines are one list. `no-store` beats the others. `max-age`
-- beats `outage`, for what is kept serves in an outage either way, labelled STALE, up to an age of
-- `cache.ttl.outageSeconds`. The same word twice, an unknown word or a number that is none is an error and not guessed
-- at: a client that misspells `no-store` must hear of it.
--
-- Policy and header together: the policy says what holds for requests that say nothing; the header chooses the mode of
-- its request, in either direction; and `cache.maxAgeSeconds` bounds every copy that the consumer gets, whatever it
-- asks.

local policy = require('causeway.core.policy')
local self_contained = require('causeway.core.self_contained')

local min = math.min

local M = {}

--- Classes of core/route whose answers can be stored, and the method that they take.
M.METHODS = { generate = 'POST', count = 'POST', models = 'GET' }

local UNREADABLE =
  'x-causeway-cache is not understood: it takes max-age=<seconds>, outage and no-store, separated by commas.'
-- A year, as in the registry.
local MAX_DIGITS, MAX_SECONDS = 8, 31536000

local function read_directive(directive, asked)
  local name, equals, value = directive:lower():match('^([%a-]+)(=?)(%d*)$')
  if not name or asked[name] ~= nil then
    return false
  end
  if name == 'max-age' then
    local seconds = equals == '=' and #value <= MAX_DIGITS and tonumber(value)
    asked[name] = seconds and min(seconds, MAX_SECONDS)
    return seconds ~= nil and seconds ~= false
  end
  asked[name] = true
  return (name == 'outage' or name == 'no-store') and equals == '' and value == ''
end

--- Reads the header `x-causeway-cache`.
-- @param header nil, a string, or a list where it came on several lines
-- @treturn ?table `{ ['max-age'] = seconds, outage = true, ['no-store'] = true }`, each where it was said; nil where
--   nothing was
-- @treturn ?string what is wrong with it, for the client
function M.read_header(header)
  if header == nil then
    return nil
  end
  local text = type(header) == 'table' and table.concat(header, ',') or header
  local asked, said = {}, false
  for element in (text .. ','):gmatch('([^,]*),') do
    local directive = element:match('^[ \t]*(.-)[ \t]*$')
    -- Empty elements are allowed in every list (RFC 9110, 5.6.1).
    if directive ~= '' then
      if not read_directive(directive, asked) then
        return nil, UNREADABLE
      end
      said = true
    end
  end
  return said and asked or nil
end

-- What holds where the request says nothing.
local function standing_mode(consumer_cache, class, settings)
  if class == 'models' or class == 'count' and settings.count_tokens then
    return 'fresh'
  end
  return consumer_cache and consumer_cache.mode or 'off'
end

--- Whether the request wants the cache.
-- @tparam ?table consumer of the registry; nil where nobody is known to ask (`passthrough`, not yet proven)
-- @tparam string class of core/route
-- @tparam string method
-- @param header x-causeway-cache: nil, a string or a list
-- @tparam table settings `cache` of the settings
-- @treturn ?table `{ mode = 'fresh'|'outage', max_age = seconds }`: a copy of at most that age serves; with `outage` it
--   only serves when the upstream does not. nil: neither is a copy served nor one kept
-- @treturn ?string why the header cannot be read, a sentence for the client (400)
function M.wants(consumer, class, method, header, settings)
  local asked, problem = M.read_header(header)
  if problem then
    return nil, problem
  end
  if not settings.enabled or not consumer or M.METHODS[class] ~= method or asked and asked['no-store'] then
    return nil
  end
  local own = consumer.cache
  local mode = standing_mode(own, class, settings)
  local max_age = min(settings.ttl.shared_seconds, own and own.maxAgeSeconds or math.huge)
  if asked and asked['max-age'] then
    mode, max_age = 'fresh', min(max_age, asked['max-age'])
  elseif asked then
    mode = 'outage'
  end
  if mode == 'off' then
    return nil
  end
  return { mode = mode, max_age = max_age }
end

--- Why a request gets no copy and leaves none though it asked, as far as its head tells. The safe choice is made
-- wherever the answer may hang on anything but the request, or the request may do more than be answered.
-- @tparam string class of core/route
-- @tparam ?string body the whole body; nil where it cannot be read. Not looked at for `models`
-- @tparam table head of core/policy
-- @treturn ?string one word: `override` (a header that may change method or path), `body` (a GET with a body),
--   `unreadable` (compressed, another charset, too large)
function M.head_reason(class, body, head)
  if head.override then
    return 'override'
  elseif class == 'models' then
    return head.has_body and 'body' or nil
  elseif not body or not policy.is_readable(class, head) then
    return 'unreadable'
  end
  return nil
end

--- The same for its body, once nothing of its head is against it. Need not be asked where this node has a copy for this
-- very body: then it was asked here before.
-- @tparam string class of core/route
-- @tparam ?string body
-- @tparam ?table options of core/scan
-- @treturn ?string one word of core/self_contained
-- @treturn boolean whether the answer is to be a stream; for what may have a copy
-- @treturn ?string model
function M.body_reason(class, body, options)
  if class == 'models' then
    return nil, false
  end
  return self_contained.check(body, options)
end

--- Both.
-- @return as `body_reason`, or the word of `head_reason`
function M.bypass_reason(class, body, head, options)
  local reason = M.head_reason(class, body, head)
  if reason then
    return reason, false
  end
  return M.body_reason(class, body, options)
end

return M
