--- A monotonic clock with the resolution that nginx's own cached time (1 ms) lacks.

local ffi = require('ffi')

ffi.cdef([[
typedef struct { long tv_sec; long tv_nsec; } causeway_timespec;
int clock_gettime(int clock_id, causeway_timespec *time);
]])

local CLOCK_MONOTONIC = 1
local time = ffi.new('causeway_timespec')

local M = {}

--- Milliseconds since some fixed moment, never going back.
function M.monotonic_ms()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, time)
  return tonumber(time.tv_sec) * 1000 + tonumber(time.tv_nsec) / 1e6
end

return M
