--- An incremental reader of server-sent events (WHATWG HTML, 9.2) over arbitrarily split chunks.
--
-- What it is for: the body filter sees a stream's bytes as the network cut them and must understand a few events on the
-- way, without holding or changing anything. Lines end in \n, \r\n or \r; comments, unknown fields and unknown events
-- are passed over; what is kept is at most one partial line and the data of one event.
--
-- Units: bytes. Shapes: the owner of a reader is a table with two methods,
--   owner:wants(name, s, from, to) -> boolean  for each data line: its text is s[from..to], name is the event's name or
--                                              nil if none was given so far; whether to keep the data
--   owner:event(name, data, cut)               for each event whose data was kept; `cut` when the stream ended before
--                                              the blank line that ends an event (a client does not see such an event)
-- Data lines that came before a name within one event are offered with name nil. Where an event is named twice the last
-- name counts, but data already passed over under the first is gone.

local byte = string.byte
local concat = table.concat
local find = string.find
local sub = string.sub

local _M = {}
local Reader = {}
Reader.__index = Reader

--- Longest line, and longest data of one event, that is kept. Anything longer is passed over.
_M.MAX_LINE = 1048576

local LF, CR, SPACE, COLON, LETTER_D, LETTER_E = 0x0A, 0x0D, 0x20, 0x3A, 0x64, 0x65
local BYTE_ORDER_MARK = '\239\187\191'
-- Pieces of a partial line are joined at this number, so that one-byte chunks do not make a table of a million entries.
local MAX_PIECES = 1024

--- A reader.
-- @param owner     see above
-- @param max_line  bytes; default MAX_LINE
-- @return reader
function _M.new(owner, max_line)
  return setmetatable({
    owner = owner,
    max_line = max_line or _M.MAX_LINE,
    started = false,
    after_cr = false,
    -- The partial line: its pieces, their length, and whether it is too long to keep.
    pieces = {}, piece_count = 0, carried = 0, skipping = false,
    -- The event so far.
    name = nil, data = nil, damaged = false,
  }, Reader)
end

function Reader:dispatch(cut)
  local name, data, damaged = self.name, self.data, self.damaged
  self.name, self.data, self.damaged = nil, nil, false
  if data and not damaged then
    self.owner:event(name, data, cut)
  end
end

function Reader:add_data(s, from, to)
  if not self.owner:wants(self.name, s, from, to) then
    return
  end
  local data = self.data
  if not data then
    self.data = sub(s, from, to)
  elseif #data + to - from + 2 > self.max_line then
    self.damaged = true
  else
    self.data = data .. '\n' .. sub(s, from, to)
  end
end

-- One whole line, s[from..to], without its end.
function Reader:line(s, from, to)
  if not self.started then
    self.started = true
    if sub(s, from, from + 2) == BYTE_ORDER_MARK then
      from = from + 3
    end
  end
  if to < from then
    return self:dispatch(false)
  end
  local first = byte(s, from)
  local value
  if first == LETTER_D and sub(s, from, from + 3) == 'data' then
    value = from + 4
  elseif first == LETTER_E and sub(s, from, from + 4) == 'event' then
    value = from + 5
  else
    return
  end
  if value <= to then
    if byte(s, value) ~= COLON then
      return
    end
    value = value + 1
    if value <= to and byte(s, value) == SPACE then
      value = value + 1
    end
  end
  if first == LETTER_D then
    self:add_data(s, value, to)
  else
    local name = sub(s, value, to)
    self.name = name ~= '' and name or nil
  end
end

-- Keeps s[from..to] as part of a line whose end has not come yet.
function Reader:carry(s, from, to)
  if to < from or self.skipping then
    return
  end
  self.carried = self.carried + to - from + 1
  if self.carried > self.max_line then
    self.pieces, self.piece_count, self.carried = {}, 0, 0
    self.skipping = true
    return
  end
  local pieces, count = self.pieces, self.piece_count
  if count == MAX_PIECES then
    pieces = { concat(pieces, '', 1, count) }
    self.pieces, count = pieces, 1
  end
  count = count + 1
  pieces[count] = sub(s, from, to)
  self.piece_count = count
end

-- Ends the carried line.
function Reader:end_carried()
  if self.skipping then
    self.skipping = false
    self.started = true
    -- Whatever the line was, its event cannot be trusted any more.
    self.damaged = true
    return
  end
  local line = concat(self.pieces, '', 1, self.piece_count)
  self.piece_count, self.carried = 0, 0
  self:line(line, 1, #line)
end

--- Reads the next bytes.
-- @param chunk  string
function Reader:feed(chunk)
  local length, from = #chunk, 1
  if length == 0 then
    return
  end
  if self.after_cr then
    self.after_cr = false
    if byte(chunk, 1) == LF then
      from = 2
    end
  end
  -- Nearly every stream has \n only, for which a plain search does.
  local has_cr = find(chunk, '\r', from, true) ~= nil
  while true do
    local at
    if has_cr then
      at = find(chunk, '[\r\n]', from)
    else
      at = find(chunk, '\n', from, true)
    end
    if not at then
      break
    end
    if self.carried > 0 or self.skipping then
      self:carry(chunk, from, at - 1)
      self:end_carried()
    else
      self:line(chunk, from, at - 1)
    end
    from = at + 1
    if has_cr and byte(chunk, at) == CR then
      if at == length then
        self.after_cr = true
      elseif byte(chunk, from) == LF then
        from = from + 1
      end
    end
  end
  self:carry(chunk, from, length)
end

--- The stream has ended: offers what has come of an event that was not ended by a blank line, as `cut`.
function Reader:finish()
  if self.carried > 0 or self.skipping then
    self:end_carried()
  end
  self:dispatch(true)
end

return _M
