--- Looks at this worker's messages while it has flights that others may follow, or follows some itself. A worker
-- without any does not look, and costs nothing.

local exports = require('causeway.io.flight_exports')
local mailbox = require('causeway.io.mailbox')
local mirrors = require('causeway.io.flight_mirrors')

local M = {}

local LOOK_SECONDS = 0.003
-- How often it looks whether those at the other end still run, in looks.
local CHECK_EVERY = 50
-- Looks after the last flight has ended: somebody may just have asked for it.
local LINGER = 100

-- A watch that has not looked for so long was dropped: nginx had no connection for its timer.
local DROPPED_SECONDS = 1

-- The watch that counts, and when it looked last.
local watching, looked = nil, 0
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

local function look(count)
  local kind, id, text = mailbox.take()
  while kind do
    take(kind, id, text)
    kind, id, text = mailbox.take()
  end
  mirrors.tell()
  exports.retry()
  if count % CHECK_EVERY == 0 then
    mirrors.check()
    exports.check()
  end
end

local function try_look(count)
  looked = ngx.now()
  local ok, problem = xpcall(look, debug.traceback, count)
  if not ok then
    ngx.log(ngx.ERR, 'causeway: a message between workers: ', problem)
  end
end

local function watch(premature, mine)
  local count, idle = 0, 0
  -- Also in a worker that ends, for those who follow it.
  while not premature and idle < LINGER and watching == mine do
    count = count + 1
    try_look(count)
    idle = (has_flights() or exports.any() or mirrors.any()) and 0 or idle + 1
    ngx.sleep(LOOK_SECONDS)
  end
  if watching == mine then
    watching = nil
  end
end

--- Looks from now on, if it does not do so already.
-- @treturn boolean whether it does
function M.watch()
  local now = ngx.now()
  if watching and now - looked < DROPPED_SECONDS then
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
    try_look(CHECK_EVERY)
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
