--- Looks at this worker's messages while it has flights that others may follow, or follows some itself. A worker
-- without any does not look, and costs nothing.

local clock = require('causeway.io.clock')
local exports = require('causeway.io.flight_exports')
local mailbox = require('causeway.io.mailbox')
local mirrors = require('causeway.io.flight_mirrors')
local pace = require('causeway.core.pace')

local M = {}

-- A message waits for the next look: while any come, looks are as close as nginx's timers allow. Only a worker that
-- shares a flight with another pays for that.
local rhythm = pace.new({ idle_ms = 3, busy_ms = 1, calm_ms = 100 })
-- How often it looks whether those at the other end still run.
local CHECK_MS = 150
-- How long it looks on after the last flight has ended: somebody may just have asked for it.
local LINGER_MS = 300
-- A watch that has not looked for so long was dropped: nginx had no connection for its timer.
local DROPPED_MS = 1000

-- The watch that counts, when it looked last, and when it checked last.
local watching, looked, checked = nil, 0, 0
local find_flight, has_flights

local function take(kind, id, text)
  if kind == 'J' then
    local pid, key = text:match('^(%d+) (.+)$')
    exports.begin(find_flight(key), tonumber(pid), id)
  elseif kind == 'A' then
    exports.acknowledge(id, tonumber(text))
  elseif kind == 'L' then
    exports.leave(id)
  else
    mirrors.take(kind, id, text)
  end
end

local function look(now)
  local kind, id, text = mailbox.take()
  if kind then
    rhythm:stir(now)
  end
  while kind do
    take(kind, id, text)
    kind, id, text = mailbox.take()
  end
  mirrors.tell()
  exports.retry()
  if now - checked >= CHECK_MS then
    checked = now
    mirrors.check()
    exports.check()
  end
end

local function try_look(now)
  looked = now
  local ok, problem = xpcall(look, debug.traceback, now)
  if not ok then
    ngx.log(ngx.ERR, 'causeway: a message between workers: ', problem)
  end
end

local function watch(premature, mine)
  local now = clock.monotonic_ms()
  -- How long nobody has needed it, as of the last look: a worker that stood still for a while still has to look.
  local needed, idle_ms = now, 0
  -- Also in a worker that ends, for those who follow it.
  while not premature and idle_ms < LINGER_MS and watching == mine do
    try_look(now)
    if has_flights() or exports.any() or mirrors.any() then
      needed = now
    end
    idle_ms = now - needed
    ngx.sleep(rhythm:wait_ms(now) / 1000)
    now = clock.monotonic_ms()
  end
  if watching == mine then
    watching = nil
  end
end

--- Looks from now on, if it does not do so already.
-- @tparam ?boolean expects whether a message is sure to come soon
-- @treturn boolean whether it does
function M.watch(expects)
  local now = clock.monotonic_ms()
  if expects then
    rhythm:stir(now)
  end
  if watching and now - looked < DROPPED_MS then
    return true
  end
  local mine = {}
  local ok, problem = ngx.timer.at(0, watch, mine)
  if not ok then
    ngx.log(ngx.WARN, 'causeway: this worker reads no messages: ', problem)
    watching = nil
    return false
  end
  if watching then
    -- The next may be dropped as well. Whoever waits looks instead, so that none waits for ever.
    checked = 0
    try_look(now)
  end
  watching, looked = mine, now
  return true
end

--- @tparam function find key -> flight of this worker's own that may be joined, or nil
-- @tparam function any() whether this worker fetches anything
function M.init(find, any)
  find_flight, has_flights = find, any
end

return M
