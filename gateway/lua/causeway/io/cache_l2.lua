--- The shared tier: copies in Valkey, which all nodes of a region see and which outlive them, with books of who holds
-- how much (core/cache_books). Whatever fails is a miss.

local books = require('causeway.core.cache_books')
local valkey = require('causeway.io.valkey')

local floor = math.floor
local max = math.max

local M = {}
local Tier = {}
Tier.__index = Tier

local function key_of(key)
  return valkey.key('cache', key)
end

--- The tier.
-- @tparam table settings `cache` of the settings
-- @treturn table for core/cache
function M.new(settings)
  return setmetatable({
    -- One hash tag, so that services with several shards behind one endpoint take all three.
    books = {
      valkey.key('{cache-books}', 'order'),
      valkey.key('{cache-books}', 'facts'),
      valkey.key('{cache-books}', 'totals'),
    },
    all = settings.shared_bytes,
    share = floor(settings.shared_bytes * settings.max_consumer_share),
  }, Tier)
end

--- The copy of a place.
-- @tparam table place of core/cache
-- @treturn ?string bytes
-- @treturn ?string why Valkey did not say
function Tier.get(_, place)
  local bytes, problem = valkey.call('GET', key_of(place.key))
  return bytes or nil, problem
end

-- Enters a copy into the books. Returns the commands that drop those that must go for it.
function Tier:enter(place, length, ttl_ms)
  local size = books.charge(length)
  if size > self.share then
    return nil, 'too_large'
  end
  local gone, problem = valkey.script(books.ENTER, self.books, {
    place.consumer, place.key, size, ttl_ms, self.share, self.all,
  })
  if not gone then
    return nil, problem
  end
  local commands = {}
  for index, key in ipairs(gone) do
    commands[index] = { 'UNLINK', key_of(key) }
  end
  return commands
end

--- Keeps a copy.
-- @tparam table place of core/cache
-- @tparam string bytes
-- @tparam number ttl_seconds
-- @treturn ?boolean true
-- @treturn ?string why not
function Tier:set(place, bytes, ttl_seconds)
  local ttl_ms = max(1, floor(ttl_seconds * 1000))
  local commands, problem = self:enter(place, #bytes, ttl_ms)
  if not commands then
    return nil, problem
  end
  table.insert(commands, 1, { 'SET', key_of(place.key), bytes, 'PX', ttl_ms })
  local replies
  replies, problem = valkey.pipeline(commands)
  if not replies then
    return nil, problem
  end
  local reply = replies[1]
  if type(reply) == 'table' then
    return nil, reply.err
  end
  return true
end

return M
