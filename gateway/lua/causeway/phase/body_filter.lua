--- Reads usage from the answer as it passes. The bytes are neither changed nor held.

local context = require('causeway.phase.context')

local M = {}

function M.run()
  local request = context.get()
  if not request or not request.usage then
    return
  end
  local chunk = ngx.arg[1]
  if chunk ~= '' then
    request.usage:feed(chunk)
  end
  if ngx.arg[2] then
    request.whole = true
  end
end

return M
