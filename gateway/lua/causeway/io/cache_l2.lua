--- The shared tier: copies in Valkey, which all nodes of a region see and which outlive them. Whatever fails is a miss.

local valkey = require('causeway.io.valkey')

local floor = math.floor
local max = math.max

local M = {}

local function key_of(place)
  return valkey.key('cache', place.key)
end

--- The copy of a place.
-- @tparam table place of core/cache
-- @treturn ?string bytes
-- @treturn ?string why Valkey did not say
function M.get(_, place)
  local bytes, problem = valkey.call('GET', key_of(place))
  return bytes or nil, problem
end

--- Keeps a copy.
-- @tparam table place of core/cache
-- @tparam string bytes
-- @tparam number ttl_seconds
-- @treturn ?boolean true
-- @treturn ?string why not
function M.set(_, place, bytes, ttl_seconds)
  local ok, problem = valkey.call('SET', key_of(place), bytes, 'PX', max(1, floor(ttl_seconds * 1000)))
  return ok and true or nil, problem
end

return M
