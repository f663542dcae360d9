--- The internal listener's access phase: a fetch, which is let in for its token and sent like any request.

local attempt = require('causeway.phase.attempt')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local documents = require('causeway.io.documents')
local fetch = require('causeway.io.fetch')
local proven = require('causeway.io.proven')
local refuse = require('causeway.phase.refuse')
local settings = require('causeway.settings')
local sha256 = require('causeway.io.sha256')

local M = {}

local function read_header()
  -- By its exact name: the variable takes a client's `X_Causeway_Fetch` for it, too.
  local header = ngx.req.get_headers(0)['x-causeway-fetch']
  if type(header) ~= 'string' then
    return nil
  end
  local token, id, consumer, credential = header:match('^(%x+) (%S+) (%S+) (%S+)$')
  if token and token == fetch.token() then
    return id, consumer, credential ~= '-' and credential or nil
  end
end

-- The consumer for whom the answer is fetched. Its client was let in by another worker, which may know another registry
-- for a moment: the credential is the one by which that one tells answers apart, whatever stands here.
local function consumer_of(request, id, upstream_credential, var)
  if settings.auth.mode ~= 'keys' then
    local credential = (var.http_authorization or ''):match('^%S+ +(%S+)$') or var.http_x_api_key or ''
    request.credential_hash = sha256.hex(credential)
    return proven.consumer(id)
  end
  local registry = documents.registry.value
  local known = registry and registry:get(id) or { id = id }
  if known.upstreamCredential == upstream_credential then
    return known
  end
  return setmetatable({ upstreamCredential = upstream_credential }, {
    __index = function(_, name)
      return name ~= 'upstreamCredential' and known[name] or nil
    end,
  })
end

--- @tparam string route_class of the location
-- @tparam string upstream id of the one that the location proxies to
function M.run(route_class, upstream)
  local var = ngx.var
  local id, consumer_id, upstream_credential = read_header()
  if not id then
    local request = context.begin(clock.monotonic_ms())
    return refuse.send(request, 404, 'no_route', 'There is no such route.')
  end
  local request = context.begin(clock.monotonic_ms(), id)
  request.route_class, request.class, request.upstream = route_class, route_class, upstream
  request.head = { method = ngx.req.get_method(), target = var.request_uri }
  request.consumer_id = consumer_id
  request.consumer = consumer_of(request, consumer_id, upstream_credential, var)
  -- It may not come back.
  return attempt.begin(request, var)
end

return M
