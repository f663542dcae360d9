--- Answers by a copy, or by what a flight brings. A content handler: here nginx tells when the client leaves, and waits
-- for it where it is slow.

local answer_head = require('causeway.phase.answer_head')
local cache = require('causeway.io.cache')
local cached = require('causeway.phase.cached')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local fetch = require('causeway.io.fetch')
local refuse = require('causeway.phase.refuse')
local replay = require('causeway.phase.replay')
local settings = require('causeway.settings')

local concat = table.concat
local flush, print = ngx.flush, ngx.print

local M = {}

-- What wakes a reader may be lost with a worker that dies: it looks by itself, too.
local LOOK_SECONDS = 1
-- How often a request is taken to another flight after one that brought nothing.
local TRIES = 3
-- What a reader that is behind is given at once.
local MOST_BYTES = 65536

-- Time that a request waits for others is not spent in Causeway.
local function wait(request, reader)
  local began = clock.monotonic_ms()
  reader.wait(LOOK_SECONDS)
  request.waited_ms = request.waited_ms + clock.monotonic_ms() - began
end

-- Sends what is given, and waits until the client's connection has taken it.
local function send(request, text)
  local began = clock.monotonic_ms()
  local ok = print(text) and flush(true)
  request.waited_ms = request.waited_ms + clock.monotonic_ms() - began
  if not ok then
    return ngx.exit(ngx.ERROR)
  end
end

-- The next of what has come: several pieces at once for a reader that is behind.
local function next_pieces(flight, reader)
  local piece = flight:next(reader)
  if not piece or flight:is_drained(reader) then
    return piece
  end
  local pieces, bytes = {}, 0
  repeat
    pieces[#pieces + 1] = piece
    bytes = bytes + #piece
    piece = bytes < MOST_BYTES and flight:next(reader)
  until not piece
  return concat(pieces)
end

-- Passes on what comes, as it comes.
local function pass_on(request, reader)
  local flight = reader.flight
  while true do
    local text = next_pieces(flight, reader)
    if text then
      send(request, text)
    elseif flight.outcome then
      -- Without its end, so that the client sees that it was cut.
      request.cut = flight.outcome ~= 'whole'
      cached.leave(request)
      return ngx.exit(request.cut and ngx.ERROR or ngx.HTTP_OK)
    else
      wait(request, reader)
    end
  end
end

-- A GET is answered once all of it is there, so that its entity tag can be told. Returns what has come, and whether
-- that is all: a large answer is not waited for.
local function gather(request, reader)
  local flight, pieces, bytes = reader.flight, {}, 0
  while bytes <= settings.cache.max_item_bytes do
    local text = next_pieces(flight, reader)
    if text then
      pieces[#pieces + 1] = text
      bytes = bytes + #text
    elseif flight.outcome == 'whole' then
      return concat(pieces), true
    elseif flight.outcome then
      cached.leave(request)
      return refuse.send(request, 502, 'upstream_broke_off', 'The upstream broke off its answer.')
    else
      wait(request, reader)
    end
  end
  return concat(pieces), false
end

local function answer(request, reader)
  local head = reader.flight.head
  if head.failed and head.stand_in == nil then
    -- Followed from another worker, which keeps what it found to itself.
    head.stand_in = fetch.stand_in(cache.tiers, request.sought.place)
  end
  request.sought = nil
  if head.stand_in then
    local age = head.stand_in.age + ngx.now() - head.stand_in.at
    cached.leave(request)
    return replay.send(request, { state = 'STALE', entry = head.stand_in.entry, age = age })
  end
  request.refusal = head.refusal
  if head.is_stream then
    context.mark_stream(request)
  end
  if request.head.method ~= 'GET' or head.status ~= 200 then
    answer_head.flight(request, head)
    return pass_on(request, reader)
  end
  local text, whole = gather(request, reader)
  if whole then
    local entry = { status = 200, headers = head.headers, body = text, etag = fetch.etag(text) }
    cached.leave(request)
    return replay.send(request, { state = 'MISS', entry = entry })
  end
  answer_head.flight(request, head)
  send(request, text)
  return pass_on(request, reader)
end

--- Answers the request.
function M.run()
  local request = context.get()
  request.waited_ms = 0
  for _ = 1, TRIES do
    if request.copy then
      cached.leave(request)
      return replay.send(request, request.copy)
    end
    local reader = request.reader
    local flight = reader.flight
    while not flight.head and not flight.outcome do
      wait(request, reader)
    end
    if flight.head then
      return answer(request, reader)
    end
    -- Whoever was to fetch it is gone.
    cached.leave(request)
    if not cached.find_again(request) then
      break
    end
  end
  cached.leave(request)
  cached.bypass(request, 'no_flight')
  return ngx.exec('@uncached-' .. request.class)
end

return M
