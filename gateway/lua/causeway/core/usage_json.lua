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
local members = require 'causeway.core.members'
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

-- The wanted members, decoded; nil where the body is no JSON object. The quick look suffices for what an upstream
-- wrote well (1 KB: 2 against 16 us); what it cannot read, the strict one judges.
local function read(body)
  local found = members.find(body, WANTED)
  if found then
    local decoded, good = {}, true
    for name, range in pairs(found) do
      local value = cjson.decode('[' .. sub(body, range[1], range[2]) .. ']')
      good = good and value ~= nil
      decoded[name] = value and value[1]
    end
    if good then
      return decoded
    end
  end
  found = scan.top_level(body, WANTED)
  if not found then
    return nil
  end
  local decoded = {}
  for name in pairs(WANTED) do
    local range = found[name]
    -- In a list, because some versions of cjson decode lists and objects only.
    local value = range and cjson.decode('[' .. sub(body, range.from, range.to) .. ']')
    decoded[name] = value and value[1]
  end
  return decoded
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
  local decoded = not result.unread and read(body)
  if decoded then
    result.complete = true
    result.model = state.text(decoded.model)
    result.stop_reason = state.text(decoded.stop_reason)
    state.take(result, decoded.usage)
    if state.text(decoded.type) == 'error' then
      local err = decoded.error
      result.in_band_error = type(err) == 'table' and state.text(err.type) or 'unknown'
    end
  elseif find(self.head, '^%s*{') and find(self.head, '"type"%s*:%s*"message"') then
    result.output = ceil(self.bytes / state.BYTES_PER_TOKEN)
    result.estimated = true
  end
  return state.close(result, aborted)
end

return _M
