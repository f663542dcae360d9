--- Flights of other workers of this node that this worker follows. Each is a flight of our own, filled by the owner's
-- messages (see io/flight_exports), which the clients of this worker read. What it has no room for is not acknowledged,
-- so that the owner waits.

local cjson = require('cjson.safe')
local mailbox = require('causeway.io.mailbox')
local workers = require('causeway.io.workers')

local M = {}

-- An owner that has not answered for so long never will.
local JOIN_SECONDS = 2

local mirrors = {}
local next_id = 0

-- `gone`: nothing has come, and somebody else may be asked.
local function close(mirror, outcome)
  mirrors[mirror.id] = nil
  mirror.flight:close(outcome)
end

--- Asks the owner of a flight for it.
-- @tparam table flight an empty one, to be filled
-- @tparam string key
-- @tparam number owner pid
function M.begin(flight, key, owner)
  next_id = next_id + 1
  local mirror = { id = tostring(next_id), pid = owner, flight = flight, owed = 0, asked = ngx.now() }
  mirrors[mirror.id] = mirror
  if not mailbox.send(owner, 'J', mirror.id, ngx.worker.pid() .. ' ' .. key) then
    close(mirror, 'gone')
  end
end

local TAKE = {
  K = function(mirror, text)
    mirror.export = text
  end,
  G = function(mirror)
    close(mirror, 'gone')
  end,
  H = function(mirror, text)
    mirror.flight:open(cjson.decode(text))
  end,
  P = function(mirror, text)
    mirror.owed = mirror.owed + #text
    mirror.flight:push(text)
  end,
  E = function(mirror, text)
    close(mirror, text)
  end,
}

--- Takes a message of an owner.
function M.take(kind, id, text)
  local mirror = mirrors[id]
  if mirror then
    TAKE[kind](mirror, text)
  end
end

--- Tells owners what was taken, and that nobody reads any more.
function M.tell()
  for _, mirror in pairs(mirrors) do
    local flight = mirror.flight
    if mirror.export and flight.reader_count == 0 then
      if mailbox.send(mirror.pid, 'L', mirror.export) then
        close(mirror, 'cut')
      end
    elseif mirror.export and mirror.owed > 0 and not flight.full
      and mailbox.send(mirror.pid, 'A', mirror.export, tostring(mirror.owed)) then
      mirror.owed = 0
    end
  end
end

--- Ends what nobody will ever fill: its owner is gone, or does not answer.
function M.check()
  for _, mirror in pairs(mirrors) do
    local alive = workers.is_alive(mirror.pid)
    if not alive then
      mailbox.forget(mirror.pid)
    end
    if not alive or not mirror.export and ngx.now() > mirror.asked + JOIN_SECONDS then
      close(mirror, mirror.flight.head and 'cut' or 'gone')
    end
  end
end

--- Whether this worker follows any flight.
function M.any()
  return next(mirrors) ~= nil
end

return M
