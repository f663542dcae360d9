--- What the registry may hold, member by member.
--
-- What it is for: `registry` reads a document that people write by hand; whatever it does not understand must be
-- refused with a message that can be acted upon, for a member that is silently ignored is a limit that does not hold.
-- Units: as the member's name says.
-- Shapes: a check is a function(value) -> value as it is kept, or nil, what is allowed [, where inside the member, the
-- value there]. Messages never hold what might be a secret: values of `keys` and of `upstreamCredential` are not shown,
-- for somebody will paste a key there.

local text = require 'causeway.core.text'
local timestamp = require 'causeway.core.timestamp'

local floor = math.floor

local _M = {}

local ROUTES = {
  generate = true, count = true, batches = true, models = true, files = true, other = true, admin = true,
}
local CACHE_MODES = { off = true, fresh = true, outage = true }

local function number(least, most, above)
  local allowed = above and ('must be a number above %g and at most %g'):format(least, most)
    or ('must be a number from %g to %g'):format(least, most)
  return function(value)
    if type(value) ~= 'number' or not (value >= least and value <= most) or above and value == least then
      return nil, allowed
    end
    return value
  end
end

local function whole(least, most)
  local allowed = ('must be a whole number from %.0f to %.0f'):format(least, most)
  return function(value)
    if type(value) ~= 'number' or not (value >= least and value <= most) or value ~= floor(value) then
      return nil, allowed
    end
    return value
  end
end

local function boolean(value)
  if type(value) ~= 'boolean' then
    return nil, 'must be true or false'
  end
  return value
end

--- Whether a decoded value is a JSON list (an empty object passes too: cjson gives the same table).
-- @param value  anything
-- @return boolean
local function is_list(value)
  if type(value) ~= 'table' then
    return false
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count == #value
end

_M.is_list = is_list

--- Whether a decoded value is a JSON object (an empty list passes too).
-- @param value  anything
-- @return boolean
local function is_object(value)
  return type(value) == 'table' and #value == 0
end

_M.is_object = is_object

--- An identifier: of a consumer, a key, an upstream credential.
-- @param value  anything
-- @return value, or nil, what is allowed
function _M.identifier(value)
  if type(value) ~= 'string' or #value > 63 or not value:find '^[a-z0-9][a-z0-9-]*$' then
    return nil, 'must be 1 to 63 of a-z, 0-9 and -, not beginning with -'
  end
  return value
end

local function list_of(check, allowed)
  return function(value)
    if not is_list(value) then
      return nil, allowed
    end
    for index, element in ipairs(value) do
      if not check(element) then
        return nil, allowed, ('[%d]'):format(index), element
      end
    end
    return value
  end
end

local function is_model(value)
  return type(value) == 'string' and #value <= 128 and (value == '*' or value:find '^[%w][%w%._:/@-]*%*?$' ~= nil)
end

local function is_route(value)
  return ROUTES[value] == true
end

-- An object with these members, all of them optional.
local function object(members, allowed)
  return function(value)
    if not is_object(value) then
      return nil, allowed
    end
    for name, element in pairs(value) do
      local check = members[name]
      if not check then
        return nil, 'no such member; ' .. allowed, '.' .. text.truncate(name, 64), element
      end
      local kept, problem = check(element)
      if kept == nil then
        return nil, problem, '.' .. name, element
      end
    end
    return value
  end
end

local function cache_mode(value)
  if not CACHE_MODES[value] then
    return nil, 'must be "off", "fresh" or "outage"'
  end
  return value
end

--- The members of a consumer beside `id` and `keys`: name -> check.
_M.MEMBERS = {
  rate = number(0, 100000, true),
  burst = whole(0, 100000),
  concurrency = whole(1, 100000),
  maxStreams = whole(1, 100000),
  maxBodyBytes = whole(1, 1073741824),
  models = list_of(is_model, 'must be a list of model names, each of which may end with *'),
  routes = list_of(is_route, 'must be a list of generate, count, batches, models, files, other, admin'),
  tokenBudget = object({ inputPerMinute = whole(1, 1e12), outputPerMinute = whole(1, 1e12) },
    'must be an object with inputPerMinute, outputPerMinute'),
  cache = object({ mode = cache_mode, maxAgeSeconds = whole(0, 31536000) },
    'must be an object with mode, maxAgeSeconds'),
  upstreamCredential = _M.identifier,
  disabled = boolean,
}

--- Members whose values are never shown.
_M.SECRET = { upstreamCredential = true }

--- One entry of `keys`.
-- @param value  decoded JSON
-- @return `{ id, sha256, notAfter = seconds or nil }`, or nil, what is allowed, where inside the entry
function _M.key(value)
  if not is_object(value) then
    return nil, 'must be an object with sha256, id and perhaps notAfter', ''
  end
  for name in pairs(value) do
    if name ~= 'sha256' and name ~= 'id' and name ~= 'notAfter' then
      return nil, 'no such member; a key has sha256, id and perhaps notAfter', '.' .. text.truncate(name, 64)
    end
  end
  local hash = value.sha256
  if type(hash) ~= 'string' or #hash ~= 64 or not hash:find '^%x+$' then
    return nil, 'must be the key\'s SHA-256 in 64 hexadecimal digits', '.sha256'
  end
  local id, problem = _M.identifier(value.id)
  if not id then
    return nil, problem, '.id'
  end
  local not_after
  if value.notAfter ~= nil then
    not_after = timestamp.parse(value.notAfter)
    if not not_after then
      return nil, 'must be a time in UTC such as 2026-12-01T00:00:00Z', '.notAfter'
    end
  end
  return { id = id, sha256 = hash:lower(), notAfter = not_after }
end

-- The word of a purge: when it was made, to the millisecond, and 32 random bits.
local WORD = '^(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)%.%d%d%dZ%-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
  .. '[0-9a-f][0-9a-f][0-9a-f][0-9a-f]$'
local MAX_PURGED_CONSUMERS = 1000

local function purge_word(value)
  local time = type(value) == 'string' and value:match(WORD)
  if not time or not timestamp.parse(time .. 'Z') then
    return nil, 'must be the word of a purge, such as 2026-11-23T18:00:00.000Z-1a2b3c4d'
  end
  return value
end

local function purged_consumers(value)
  if not is_object(value) then
    return nil, 'must be an object of words by consumer'
  end
  local count = 0
  for id, word in pairs(value) do
    local kept, problem = _M.identifier(id)
    if kept then
      kept, problem = purge_word(word)
    end
    if not kept then
      return nil, problem, '.' .. text.truncate(id, 64), word
    end
    count = count + 1
  end
  if count > MAX_PURGED_CONSUMERS then
    return nil, 'must be at most 1000 consumers'
  end
  return value
end

--- The member `purges`.
-- @param value  decoded JSON
-- @return `{ all = word or nil, consumers = { id = word, … } or nil }`, or nil, what is allowed, where inside, the
--   value there
function _M.purges(value)
  if not is_object(value) then
    return nil, 'must be an object with all, consumers', '', value
  end
  for name, element in pairs(value) do
    local check = name == 'all' and purge_word or name == 'consumers' and purged_consumers
    if not check then
      return nil, 'no such member; there are all, consumers', '.' .. text.truncate(name, 64), element
    end
    local kept, problem, inside, there = check(element)
    if kept == nil then
      if there == nil then
        there = element
      end
      return nil, problem, '.' .. name .. (inside or ''), there
    end
  end
  return value
end

return _M
