--- What stands outside /v1/: clients' reachability probes (`HEAD /`, `HEAD /api/hello`), and nothing else.

local refuse = require('causeway.phase.refuse')
local context = require('causeway.phase.context')
local clock = require('causeway.io.clock')

local M = {}

local PROBES = { ['/'] = true, ['/api/hello'] = true }

function M.run()
  local request = context.begin(clock.monotonic_ms())
  local method = ngx.req.get_method()
  if PROBES[ngx.var.uri] and (method == 'HEAD' or method == 'GET') then
    ngx.header['content-type'] = 'text/plain'
    ngx.header['content-length'] = 0
    return ngx.exit(ngx.HTTP_OK)
  end
  return refuse.send(request, 404, 'no_route', 'There is no such route.')
end

return M
