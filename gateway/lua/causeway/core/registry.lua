--- The consumer registry: who may use the gateway, with which keys, how much.
--
-- What it is for: a JSON document becomes a lookup from a key's hash to its consumer. A document with anything wrong in
-- it is refused as a whole with one message, and the caller keeps the last good one.
--
-- Units: as the members' names say; times are seconds since 1970. Shapes: the document is
--   { "version": 1, "consumers": [ { "id", "keys": [ { "sha256", "id", "notAfter"? } … ], … } ], "purges"? }
-- with the members of `registry_schema.MEMBERS` and `registry_schema.purges`. A consumer is what the document says of
-- it under the same names, with defaults where it says nothing; its `keys` have `notAfter` in seconds.

local cjson = require('cjson.safe').new()
local schema = require 'causeway.core.registry_schema'
local text = require 'causeway.core.text'

local _M = {}
local Registry = {}
Registry.__index = Registry

local SHOWN_BYTES = 40

-- A value for a message.
local function show(value)
  local kind = type(value)
  if kind == 'string' then
    return text.quote(text.truncate(value, SHOWN_BYTES))
  elseif kind == 'number' or kind == 'boolean' then
    return tostring(value)
  elseif kind == 'table' then
    return 'a list or an object'
  end
  return 'null'
end

local function refusal(who, where, value, allowed, secret)
  if secret then
    return ('%s: %s: %s (the value is not shown)'):format(who, where, allowed)
  end
  return ('%s: %s is %s: %s'):format(who, where, show(value), allowed)
end

-- Checks the optional members of a consumer or of the defaults, and puts them on `kept`.
local function take_members(who, entry, kept)
  for name, value in pairs(entry) do
    local check = schema.MEMBERS[name]
    if check then
      local taken, allowed, inside, element = check(value)
      if taken == nil then
        if inside then
          value = element
        end
        return refusal(who, name .. (inside or ''), value, allowed, schema.SECRET[name])
      end
      kept[name] = taken
    elseif name ~= 'id' and name ~= 'keys' then
      return ('%s: %s is no member of a consumer'):format(who, show(name))
    end
  end
  return nil
end

-- Matching models by a set and a list of prefixes.
local function compile_models(consumer)
  if not consumer.models then
    return
  end
  local exact, prefixes = {}, {}
  for _, model in ipairs(consumer.models) do
    if model:sub(-1) == '*' then
      prefixes[#prefixes + 1] = model:sub(1, -2)
    else
      exact[model] = true
    end
  end
  consumer.exact_models, consumer.model_prefixes = exact, prefixes
end

local function compile_routes(consumer)
  if not consumer.routes then
    return
  end
  consumer.route_set = {}
  for _, route in ipairs(consumer.routes) do
    consumer.route_set[route] = true
  end
end

-- What looks a key up has its digest in bytes: hexadecimal digits would be made for each request.
local function digest_of(hex)
  return (hex:gsub('%x%x', function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function take_keys(registry, who, entry, consumer)
  if not schema.is_list(entry.keys) or #entry.keys == 0 then
    return who .. ': keys must be a list of at least one key'
  end
  local ids = {}
  for index, value in ipairs(entry.keys) do
    local where = ('keys[%d]'):format(index)
    local key, allowed, inside = schema.key(value)
    if not key then
      return refusal(who, where .. inside, nil, allowed, true)
    end
    if ids[key.id] then
      return ('%s: %s.id: another key of this consumer has the same id'):format(who, where)
    end
    ids[key.id] = true
    local digest = digest_of(key.sha256)
    local other = registry.by_digest[digest]
    if other then
      return ('%s: %s.sha256: the same key is given to consumer "%s" as "%s"'):format(
        who, where, other.consumer.id, other.key.id)
    end
    registry.by_digest[digest] = { consumer = consumer, key = key }
    consumer.keys[index] = key
  end
  return nil
end

local function take_consumer(registry, index, entry, defaults)
  local who = ('consumers[%d]'):format(index)
  if not schema.is_object(entry) then
    return who .. ' must be an object with id and keys'
  end
  local id, allowed = schema.identifier(entry.id)
  if not id then
    return refusal(who, 'id', entry.id, allowed)
  end
  who = ('consumer "%s"'):format(id)
  if registry.by_id[id] then
    return who .. ' is there twice'
  end
  local consumer = { disabled = false, cache = { mode = 'off' } }
  for name, value in pairs(defaults) do
    consumer[name] = value
  end
  consumer.id, consumer.keys = id, {}
  local problem = take_members(who, entry, consumer) or take_keys(registry, who, entry, consumer)
  if problem then
    return problem
  end
  consumer.cache.mode = consumer.cache.mode or 'off'
  compile_models(consumer)
  compile_routes(consumer)
  registry.by_id[id] = consumer
  registry.consumers[index] = consumer
  return nil
end

-- The defaults come from the settings, where names are written with underscores.
local function take_defaults(given)
  local named, defaults = {}, {}
  for name, value in pairs(given or {}) do
    named[name:gsub('_(%l)', string.upper)] = value
  end
  return defaults, take_members('defaults', named, defaults)
end

local function take_document(document, defaults)
  if not schema.is_object(document) then
    return nil, 'the registry must be an object with version and consumers'
  end
  for name in pairs(document) do
    if name ~= 'version' and name ~= 'consumers' and name ~= 'purges' then
      return nil, ('the registry: %s is no member; there are version, consumers and purges'):format(show(name))
    end
  end
  if document.version ~= 1 then
    return nil, refusal('the registry', 'version', document.version, 'must be 1')
  end
  if not schema.is_list(document.consumers) then
    return nil, refusal('the registry', 'consumers', document.consumers, 'must be a list')
  end
  local purges = {}
  if document.purges ~= nil then
    local taken, allowed, inside, there = schema.purges(document.purges)
    if not taken then
      return nil, refusal('the registry', 'purges' .. inside, there, allowed)
    end
    purges = taken
  end
  local registry = setmetatable({
    consumers = {}, by_id = {}, by_digest = {}, purged_all = purges.all or '', purged = purges.consumers or {},
  }, Registry)
  for index, entry in ipairs(document.consumers) do
    local problem = take_consumer(registry, index, entry, defaults)
    if problem then
      return nil, problem
    end
  end
  return registry
end

--- Reads a registry document.
-- @param document_text  JSON
-- @param defaults       members for consumers that do not give them, such as `{ rate = 5, max_streams = 100 }`; names
--   in camel case or with underscores
-- @return registry, or nil and a message that names consumer, member, value and what is allowed
function _M.parse(document_text, defaults)
  local document, err = cjson.decode(document_text)
  if document == nil then
    -- cjson's message holds a position and token types, nothing of the text.
    return nil, 'the registry is not valid JSON: ' .. tostring(err)
  end
  local members, problem = take_defaults(defaults)
  if problem then
    return nil, problem
  end
  return take_document(document, members)
end

--- The consumer that a key belongs to.
-- @param digest             the key's SHA-256, 32 bytes
-- @param now_epoch_seconds  the time
-- @return consumer, id of the key; or nil, `unknown` | `disabled` | `expired`
function Registry:find(digest, now_epoch_seconds)
  local entry = self.by_digest[digest]
  if not entry then
    return nil, 'unknown'
  end
  local consumer, key = entry.consumer, entry.key
  if consumer.disabled then
    return nil, 'disabled'
  elseif key.notAfter and now_epoch_seconds > key.notAfter then
    return nil, 'expired'
  end
  return consumer, key.id
end

--- A consumer by its id.
-- @param id  string
-- @return consumer or nil
function Registry:get(id)
  return self.by_id[id]
end

--- The words of the last purges. Both stand in the key of every stored answer, so that a new word leaves whatever was
-- stored before it out of reach.
-- @param consumer_id  string; need not be one of the registry's
-- @return word of the last purge of all, word of that consumer's last purge; '' where there was none
function Registry:epoch(consumer_id)
  return self.purged_all, self.purged[consumer_id] or ''
end

--- The number of consumers.
-- @return number
function Registry:count()
  return #self.consumers
end

--- Whether a consumer may use a model. Without `models` it may use all; with them, a model that could not be told
-- (nil) is refused.
-- @param consumer  consumer
-- @param model     string or nil
-- @return boolean
function _M.allows_model(consumer, model)
  local exact = consumer.exact_models
  if not exact then
    return true
  elseif not model then
    return false
  elseif exact[model] then
    return true
  end
  local prefixes = consumer.model_prefixes
  for index = 1, #prefixes do
    local prefix = prefixes[index]
    if model:sub(1, #prefix) == prefix then
      return true
    end
  end
  return false
end

--- Whether a consumer may use a route class. Without `routes` it may use all but `admin`.
-- @param consumer     consumer
-- @param route_class  of `route.classify`
-- @return boolean
function _M.allows_route(consumer, route_class)
  local set = consumer.route_set
  if set then
    return set[route_class] == true
  end
  return route_class ~= 'admin'
end

return _M
