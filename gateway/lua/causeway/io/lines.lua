--- The lines on stdout. Those of requests are made and written some at a time: one after the other they find code and
-- data in the processor's caches, and cost a third of what each costs alone between two requests.
--
-- What a worker has not written yet is written by a timer, when it ends, and at once while it is ending. A worker that
-- is killed takes up to BATCH lines with it.

local emf = require('causeway.core.emf')
local ffi = require('ffi')
local metrics_catalogue = require('causeway.core.metrics')
local settings = require('causeway.settings')
local string_buffer = require('string.buffer')

ffi.cdef([[
typedef struct { int fd; short events; short revents; } causeway_pollfd;
long write(int fd, const void *bytes, size_t count);
int poll(causeway_pollfd *fds, unsigned long count, int timeout_ms);
]])

local M = {}

local STDOUT = 1
-- What a pipe takes in one piece (PIPE_BUF): larger writes of several workers would interleave.
local PIPE_BYTES = 4096
local BATCH = 32
-- A reader that takes nothing for so long loses lines, not requests their worker.
local PATIENCE_MS = 100
local EINTR, EAGAIN, POLLOUT = 4, 11, 4

-- Requests that have ended, and when.
local waiting_requests, times, count = {}, {}, 0
-- Fills the record of one: function(request, metrics, properties) -> what its line has in common with others
-- (`emf.share`); nil where there is nothing to say.
local fill
-- Of the line that is being made. The same tables for all of them: they stay in the processor's cache.
local metrics, properties = {}, {}
local directives = { { metrics = metrics } }
-- The line that is being built: as a string of Lua's, each would be garbage of 2 KB.
local line = string_buffer.new(PIPE_BYTES)
local buffer, filled = ffi.new('char[?]', PIPE_BYTES), 0
local polled = ffi.new('causeway_pollfd[1]')
local lost = 0

local function wait_for_reader()
  polled[0].fd, polled[0].events = STDOUT, POLLOUT
  return ffi.C.poll(polled, 1, PATIENCE_MS) > 0
end

local function write(bytes, length)
  bytes = ffi.cast('const char *', bytes)
  while length > 0 do
    local written = tonumber(ffi.C.write(STDOUT, bytes, length))
    if written >= 0 then
      bytes, length = bytes + written, length - written
    else
      local errno = ffi.errno()
      if errno ~= EINTR and not (errno == EAGAIN and wait_for_reader()) then
        lost = lost + 1
        return
      end
    end
  end
end

-- Puts the line behind those that are to be written with it.
local function put_line()
  line:put('\n')
  local bytes, length = line:ref()
  if filled + length > PIPE_BYTES then
    write(buffer, filled)
    filled = 0
  end
  if length > PIPE_BYTES then
    return write(bytes, length)
  end
  ffi.copy(buffer + filled, bytes, length)
  filled = filled + length
end

local function report_lost()
  if lost > 0 then
    ngx.log(ngx.WARN, 'causeway: stdout took no more: ', lost, ' writes of log lines are lost')
    lost = 0
  end
end

-- Keeps the names: to put one into a table that was cleared takes four times as long.
local function empty(record)
  for name in pairs(record) do
    record[name] = nil
  end
end

-- How many lines of the batch were begun.
local begun = 0

local function make(number)
  while begun < number do
    begun = begun + 1
    local request = waiting_requests[begun]
    waiting_requests[begun] = nil
    empty(metrics)
    empty(properties)
    line:reset()
    local shared = fill(request, metrics, properties)
    if shared then
      emf.put(line, metrics_catalogue, times[begun], directives, properties, shared)
      put_line()
    end
  end
end

--- Writes what there is.
function M.flush()
  local number = count
  count, begun = 0, 0
  while begun < number do
    -- Around all of them: LuaJIT compiles no loop that catches errors in each turn.
    local ok, problem = pcall(make, number)
    if not ok then
      ngx.log(ngx.ERR, 'causeway: the line of a request cannot be built: ', problem)
    end
  end
  if filled > 0 then
    write(buffer, filled)
    filled = 0
  end
  report_lost()
end

--- Puts a request that has ended, now, in line for its line.
-- @tparam table request
function M.add(request)
  count = count + 1
  waiting_requests[count], times[count] = request, ngx.now() * 1000
  -- Timers of a worker that is ending run no more.
  if count == BATCH or ngx.worker.exiting() then
    M.flush()
  end
end

--- Writes one line of a timer, at once.
-- @tparam {[string]=number,...} own_metrics
-- @tparam table own_properties
function M.now(own_metrics, own_properties)
  line:reset()
  emf.put(line, metrics_catalogue, ngx.now() * 1000, { { metrics = own_metrics } }, own_properties)
  put_line()
  write(buffer, filled)
  filled = 0
end

-- Also as the worker begins to end: its last request may take an hour.
local function on_timer()
  M.flush()
end

--- Starts this worker's writing.
-- @tparam function fill_record of phase/record
function M.start(fill_record)
  fill = fill_record
  emf.NAMESPACE = settings.namespace
  assert(ngx.timer.every(settings.log_flush_ms / 1000, on_timer))
end

return M
