--- What the body of a request tells the choice of an upstream. Bodies above nginx's buffer stand in a file.

local asked = require('causeway.core.asked')
local clock = require('causeway.io.clock')
local ffi = require('ffi')
local members = require('causeway.core.members')
local upstream_ids = require('causeway.core.upstream_ids')

ffi.cdef('size_t fread(void *bytes, size_t size, size_t count, void *file);')

local M = {}

-- Route classes whose requests name a model.
local NAMES_MODEL = { generate = true, count = true }
local END_BYTES = asked.END_BYTES

--- Whether requests of a route class name a model.
function M.names_model(class)
  return NAMES_MODEL[class] or false
end

--- Receives the whole body, and notes how long the client took for it. Only where the phase may wait.
function M.receive(request)
  local began = clock.monotonic_ms()
  ngx.req.read_body()
  request.received_ms = (request.received_ms or 0) + clock.monotonic_ms() - began
end

local function open_file()
  local path = ngx.req.get_body_file()
  if not path then
    return nil
  end
  local handle, open_error = io.open(path, 'rb')
  if not handle then
    ngx.log(ngx.ERR, 'causeway: a request body cannot be read: ', open_error)
  end
  return handle
end

local function glance()
  local body = ngx.req.get_body_data()
  if body then
    return asked.of_body(body)
  end
  local handle = open_file()
  if not handle then
    return nil, false
  end
  local head, size = handle:read(END_BYTES) or '', handle:seek('end')
  handle:seek('set', math.max(0, size - END_BYTES))
  local tail = handle:read(END_BYTES) or ''
  handle:close()
  return asked.of_ends(head, tail)
end

--- Finds out what the request asks for, once: `request.asked_model` (nil where it cannot be told) and
-- `request.asks_stream`. Its body must have been received.
function M.look(request)
  if request.looked or not NAMES_MODEL[request.route_class] then
    return
  end
  request.looked = true
  request.asked_model, request.asks_stream = glance()
end

-- In each second this worker looks at so many requests, and then at one of so many, which stands for them all. An odd
-- number: clients that take turns between two models must not always be met at the same one.
local LOOKS_PER_SECOND, STANDS_FOR = 50, 17
local second, seen = 0, 0

--- For how many requests this one stands in the breaker's counts of what went well: 1 while there are few, more for a
-- few of many, and 0 for the rest of them, which then cost nothing.
function M.weight()
  local now = ngx.time()
  if now ~= second then
    second, seen = now, 0
  end
  seen = seen + 1
  if seen <= LOOKS_PER_SECOND then
    return 1
  end
  return seen % STANDS_FOR == 0 and STANDS_FOR or 0
end

local CONTAINER = { container = true }

-- A body in a file is looked at piece by piece, and others get their turn between. The room is the worker's: nobody
-- waits while a piece is in it.
local PIECE_BYTES, PAUSE_SECONDS = 1024 * 1024, 0.001
local piece

local function piece_names_upstream_ids(handle)
  piece = piece or ffi.new('char[?]', PIECE_BYTES)
  local length = tonumber(ffi.C.fread(piece, 1, PIECE_BYTES, handle))
  local found = upstream_ids.has_in(piece, length, 'file_id') or upstream_ids.has_in(piece, length, 'container')
  return found, length < PIECE_BYTES
end

local function file_names_upstream_ids()
  local handle = open_file()
  if not handle then
    return false
  end
  local found, last = piece_names_upstream_ids(handle)
  while not found and not last do
    ngx.sleep(PAUSE_SECONDS)
    -- A member may lie across two pieces.
    handle:seek('cur', -upstream_ids.OVERLAP_BYTES)
    found, last = piece_names_upstream_ids(handle)
  end
  handle:close()
  return found
end

--- Whether the request names what only one upstream knows. Where that cannot be read, it is taken to. Its body must
-- have been received.
function M.names_upstream_ids(var)
  if var.http_content_encoding then
    return true
  end
  local body = ngx.req.get_body_data()
  if not body then
    return file_names_upstream_ids()
  end
  if upstream_ids.has(body, 'file_id') then
    return true
  end
  return upstream_ids.has(body, 'container') and members.find_leading(body, CONTAINER, 1).container ~= nil
end

return M
