--- The lines on stdout. Those of requests are built and written some at a time: one after the other they find code and
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

local records, count = {}, 0
-- The line that is being built: as a string of Lua's, each would be garbage of 2 KB.
local line = string_buffer.new(PIPE_BYTES)
local buffer, filled = ffi.new('char[?]', PIPE_BYTES), 0
local waiting = ffi.new('causeway_pollfd[1]')
local lost = 0

local function wait_for_reader()
  waiting[0].fd, waiting[0].events = STDOUT, POLLOUT
  return ffi.C.poll(waiting, 1, PATIENCE_MS) > 0
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

--- Writes what there is.
function M.flush()
  local number = count
  count = 0
  for index = 1, number do
    local record = records[index]
    line:reset()
    local ok, problem = pcall(emf.put, line, metrics_catalogue, record.time, record.directives, record.properties)
    if ok then
      put_line()
    else
      ngx.log(ngx.ERR, 'causeway: the line of a request cannot be built: ', problem)
    end
  end
  if filled > 0 then
    write(buffer, filled)
    filled = 0
  end
  report_lost()
end

--- An empty record, to be filled and then added. Until it is added, the next call gives the same one.
-- @treturn table `{ metrics = {}, properties = {} }`, which is reused once its line is written
function M.record()
  local record = records[count + 1]
  if not record then
    local metrics = {}
    record = { metrics = metrics, properties = {}, directives = { { metrics = metrics } } }
    records[count + 1] = record
  end
  return record
end

--- Adds the record that `record` gave last, as of now.
function M.add()
  count = count + 1
  records[count].time = ngx.now() * 1000
  -- Timers of a worker that is ending run no more.
  if count == BATCH or ngx.worker.exiting() then
    M.flush()
  end
end

--- Writes one line of a timer, at once.
-- @tparam {[string]=number,...} metrics
-- @tparam table properties
function M.now(metrics, properties)
  line:reset()
  emf.put(line, metrics_catalogue, ngx.now() * 1000, { { metrics = metrics } }, properties)
  put_line()
  write(buffer, filled)
  filled = 0
end

local function on_timer(premature)
  if not premature then
    M.flush()
  end
end

--- Starts this worker's writing.
function M.start()
  emf.NAMESPACE = settings.namespace
  assert(ngx.timer.every(settings.log_flush_ms / 1000, on_timer))
end

return M
