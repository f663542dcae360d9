--- An incremental reader of one HTTP/1.1 answer, as nginx writes it.
--
-- What it is for: a fetch reads the answer of the gateway's own internal listener from a socket, and passes the body on
-- as it comes. The framing decides whether an answer is whole: one that broke off is never stored.
--
-- Units: bytes. Shapes: `answer.head` is `{ status = number, headers = { { name, value }, … } }` once it has come, in
-- the case and order in which nginx wrote it; `answer.done` says that the body is whole.

local concat = table.concat
local find = string.find
local lower = string.lower
local match = string.match
local sub = string.sub

local _M = {}
local Answer = {}
Answer.__index = Answer

--- Largest head that is read. nginx's own limit towards an upstream is far below.
_M.MAX_HEAD = 262144
-- Longest line between chunks: a size in hexadecimal digits. Our own nginx writes neither extensions nor trailers.
local MAX_LINE = 256

--- A reader.
-- @return answer with `:feed(bytes)` and `:finish()`
function _M.new()
  return setmetatable({ head = nil, done = false, rest = '', state = 'head', left = 0 }, Answer)
end

local function read_headers(text)
  local headers = {}
  for line in text:gmatch('([^\r\n]+)\r?\n') do
    local name, value = match(line, '^([^:%s]+):[ \t]*(.-)[ \t]*$')
    if not name then
      return nil
    end
    headers[#headers + 1] = { name, value }
  end
  return headers
end

-- How the body ends: the state to go on in, and how many bytes are left.
local function framing(status, headers)
  if status == 204 or status == 304 then
    return 'end', 0
  end
  local length
  for index = 1, #headers do
    local name = lower(headers[index][1])
    if name == 'transfer-encoding' then
      return lower(headers[index][2]) == 'chunked' and 'size' or nil
    elseif name == 'content-length' then
      length = match(headers[index][2], '^%d+$') and tonumber(headers[index][2])
      if not length then
        return nil
      end
    end
  end
  if length then
    return length > 0 and 'length' or 'end', length
  end
  return 'close', 0
end

-- Each state reads what it can: `true` where it came to its end, `false` where it needs more, nil and what is wrong.
local STATES = {}

function STATES.head(self)
  local from, to = find(self.rest, '\r\n\r\n', 1, true)
  if not from then
    if #self.rest > _M.MAX_HEAD then
      return nil, 'the head is too large'
    end
    return false
  end
  local status_line, after = match(self.rest, '^([^\r\n]*)\r\n()')
  local status = tonumber(match(status_line or '', '^HTTP/1%.[01] (%d%d%d)'))
  if not status or status < 200 then
    return nil, 'there is no status'
  end
  local headers = read_headers(sub(self.rest, after, from + 1))
  if not headers then
    return nil, 'a header cannot be read'
  end
  local state, left = framing(status, headers)
  if not state then
    return nil, 'the end of the body cannot be told'
  end
  self.head = { status = status, headers = headers }
  self.state, self.left = state, left
  self.rest = sub(self.rest, to + 1)
  self.done = state == 'end'
  return true
end

-- The next short line; false where it has not come whole.
local function take_line(self)
  local at = find(self.rest, '\r\n', 1, true)
  if not at then
    if #self.rest > MAX_LINE then
      return nil, 'a line between chunks is too long'
    end
    return false
  end
  local line = sub(self.rest, 1, at - 1)
  self.rest = sub(self.rest, at + 2)
  return line
end

function STATES.size(self)
  local line, problem = take_line(self)
  if not line then
    return line, problem
  end
  local size = match(line, '^%x+$') and #line <= 8 and tonumber(line, 16)
  if not size then
    return nil, 'the size of a chunk cannot be read'
  end
  self.left, self.state = size, size > 0 and 'chunk' or 'trailer'
  return true
end

-- Trailers, of which our own nginx writes none, end with an empty line.
function STATES.trailer(self)
  local line, problem = take_line(self)
  if line == '' then
    self.state, self.done = 'end', true
  end
  return line and true, problem
end

function STATES.chunk_end(self)
  local line, problem = take_line(self)
  if line and line ~= '' then
    return nil, 'a chunk is longer than its size'
  end
  self.state = line and 'size' or self.state
  return line and true, problem
end

local function take_body(self, out, after)
  local piece = #self.rest <= self.left and self.rest or sub(self.rest, 1, self.left)
  self.rest = sub(self.rest, #piece + 1)
  self.left = self.left - #piece
  out[#out + 1] = piece
  if self.left > 0 then
    return false
  end
  self.state, self.done = after, after == 'end'
  return true
end

function STATES.chunk(self, out)
  return take_body(self, out, 'chunk_end')
end

function STATES.length(self, out)
  return take_body(self, out, 'end')
end

function STATES.close(self, out)
  out[#out + 1] = self.rest
  self.rest = ''
  return false
end

--- Reads the next bytes.
-- @param bytes  string
-- @return what they hold of the body, perhaps ''; or nil and what is wrong
function Answer:feed(bytes)
  self.rest = self.rest == '' and bytes or self.rest .. bytes
  local out = {}
  while self.rest ~= '' and self.state ~= 'end' do
    local ended, problem = STATES[self.state](self, out)
    if problem then
      return nil, problem
    elseif not ended then
      break
    end
  end
  if self.state == 'end' and self.rest ~= '' then
    return nil, 'there is more than the answer'
  end
  return #out == 1 and out[1] or concat(out)
end

--- The connection has ended: some answers end with it.
-- @return whether the answer is whole
function Answer:finish()
  if self.state == 'close' then
    self.done = true
  end
  return self.done
end

return _M
