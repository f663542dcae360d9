--- What to make of an answer that is fetched for several: whether it is a failure for which a kept copy may stand in,
-- whether it may be stored, and which of its headers are handed on and kept.
--
-- What is never stored: any status but 200, an answer that broke off, a stream that did not come to its `message_stop`
-- or held an error, a JSON answer that is none, anything else than JSON or SSE, anything compressed.
-- A failure is a status of 500 and above, and a stream whose first event is an error. 429 and other 4xx are answers.
--
-- Shapes: a head is that of core/http_answer. `judge.length` is the content-length, nil where none was said;
-- `judge.refusal` why the gateway itself gave this answer, nil where the upstream did.

local scan = require('causeway.core.scan')
local usage = require('causeway.core.usage')

local find = string.find
local lower = string.lower

local _M = {}
local Judge = {}
Judge.__index = Judge

-- What frames the answer on the way here (RFC 9110, 7.6.1), and what is said to the fetch alone, or anew by the
-- location that answers.
local NOT_HANDED_ON = {
  ['connection'] = true,
  ['content-length'] = true,
  ['keep-alive'] = true,
  ['transfer-encoding'] = true,
  ['x-causeway-refusal'] = true,
  ['x-causeway-region'] = true,
}

-- What was true of the moment or of the client who asked, not of the answer; and what the gateway itself says of
-- copies.
local NOT_KEPT = {
  ['age'] = true,
  ['cache-control'] = true,
  ['etag'] = true,
  ['expires'] = true,
  ['pragma'] = true,
  ['retry-after'] = true,
  ['retry-after-ms'] = true,
  ['set-cookie'] = true,
  ['vary'] = true,
  ['x-should-retry'] = true,
}
local MOMENTARY = { '^anthropic%-ratelimit%-', '^anthropic%-priority%-', '^anthropic%-fast%-' }

-- A stream whose first event has not ended within so many bytes is handed on as it is.
local MOST_HELD = 65536
-- Ways in which a blank line ends an event (WHATWG HTML, 9.2).
local BLANK_LINES = { '\n\n', '\r\n\r\n', '\r\r' }

local TYPE = { type = true }

local function value_of(headers, wanted)
  for index = 1, #headers do
    if lower(headers[index][1]) == wanted then
      return headers[index][2]
    end
  end
  return nil
end

--- A judge of one answer.
-- @param head  of the answer
-- @return judge
function _M.new(head)
  local headers = head.headers
  local content_type = lower(value_of(headers, 'content-type') or '')
  local encoding = value_of(headers, 'content-encoding')
  local judge = setmetatable({
    status = head.status,
    is_stream = find(content_type, 'text/event-stream', 1, true) == 1,
    is_json = find(content_type, 'application/json', 1, true) == 1,
    plain = encoding == nil or lower(encoding) == 'identity',
    length = tonumber(value_of(headers, 'content-length')),
    refusal = value_of(headers, 'x-causeway-refusal'),
    headers = {},
    tail = '', held = 0, decided = true, in_band = false,
  }, Judge)
  for index = 1, #headers do
    if not NOT_HANDED_ON[lower(headers[index][1])] then
      judge.headers[#judge.headers + 1] = headers[index]
    end
  end
  if judge.status == 200 and judge.is_stream then
    judge.meter, judge.decided = usage.sse(), false
  end
  return judge
end

--- Reads the next bytes of the body.
function Judge:feed(bytes)
  if self.meter then
    self.meter:feed(bytes)
  end
  if self.decided then
    return
  end
  self.held = self.held + #bytes
  local text = self.tail .. bytes
  for _, blank in ipairs(BLANK_LINES) do
    if find(text, blank, 1, true) then
      self.decided = true
    end
  end
  self.in_band = self.decided and self.meter.result.in_band_error ~= nil
  self.decided = self.decided or self.held > MOST_HELD
  -- A blank line may lie across two pieces.
  self.tail = text:sub(-3)
end

--- Whether it is clear if the answer is a failure; until then nothing of it is handed on.
function Judge:is_decided()
  return self.decided
end

--- Whether the upstream failed, so that a copy may stand in.
function Judge:is_failure()
  return self.status >= 500 or self.in_band
end

--- Whether the answer could still be stored, for all that has come of it.
function Judge:may_store()
  if self.status ~= 200 or not self.plain or not (self.is_stream or self.is_json) then
    return false
  end
  return not (self.meter and self.meter.result.in_band_error)
end

--- Whether the whole answer can be stored.
-- @param body  all of it
function Judge:can_store(body)
  if not self:may_store() then
    return false
  end
  if self.meter then
    local result = self.meter:finish(false, true)
    return result.complete and result.in_band_error == nil
  end
  -- Read, as an upstream that ends its answers with the connection cannot be seen to break one off.
  local members = scan.top_level(body, TYPE)
  return members ~= nil and not (members.type and scan.string_value(body, members.type) == 'error')
end

--- The headers of a copy.
-- @return list of { name, value }
function Judge:kept_headers()
  local kept = {}
  for _, header in ipairs(self.headers) do
    local name = lower(header[1])
    local momentary = NOT_KEPT[name]
    for _, pattern in ipairs(MOMENTARY) do
      momentary = momentary or find(name, pattern) ~= nil
    end
    if not momentary then
      kept[#kept + 1] = header
    end
  end
  return kept
end

return _M
