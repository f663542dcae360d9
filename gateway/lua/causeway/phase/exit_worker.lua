--- The last words of a worker.

local lines = require('causeway.io.lines')

local M = {}

function M.run()
  lines.flush()
end

return M
