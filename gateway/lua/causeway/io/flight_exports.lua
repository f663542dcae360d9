--- Flights of this worker that other workers of the node follow: each follower is a reader, to whom pieces are sent as
-- messages (io/mailbox). What is on the way is bounded by what the follower has not acknowledged; where shared memory
-- is full, the reader waits like any slow one, and loses nothing.
--
-- Messages to the follower, under its number: `K` joined (its text: our number), `G` gone, `H` head, `P` piece, `E` end
-- (its text: the outcome). From the follower: `J` join, and under our number `A` bytes taken, `L` leaves.

local cjson = require('cjson.safe')
local mailbox = require('causeway.io.mailbox')
local workers = require('causeway.io.workers')

local M = {}

local WINDOW_BYTES = 131072

local exports = {}
local next_id = 0

local function close(export)
  exports[export.id] = nil
  export.flight:leave(export.reader)
end

-- Sends a message, or keeps it until there is room: then it goes first.
local function deliver(export, kind, text)
  if mailbox.send(export.pid, kind, export.to, text) then
    export.kept_kind, export.kept_text = nil, nil
    return true
  end
  export.kept_kind, export.kept_text = kind, text
  return false
end

local function head_text(head)
  -- Not the copy that may stand in: the follower finds it itself.
  return cjson.encode({
    status = head.status,
    headers = head.headers,
    length = head.length,
    refusal = head.refusal,
    is_stream = head.is_stream,
    failed = head.failed,
  })
end

-- What is to be sent next; nil where there is nothing yet, or the follower has no room.
local function next_message(export)
  local flight = export.flight
  if not export.head_sent then
    if flight.head then
      export.head_sent = true
      return 'H', head_text(flight.head)
    end
  elseif export.on_the_way < WINDOW_BYTES then
    local piece = flight:next(export.reader)
    if piece then
      export.on_the_way = export.on_the_way + #piece
      return 'P', piece
    end
  end
  if flight.outcome and flight:is_drained(export.reader) then
    return 'E', flight.outcome
  end
end

-- Sends as much as there is and the follower has room for.
local function pump(export)
  if export.kept_kind and not deliver(export, export.kept_kind, export.kept_text) then
    return
  end
  while not export.ended do
    local kind, text = next_message(export)
    export.ended = kind == 'E'
    if not kind or not deliver(export, kind, text) then
      return
    end
  end
  close(export)
end

--- Begins to send a flight to a worker that asks for it.
-- @tparam table|nil flight where it may be joined
-- @tparam number pid the worker
-- @tparam string to its number of it
function M.begin(flight, pid, to)
  next_id = next_id + 1
  local export = { id = tostring(next_id), pid = pid, to = to, flight = flight, on_the_way = 0 }
  export.reader = flight and flight:join(function()
    pump(export)
  end)
  if not export.reader then
    mailbox.send(pid, 'G', to)
    return
  end
  exports[export.id] = export
  if deliver(export, 'K', export.id) then
    pump(export)
  end
end

--- A follower has taken so many bytes.
function M.acknowledge(id, bytes)
  local export = exports[id]
  if export then
    export.on_the_way = export.on_the_way - bytes
    pump(export)
  end
end

--- A follower has nobody left to read.
function M.leave(id)
  local export = exports[id]
  if export then
    close(export)
  end
end

--- Tries again what found no room.
function M.retry()
  for _, export in pairs(exports) do
    if export.kept_kind then
      pump(export)
    end
  end
end

--- Forgets followers whose worker is gone.
function M.check()
  for _, export in pairs(exports) do
    if not workers.is_alive(export.pid) then
      mailbox.forget(export.pid)
      close(export)
    end
  end
end

--- Whether any worker follows.
function M.any()
  return next(exports) ~= nil
end

return M
