--- Whether a worker of this node, or its master, still runs.

local ffi = require('ffi')

ffi.cdef('int kill(int pid, int signal);')

local M = {}

--- Whether a process is there.
-- @tparam number pid
function M.is_alive(pid)
  return ffi.C.kill(pid, 0) == 0
end

return M
