--- Usage of a streamed answer (`text/event-stream`).
--
-- What it is for: metering streams as they pass, whether they end well, carry an error inside, or are cut. Only
-- `message_start`, `message_delta`, `message_stop` and `error` are decoded; the deltas between them are measured, not
-- read, so nothing that a model or a tool writes can pass for usage.
--
-- Estimate: a stream that is cut never delivers its final count. Output tokens are then taken to be
--   the last cumulative count of a `message_delta` (0 if there was none) + ceil(delta bytes since / 4)
-- and at least the count of `message_start`. Delta bytes are those of text, thinking and tool input as they stand in
-- the JSON (escapes not undone); signatures and citations do not count. Marked `estimated`.
--
-- Units: tokens, bytes. Shapes: the result of `usage_state`.

local cjson = require('cjson.safe').new()
local scan = require 'causeway.core.scan'
local sse = require 'causeway.core.sse'
local state = require 'causeway.core.usage_state'

local byte = string.byte
local ceil = math.ceil
local find = string.find

local _M = {}
local Meter = {}
Meter.__index = Meter

-- How a delta begins, and per kind (by its first two letters) what stands before its text.
local DELTA = '"delta":{"type":"'
local TEXT = #'text_delta","text":"'
local THINKING = #'thinking_delta","thinking":"'
local TOOL_INPUT = #'input_json_delta","partial_json":"'
local CLOSING = #'"}}'
-- For deltas written in another way, such as with spaces.
local USUAL_ENVELOPE = #'{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}'
-- The delta begins within this many bytes of the line, or it is written in another way.
local NEAR = 80

local TYPE = { type = true }

--- A meter of one stream.
-- @return meter with `:feed(chunk)` and `:finish(aborted) -> result`
function _M.new()
  local meter = setmetatable({
    result = state.new(),
    delta_bytes = 0,
    counted = 0,
    usual = true,
    finished = false,
  }, Meter)
  meter.reader = sse.new(meter)
  return meter
end

-- The bytes of text in a `content_block_delta`, s[from..to].
function Meter:measure(s, from, to)
  local bytes
  local at = self.usual and find(s, DELTA, from, true)
  if at and at < from + NEAR then
    local kind = at + #DELTA
    local first, second = byte(s, kind, kind + 1)
    if first == 0x74 then -- t
      bytes = to - kind + 1 - CLOSING - (second == 0x65 and TEXT or THINKING)
    elseif first == 0x69 then -- i
      bytes = to - kind + 1 - CLOSING - TOOL_INPUT
    else
      return
    end
  else
    -- Do not search the rest of the chunk again for each line to come.
    self.usual = false
    bytes = to - from + 1 - USUAL_ENVELOPE
  end
  if bytes > 0 then
    self.delta_bytes = self.delta_bytes + bytes
  end
end

-- Called by the reader for each data line.
function Meter:wants(name, s, from, to)
  if name == 'content_block_delta' then
    self:measure(s, from, to)
    return false
  end
  return name == nil or name == 'message_delta' or name == 'message_start' or name == 'message_stop' or name == 'error'
end

local function decode(data)
  local decoded = cjson.decode(data)
  return type(decoded) == 'table' and decoded or nil
end

local function on_start(result, data)
  local message = decode(data)
  message = message and message.message
  if type(message) == 'table' then
    result.model = state.text(message.model) or result.model
    state.take(result, message.usage)
  end
end

local function on_delta(result, data)
  local event = decode(data)
  if event then
    state.take(result, event.usage)
  end
  return event and type(event.usage) == 'table'
end

local function on_error(result, data)
  local event = decode(data)
  local err = event and event.error
  -- An error that cannot be read is an error all the same.
  result.in_band_error = type(err) == 'table' and state.text(err.type) or 'unknown'
end

-- Called by the reader for each event that was wanted.
function Meter:event(name, data, cut)
  if not name then
    -- A proxy in between may have dropped the event's name; the data repeats it.
    local found = scan.top_level(data, TYPE)
    name = found and found.type and scan.string_value(data, found.type)
    if name == 'content_block_delta' then
      self:measure(data, 1, #data)
    end
  end
  local result = self.result
  if name == 'message_start' then
    on_start(result, data)
  elseif name == 'message_delta' then
    if on_delta(result, data) then
      self.delta_bytes = 0
      self.counted = result.output or 0
    end
  elseif name == 'message_stop' then
    -- A client does not see an event that was cut, so for it the message has not ended.
    result.complete = result.complete or not cut
  elseif name == 'error' then
    on_error(result, data)
  end
end

--- Reads the next bytes. Keeps no more of them than one partial line.
-- @param chunk  string
function Meter:feed(chunk)
  self.reader:feed(chunk)
end

--- The result, once the stream has ended or was cut.
-- @param aborted  whether the client or the upstream cut it
-- @return result
function Meter:finish(aborted)
  local result = self.result
  if self.finished then
    return result
  end
  self.finished = true
  self.reader:finish()
  if not result.complete and self.delta_bytes > 0 then
    local output = self.counted + ceil(self.delta_bytes / state.BYTES_PER_TOKEN)
    if output > (result.output or 0) then
      result.output = output
    end
    result.estimated = true
  elseif not result.complete and result.input and self.counted == 0 then
    -- Cut between message_start and the first delta: what message_start says of the output is a beginning, no count.
    result.estimated = true
  end
  return state.close(result, aborted)
end

return _M
