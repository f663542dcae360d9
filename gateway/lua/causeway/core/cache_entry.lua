--- A stored answer as bytes, and back. What is not exactly what was written is no answer.
--
-- Shapes: an entry is
--   { status = number, headers = { { name, value }, … } in their order, body = string,
--     stored_at = epoch ms of the upstream's answer, etag = string or nil, stream = boolean (the body is SSE),
--     consumer = id of whom it was given to }
-- Bytes: the format's word, the length of the whole, and each field behind its length (32 bits, big-endian), so that an
-- answer cut short, run together with another or written by another release is told. The key that it is kept under
-- stands in it: an answer that a store gives for another key (replies of a connection that have got out of step, say)
-- is told as well.

local bit = require('bit')

local byte = string.byte
local char = string.char
local concat = table.concat
local sub = string.sub

local M = {}

local WORD = 'CWA2'
local PREFIX_BYTES = #WORD + 4

local function u32(value)
  return char(bit.band(bit.rshift(value, 24), 255), bit.band(bit.rshift(value, 16), 255),
    bit.band(bit.rshift(value, 8), 255), bit.band(value, 255))
end

local function put(out, text)
  out[#out + 1] = u32(#text)
  out[#out + 1] = text
end

--- An entry as bytes.
-- @tparam table entry
-- @tparam string key that it is kept under
-- @treturn string
function M.encode(entry, key)
  local out = {}
  put(out, ('%d %.0f %s'):format(entry.status, entry.stored_at, entry.stream and 's' or 'j'))
  put(out, key)
  put(out, entry.consumer)
  put(out, entry.etag or '')
  out[#out + 1] = u32(#entry.headers)
  for _, header in ipairs(entry.headers) do
    put(out, header[1])
    put(out, header[2])
  end
  put(out, entry.body)
  local fields = concat(out)
  return WORD .. u32(PREFIX_BYTES + #fields) .. fields
end

-- The number at a position; nil beyond the end.
local function number_at(bytes, at)
  local a, b, c, d = byte(bytes, at, at + 3)
  return d and a * 16777216 + b * 65536 + c * 256 + d
end

-- The field at a position and the position after it; nil where it does not end within the bytes.
local function field_at(bytes, at)
  local length = number_at(bytes, at)
  local last = length and at + 3 + length
  if not last or last > #bytes then
    return nil
  end
  return sub(bytes, at + 4, last), last + 1
end

local function headers_at(bytes, at)
  local count = number_at(bytes, at)
  -- Each takes eight bytes at least.
  if not count or count * 8 > #bytes then
    return nil
  end
  at = at + 4
  local headers = {}
  for index = 1, count do
    local name, value
    name, at = field_at(bytes, at)
    if not name then
      return nil
    end
    value, at = field_at(bytes, at)
    if not value then
      return nil
    end
    headers[index] = { name, value }
  end
  return headers, at
end

--- The entry that some bytes are.
-- @tparam string bytes
-- @tparam string key that they were found under
-- @treturn ?table entry; nil where they are none of that key
function M.decode(bytes, key)
  if sub(bytes, 1, #WORD) ~= WORD or number_at(bytes, #WORD + 1) ~= #bytes then
    return nil
  end
  local facts, at = field_at(bytes, PREFIX_BYTES + 1)
  local status, stored_at, kind = (facts or ''):match('^(%d%d%d) (%d+) ([sj])$')
  if not status then
    return nil
  end
  local own_key, consumer, etag, headers, body
  own_key, at = field_at(bytes, at)
  if own_key == key then
    consumer, at = field_at(bytes, at)
  end
  if consumer then
    etag, at = field_at(bytes, at)
  end
  if etag then
    headers, at = headers_at(bytes, at)
  end
  if headers then
    body, at = field_at(bytes, at)
  end
  if not body or at ~= #bytes + 1 then
    return nil
  end
  return {
    status = tonumber(status),
    headers = headers,
    body = body,
    stored_at = tonumber(stored_at),
    etag = etag ~= '' and etag or nil,
    stream = kind == 's',
    consumer = consumer,
  }
end

return M
