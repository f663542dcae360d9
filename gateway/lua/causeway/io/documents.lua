--- The documents that the data plane keeps up to date: the consumer registry and the upstream credentials.

local document = require('causeway.io.document')
local credentials = require('causeway.core.credentials')
local registry = require('causeway.core.registry')
local settings = require('causeway.settings')

local M = {}

local NOBODY = '{"version":1,"consumers":[]}'

local kept, needed = {}, {}

local function parse_registry(text)
  return registry.parse(text, settings.consumer_defaults)
end

--- Declares the documents. In `passthrough` clients bring their own credential: there the registry is read for its
-- purges alone, and where there is none, nothing was purged.
function M.init()
  if settings.auth.mode ~= 'keys' then
    M.registry = document.new('registry', settings.registry_source, parse_registry, parse_registry(NOBODY))
    kept = { M.registry }
    return
  end
  M.registry = document.new('registry', settings.registry_source, parse_registry)
  M.credentials = document.new('credentials', settings.credentials_source, function(text)
    return credentials.parse(text, settings.upstreams)
  end)
  kept = { M.registry, M.credentials }
  needed = kept
end

--- All documents that must be there before traffic may come.
function M.all()
  return needed
end

--- Whether this worker knows all purges from longer than `auth.revocationSeconds` ago: only then may it serve what is
-- stored. It does not where the registry's source has been silent, broken or gone for longer.
-- @treturn boolean
function M.purges_confirmed()
  local age = M.registry.value and M.registry:age_seconds()
  return age ~= nil and age <= settings.auth.revocation_seconds
end

--- The words of the last purges, which stand in the key of whatever is stored.
-- @tparam string consumer_id
-- @treturn string|nil word of the last purge of all, '' where there was none; nil while there is no registry
-- @treturn nil|string word of the last purge of that consumer
function M.epoch(consumer_id)
  local value = M.registry.value
  if not value then
    return nil
  end
  return value:epoch(consumer_id)
end

local function refresh(premature)
  if premature then
    return
  end
  for _, each in ipairs(kept) do
    each:refresh()
  end
end

--- Reads the documents and keeps them up to date in this worker.
function M.start()
  for _, each in ipairs(kept) do
    each:restore()
  end
  -- At once from a timer: sockets do not work in init_worker, and a file must not wait for the first period.
  assert(ngx.timer.at(0, refresh))
  assert(ngx.timer.every(settings.auth.poll_seconds, refresh))
end

return M
