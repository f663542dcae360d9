--- The documents that the data plane keeps up to date: the consumer registry and the upstream credentials.

local document = require('causeway.io.document')
local credentials = require('causeway.core.credentials')
local registry = require('causeway.core.registry')
local settings = require('causeway.settings')

local M = {}

local kept = {}

--- Declares the documents. In `passthrough` there are none: clients bring their own credential.
function M.init()
  if settings.auth.mode ~= 'keys' then
    return
  end
  M.registry = document.new('registry', settings.registry_source, function(text)
    return registry.parse(text, settings.consumer_defaults)
  end)
  M.credentials = document.new('credentials', settings.credentials_source, function(text)
    return credentials.parse(text, settings.upstreams)
  end)
  kept = { M.registry, M.credentials }
end

--- All documents that must be there before traffic may come.
function M.all()
  return kept
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
  if #kept == 0 then
    return
  end
  for _, each in ipairs(kept) do
    each:restore()
  end
  -- At once from a timer: sockets do not work in init_worker, and a file must not wait for the first period.
  assert(ngx.timer.at(0, refresh))
  assert(ngx.timer.every(settings.auth.poll_seconds, refresh))
end

return M
