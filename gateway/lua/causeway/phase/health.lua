--- `/healthz`: the process serves. `/readyz`: traffic should come here.

local cjson = require('cjson.safe')
local documents = require('causeway.io.documents')
local dns = require('causeway.io.dns')
local drain = require('causeway.io.drain')
local settings = require('causeway.settings')

local M = {}

-- A route class is served as long as one of its upstreams has an address.
local function add_unresolved(missing)
  local named = {}
  for _, ids in pairs(settings.route_upstreams) do
    local served = false
    for _, id in ipairs(ids) do
      served = served or dns.addresses(id) ~= nil
    end
    for _, id in ipairs(ids) do
      if not served and not named[id] then
        named[id] = true
        missing[#missing + 1] = 'dns:' .. id
      end
    end
  end
  table.sort(missing)
end

--- What is missing before traffic may come; empty when ready.
-- @treturn {string,...}
function M.missing()
  local missing = {}
  add_unresolved(missing)
  for _, document in ipairs(documents.all()) do
    if document.value == nil then
      missing[#missing + 1] = document.name
    end
  end
  if ngx.worker.exiting() and not drain.superseded() then
    missing[#missing + 1] = 'stopping'
  end
  return missing
end

local function answer(status, body)
  local text = cjson.encode(body)
  ngx.status = status
  ngx.header['content-type'] = 'application/json'
  ngx.header['content-length'] = #text
  ngx.header['cache-control'] = 'no-store'
  ngx.print(text)
  return ngx.exit(ngx.HTTP_OK)
end

function M.healthz()
  return answer(200, { status = 'ok' })
end

function M.readyz()
  local missing = M.missing()
  if #missing == 0 then
    return answer(200, { status = 'ready' })
  end
  return answer(503, { status = 'not ready', missing = missing })
end

return M
