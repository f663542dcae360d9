--- Requests that looked for a flight and found none in time: they go their own way after all.

local attempt = require('causeway.phase.attempt')
local context = require('causeway.phase.context')

local M = {}

function M.run()
  -- It may not come back.
  return attempt.begin(context.get(), ngx.var)
end

return M
