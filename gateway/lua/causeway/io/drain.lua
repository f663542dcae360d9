--- A reload that keep-alive clients do not notice.
--
-- nginx ends its old workers by closing their idle connections at once, and a client that is just sending its next
-- request on one of them gets a reset: with 64 busy clients, about 30 requests a reload (measured; nginx itself can
-- wait only from 1.27.4 on, keepalive_min_timeout). Here an old worker that sees its successors take over goes in two
-- steps. First it behaves as one that ends: no new connections, and `Connection: close` on each answer, but idle
-- connections stay open for those that are about to use them. After some seconds nginx's own way of ending takes its
-- course, and only finds connections that nobody used all that time.
--
-- nginx has no interface for this; its variables are those of src/os/unix/ngx_process_cycle.c, the same in all releases
-- since 0.7. Where they cannot be found, or the master is quicker, workers end as nginx lets them.

local ffi = require('ffi')

ffi.cdef([[
typedef struct causeway_cycle causeway_cycle;
extern uintptr_t ngx_exiting;
extern int ngx_quit;
extern causeway_cycle *ngx_cycle;
void ngx_close_listening_sockets(causeway_cycle *cycle);
]])

local M = {}

local STATE = 'causeway_state'
local COUNTER, SERVING = 'generation', 'serving'
-- The master gives its new workers 100 ms before it ends the old ones.
local LOOK_SECONDS = 0.02
-- How long idle connections are kept for their next request.
local IDLE_SECONDS = 5

local generation
local superseded = false

--- Numbers this configuration's workers. Called in the master, before they start.
function M.init()
  generation = ngx.shared[STATE]:incr(COUNTER, 1, 0)
end

local function end_as_nginx_does(premature)
  if premature then
    return
  end
  ffi.C.ngx_exiting = 0
  ffi.C.ngx_quit = 1
end

local function begin()
  -- Before the worker counts as exiting: from then on no timer may be set.
  if not ngx.timer.at(IDLE_SECONDS, end_as_nginx_does) then
    return
  end
  superseded = true
  ffi.C.ngx_exiting = 1
  ffi.C.ngx_close_listening_sockets(ffi.C.ngx_cycle)
end

local function look(premature)
  if premature or superseded or ngx.worker.exiting() then
    return
  end
  local serving = ngx.shared[STATE]:get(SERVING)
  if serving and serving > generation then
    begin()
  end
end

--- Tells older workers that this one serves, and looks for younger ones.
function M.start()
  local found = pcall(function()
    return ffi.C.ngx_exiting, ffi.C.ngx_quit, ffi.C.ngx_cycle, ffi.C.ngx_close_listening_sockets
  end)
  if not found or not generation then
    return
  end
  -- Never back: a worker that starts late must not make younger ones end.
  if generation > (ngx.shared[STATE]:get(SERVING) or 0) then
    ngx.shared[STATE]:set(SERVING, generation)
  end
  assert(ngx.timer.every(LOOK_SECONDS, look))
end

--- Whether younger workers have taken over: this one ends, the node does not.
function M.superseded()
  return superseded
end

return M
