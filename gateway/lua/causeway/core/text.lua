--- Text that goes into JSON or comes out of it: UTF-8 checks, quoting, escapes.
--
-- What it is for: own responses and EMF lines carry bytes that others chose (a header, a model name). They must come
-- out as valid JSON on one line, whatever the bytes are. `scan` and `json_walk` share the UTF-8
-- check and the reading of escapes.
-- Units: lengths are bytes. Shapes: strings in, strings out.

local byte = string.byte
local char = string.char
local find = string.find
local format = string.format
local gsub = string.gsub
local sub = string.sub

local _M = {}

local REPLACEMENT = '\239\191\189' -- U+FFFD

--- Length of the well-formed UTF-8 sequence that the four bytes given start with (RFC 3629: no overlong form, no
-- surrogate, nothing above U+10FFFF).
-- Takes numbers rather than a string so that callers with a pointer and callers with a string share one rule.
-- @param a,b,c,d  the bytes; where the text has ended pass 0
-- @return 1 to 4, or 0 where the sequence is malformed
function _M.utf8_length(a, b, c, d)
  if a < 0x80 then
    return 1
  end
  if a < 0xC2 or a > 0xF4 then
    return 0
  end
  local low, high = 0x80, 0xBF
  if a == 0xE0 then
    low = 0xA0
  elseif a == 0xED then
    high = 0x9F
  elseif a == 0xF0 then
    low = 0x90
  elseif a == 0xF4 then
    high = 0x8F
  end
  if b < low or b > high then
    return 0
  end
  if a < 0xE0 then
    return 2
  end
  if c < 0x80 or c > 0xBF then
    return 0
  end
  if a < 0xF0 then
    return 3
  end
  if d < 0x80 or d > 0xBF then
    return 0
  end
  return 4
end

local utf8_length = _M.utf8_length

local function length_at(s, i)
  local a, b, c, d = byte(s, i, i + 3)
  return utf8_length(a, b or 0, c or 0, d or 0)
end

--- Whether a string is well-formed UTF-8.
-- @param s  string
-- @return boolean
function _M.is_utf8(s)
  local i = find(s, '[\128-\255]')
  while i do
    local length = length_at(s, i)
    if length == 0 then
      return false
    end
    i = find(s, '[\128-\255]', i + length)
  end
  return true
end

--- The same text with every malformed byte replaced by U+FFFD.
-- @param s  string
-- @return string
function _M.repair(s)
  local i = find(s, '[\128-\255]')
  if not i then
    return s
  end
  local out, count, from = {}, 0, 1
  while i do
    local length = length_at(s, i)
    if length == 0 then
      count = count + 1
      out[count] = sub(s, from, i - 1)
      count = count + 1
      out[count] = REPLACEMENT
      from = i + 1
      length = 1
    end
    i = find(s, '[\128-\255]', i + length)
  end
  if count == 0 then
    return s
  end
  out[count + 1] = sub(s, from)
  return table.concat(out)
end

--- At most `limit` bytes of a text, cut between characters.
-- @param s      string
-- @param limit  bytes
-- @return string
function _M.truncate(s, limit)
  if #s <= limit then
    return s
  end
  local last = limit
  -- A continuation byte just after the cut means that the cut is inside a character: step back over at most three
  -- bytes, for more of them in a row are no character anyway.
  for _ = 1, 3 do
    local following = byte(s, last + 1)
    if last == 0 or following < 0x80 or following > 0xBF then
      break
    end
    last = last - 1
  end
  return sub(s, 1, last)
end

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }
for code = 0, 31 do
  local character = char(code)
  ESCAPES[character] = ESCAPES[character] or format('\\u%04x', code)
end

--- A JSON string literal, quotes included, of any bytes; never holds a raw newline.
-- @param s  string
-- @return string
function _M.quote(s)
  -- One scan finds out that nothing needs doing, which is true of nearly every value.
  if not find(s, '[%c%z"\\\128-\255]') then
    return '"' .. s .. '"'
  end
  return '"' .. gsub(_M.repair(s), '[%c%z"\\]', ESCAPES) .. '"'
end

local function utf8_char(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  elseif code < 0x10000 then
    return char(0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return char(0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

local SIMPLE = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t' }

--- Undoes the escapes of a JSON string.
-- @param raw  what stands between the quotes, already known to be valid JSON
-- @return string (UTF-8), or nil and `lone_surrogate`
function _M.unescape(raw)
  local out, count, from = {}, 0, 1
  local at = find(raw, '\\', 1, true)
  while at do
    local letter = sub(raw, at + 1, at + 1)
    local value, after = SIMPLE[letter], at + 2
    if not value then
      local code = tonumber(sub(raw, at + 2, at + 5), 16)
      after = at + 6
      if code >= 0xD800 and code <= 0xDFFF then
        local low = sub(raw, after, after + 1) == '\\u' and tonumber(sub(raw, after + 2, after + 5), 16) or 0
        if code > 0xDBFF or low < 0xDC00 or low > 0xDFFF then
          return nil, 'lone_surrogate'
        end
        code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)
        after = after + 6
      end
      value = utf8_char(code)
    end
    out[count + 1] = sub(raw, from, at - 1)
    out[count + 2] = value
    count = count + 2
    from = after
    at = find(raw, '\\', after, true)
  end
  out[count + 1] = sub(raw, from)
  return table.concat(out)
end

return _M
