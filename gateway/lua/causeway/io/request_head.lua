--- What a request's head says of its body, as policies and the cache ask for it (core/policy).

local policy = require('causeway.core.policy')

local M = {}

-- Methods that over HTTP/2 are taken to have no body unless they say its length: there is no telling before it comes.
local BODILESS = { GET = true, HEAD = true, DELETE = true, OPTIONS = true }

--- Reads it. By exact names: nginx's variables take `Content_Length` for `Content-Length`.
-- @tparam table var ngx.var
-- @tparam table headers of ngx.req.get_headers(0)
-- @treturn table head of core/policy
function M.read(var, headers)
  local length = tonumber(var.content_length)
  local http2 = ngx.req.http_version() >= 2
  local has_body = (length or 0) > 0 or headers['transfer-encoding'] ~= nil
  if http2 and not length then
    has_body = not BODILESS[ngx.req.get_method()]
  end
  local override
  for _, name in ipairs(policy.OVERRIDES) do
    override = override or headers[name] and name
  end
  return {
    has_body = has_body,
    length = length,
    http2 = http2,
    encoding = headers['content-encoding'],
    content_type = headers['content-type'],
    override = override,
  }
end

return M
