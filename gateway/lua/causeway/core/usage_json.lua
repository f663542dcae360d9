--- Usage of an answer in one JSON document.
--
-- What it is for: metering answers that are not streamed. The document is kept up to a limit and scanned for its
-- top-level members; only those are decoded, so a `usage` inside a tool's input is never looked at.
--
-- Estimate: an answer that was cut or is too large to read, and begins like a message, is taken to have
-- ceil(bytes / 4) output tokens, marked `estimated`. An error page of a proxy is no message and has no tokens.
--
-- Units: tokens, bytes. Shapes: the result of `usage_state`.

local cjson = require('cjson.safe').new()
local scan = require 'causeway.core.scan'
local state = require 'causeway.core.usage_state'

local ceil = math.ceil
local concat = table.concat
local find = string.find
local sub = string.sub

local _M = {}
local Meter = {}
Meter.__index = Meter

--- Largest answer that is read. The API's largest answers are far below.
_M.MAX_BYTES = 16777216

-- Up to this size the whole document is decoded: it is faster than finding members first (1 KB: 4 against 16 us), and
-- what it makes is small.
local SMALL = 16384
local WANTED = { model = true, stop_reason = true, usage = true, type = true, error = true }
-- A message names its type before its content.
local HEAD = 512

--- A meter of one answer.
-- @param max_bytes  default MAX_BYTES
-- @return meter with `:feed(chunk)` and `:finish(aborted) -> result`
function _M.new(max_bytes)
  return setmetatable({
    result = state.new(),
    max_bytes = max_bytes or _M.MAX_BYTES,
    parts = {}, count = 0, bytes = 0,
    head = '',
    finished = false,
  }, Meter)
end

--- Reads the next bytes.
-- @param chunk  string
function Meter:feed(chunk)
  local bytes = self.bytes + #chunk
  if #self.head < HEAD then
    self.head = self.head .. sub(chunk, 1, HEAD - #self.head)
  end
  self.bytes = bytes
  if bytes > self.max_bytes then
    self.parts, self.count = {}, 0
    self.result.unread = true
    return
  end
  local count = self.count + 1
  self.parts[count] = chunk
  self.count = count
end

-- The wanted members, decoded. nil where the body is no JSON object.
local function read_small(body)
  local document = find(body, '^%s*{') and cjson.decode(body)
  return type(document) == 'table' and document or nil
end

local function decode(body, range)
  if not range then
    return nil
  end
  -- Wrapped, because some versions of cjson decode arrays and objects only.
  local decoded = cjson.decode('[' .. sub(body, range.from, range.to) .. ']')
  return decoded and decoded[1]
end

local function read_large(body)
  local found = scan.top_level(body, WANTED)
  if not found then
    return nil
  end
  local members = {}
  for name in pairs(WANTED) do
    members[name] = decode(body, found[name])
  end
  return members
end

--- The result, once the answer has ended or was cut.
-- @param aborted  whether the client or the upstream cut it
-- @return result
function Meter:finish(aborted)
  local result = self.result
  if self.finished then
    return result
  end
  self.finished = true
  local body = concat(self.parts, '', 1, self.count)
  self.parts, self.count = {}, 0
  local members
  if not result.unread then
    members = (#body <= SMALL and read_small or read_large)(body)
  end
  if members then
    result.complete = true
    result.model = state.text(members.model)
    result.stop_reason = state.text(members.stop_reason)
    state.take(result, members.usage)
    if state.text(members.type) == 'error' then
      local err = members.error
      result.in_band_error = type(err) == 'table' and state.text(err.type) or 'unknown'
    end
  elseif find(self.head, '^%s*{') and find(self.head, '"type"%s*:%s*"message"') then
    result.output = ceil(self.bytes / state.BYTES_PER_TOKEN)
    result.estimated = true
  end
  return state.close(result, aborted)
end

return _M
