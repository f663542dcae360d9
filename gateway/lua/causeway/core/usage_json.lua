--- Usage of an answer in one JSON document.
--
-- What it is for: metering answers that are not streamed. The document is kept up to a limit, and only its top-level
-- members are read, so a `usage` inside a tool's input is never looked at.
--
-- How: a look at both ends suffices for what is written as the API does (core/usage_ends). What is not, is walked.
--
-- Estimate: an answer that was cut or is too large to read, and begins like a message, is taken to have
-- ceil(bytes / 4) output tokens, marked `estimated`. An error page of a proxy is no message and has no tokens.
--
-- Units: tokens, bytes. Shapes: the result of `usage_state`.

local cjson = require('cjson.safe').new()
local ends = require 'causeway.core.usage_ends'
local members = require 'causeway.core.members'
local scan = require 'causeway.core.scan'
local state = require 'causeway.core.usage_state'

local byte = string.byte
local ceil = math.ceil
local concat = table.concat
local find = string.find
local sub = string.sub

local _M = {}
local Meter = {}
Meter.__index = Meter

--- Largest answer that is read, in bytes. Answers of 128,000 tokens are an eighth of it; what is above is estimated,
-- for each answer of this size is held in memory while it passes.
_M.MAX_BYTES = 4194304

local QUOTE, BRACE = 0x22, 0x7B
local WANTED = { model = true, usage = true, type = true, error = true }
-- A message names its type before its content.
local HEAD = 512

--- A meter of one answer.
-- @param max_bytes  default MAX_BYTES
-- @return meter with `:feed(chunk)` and `:finish(aborted) -> result`
function _M.new(max_bytes)
  return setmetatable({
    result = state.new(),
    max_bytes = max_bytes or _M.MAX_BYTES,
    -- Most answers come in one piece; the pieces of others are all in `more`.
    first = false, more = false, count = 0, bytes = 0,
    finished = false,
  }, Meter)
end

--- Reads the next bytes.
-- @param chunk  string
function Meter:feed(chunk)
  local bytes = self.bytes + #chunk
  self.bytes = bytes
  if bytes > self.max_bytes then
    if not self.result.unread then
      self.result.unread = true
      -- Enough to tell what it is; the rest is only counted. Not all of it at once: that would double what is held.
      local head, index = sub(self.first or '', 1, HEAD), 2
      while #head < HEAD and index <= self.count do
        head, index = head .. sub(self.more[index], 1, HEAD), index + 1
      end
      self.first, self.more, self.count = sub(head .. sub(chunk, 1, HEAD), 1, HEAD), false, 1
    end
    return
  end
  local count = self.count + 1
  self.count = count
  if count == 1 then
    self.first = chunk
  else
    self.more = self.more or { self.first }
    self.more[count] = chunk
  end
end

-- The value between two positions; nil where it is no JSON.
local function value_at(body, from, to)
  if byte(body, from) == QUOTE and byte(body, to) == QUOTE then
    local text = sub(body, from + 1, to - 1)
    if not find(text, '\\', 1, true) then
      return text
    end
  elseif byte(body, from) == BRACE then
    return cjson.decode(sub(body, from, to))
  end
  -- In a list, because some versions of cjson decode lists and objects only.
  local list = cjson.decode('[' .. sub(body, from, to) .. ']')
  return list and list[1]
end

-- The wanted members, decoded; nil where the body is no JSON object. The quick look suffices for what an upstream
-- wrote well; what it cannot read, the strict one judges.
local function read(body)
  local found, decoded = members.find(body, WANTED), {}
  if found then
    for name, range in pairs(found) do
      decoded[name] = value_at(body, range[1], range[2])
      if decoded[name] == nil then
        found = nil
        break
      end
    end
  end
  if found then
    return decoded
  end
  found = scan.top_level(body, WANTED)
  if not found then
    return nil
  end
  for name in pairs(WANTED) do
    local range = found[name]
    decoded[name] = range and value_at(body, range.from, range.to) or nil
  end
  return decoded
end

local function is_message(body)
  local head = sub(body, 1, HEAD)
  return find(head, '^%s*{') and find(head, '"type"%s*:%s*"message"')
end

-- Longer answers are not held for longer than they must.
local MAX_WAITING_BYTES = 65536
local KIND = '"type":"message"'

--- Whether the result may be asked for a while after the answer has ended: it looks like a message, of which only the
-- tokens are to be found out.
-- @return boolean
function Meter:may_wait()
  local first = self.first
  if not first or self.bytes > MAX_WAITING_BYTES then
    return false
  end
  local at = find(first, KIND, 1, true)
  return at ~= nil and at < HEAD
end

--- The result, once the answer has ended or was cut.
-- @param aborted  whether the client or the upstream cut it
-- @param strict   whether all of it is to be looked at, for where it is whole is not known otherwise
-- @return result
function Meter:finish(aborted, strict)
  local result = self.result
  if self.finished then
    return result
  end
  self.finished = true
  local body = self.more and concat(self.more, '', 1, self.count) or self.first or ''
  self.first, self.more, self.count = false, false, 0
  if not (aborted or strict or result.unread) then
    local model = ends.model(body)
    local usage = model and ends.usage(body)
    if usage then
      result.complete, result.model = true, model
      state.take(result, usage)
      return state.close(result, false)
    end
  end
  local decoded = not result.unread and read(body)
  if decoded then
    result.complete = true
    result.model = state.text(decoded.model)
    state.take(result, decoded.usage)
    if state.text(decoded.type) == 'error' then
      local err = decoded.error
      result.in_band_error = type(err) == 'table' and state.text(err.type) or 'unknown'
    end
  elseif is_message(body) then
    result.output = ceil(self.bytes / state.BYTES_PER_TOKEN)
    result.estimated = true
  end
  return state.close(result, aborted)
end

return _M
