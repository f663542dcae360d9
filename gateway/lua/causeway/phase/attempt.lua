--- Sends a request on its way to an upstream, with the credential that this upstream takes.

local documents = require('causeway.io.documents')
local refuse = require('causeway.phase.refuse')
local settings = require('causeway.settings')

local M = {}

-- The client's credential stops here, the upstream's takes its place.
local function inject_credential(request, var)
  local upstream = settings.upstream_by_id[request.upstream]
  local secret = documents.credentials.value[request.consumer.upstreamCredential or upstream.credential]
  if not secret then
    return refuse.send(request, 503, 'no_upstream_credential', 'The upstream credential of this consumer is missing.')
  end
  if upstream.credential_header == 'authorization' then
    var.causeway_authorization = 'Bearer ' .. secret
  else
    var.causeway_api_key = secret
  end
end

--- Begins the first attempt, at the upstream of the location.
-- @tparam table request context
-- @tparam table var ngx.var
function M.begin(request, var)
  if settings.auth.mode == 'keys' then
    inject_credential(request, var)
  else
    var.causeway_authorization = var.http_authorization or ''
    var.causeway_api_key = var.http_x_api_key or ''
  end
end

return M
