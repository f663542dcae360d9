--- Finds members of a JSON object's top level, fast, in a document that its sender already took care to write well.
--
-- What it is for: metering. An answer of the upstream is read on every request, so a strict scan (core/scan) costs more
-- than it is worth; what is no balanced object is reported, and the caller then looks closer. Never for a decision on
-- what a client sent.
-- How: strings are jumped over by memchr, so the text of an answer costs next to nothing.
-- It also finds out what a request asks for (core/asked), where nothing but a count hangs on it.
-- Units: positions are bytes from 1, both ends included.

local ffi = require('ffi')

ffi.cdef('void *memchr(const void *bytes, int byte, size_t length);')

local C = ffi.C
local byte_pointer = ffi.typeof('const unsigned char *')
local cast = ffi.cast

local _M = {}

local QUOTE, BACKSLASH, COMMA, COLON = 0x22, 0x5C, 0x2C, 0x3A
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 0x7B, 0x7D, 0x5B, 0x5D

-- Index of the quote that ends the string whose first byte inside is `at`; nil where there is none.
local function string_end(bytes, at, length)
  while at < length do
    local found = C.memchr(bytes + at, QUOTE, length - at)
    if found == nil then
      return nil
    end
    local quote = tonumber(cast(byte_pointer, found) - bytes)
    local slashes = 0
    while quote - slashes > at and bytes[quote - slashes - 1] == BACKSLASH do
      slashes = slashes + 1
    end
    if slashes % 2 == 0 then
      return quote
    end
    at = quote + 1
  end
  return nil
end

-- Index after an object or list that begins at `at`.
local function container_end(bytes, at, length)
  local depth = 0
  while at < length do
    local code = bytes[at]
    if code == QUOTE then
      at = string_end(bytes, at + 1, length)
      if not at then
        return nil
      end
    elseif code == OPEN_OBJECT or code == OPEN_LIST then
      depth = depth + 1
    elseif code == CLOSE_OBJECT or code == CLOSE_LIST then
      depth = depth - 1
      if depth == 0 then
        return at + 1
      end
    end
    at = at + 1
  end
  return nil
end

local function value_end(bytes, at, length)
  local code = bytes[at]
  if code == QUOTE then
    local quote = string_end(bytes, at + 1, length)
    return quote and quote + 1
  elseif code == OPEN_OBJECT or code == OPEN_LIST then
    return container_end(bytes, at, length)
  end
  while at < length and bytes[at] ~= COMMA and bytes[at] ~= CLOSE_OBJECT and bytes[at] > 0x20 do
    at = at + 1
  end
  return at
end

local function skip_space(bytes, at, length)
  while at < length and bytes[at] <= 0x20 do
    at = at + 1
  end
  return at
end

-- Lengths of wanted names: a name of another length need not be made a string. Weak keys: sets are constants.
local lengths_of = setmetatable({}, { __mode = 'k' })

local function lengths(wanted)
  local known = lengths_of[wanted]
  if not known then
    known = {}
    for name in pairs(wanted) do
      known[#name] = true
    end
    lengths_of[wanted] = known
  end
  return known
end

-- Walks the members of an object from `at`, which is a name's quote or the closing brace. Returns the index after the
-- object; nil where the text is none, ends before its end, or `enough` members were found. What was passed stands in
-- `found` either way.
local function walk(bytes, at, length, wanted, found, enough)
  local may_be = lengths(wanted)
  if at < length and bytes[at] == CLOSE_OBJECT then
    return at + 1
  end
  while at < length and bytes[at] == QUOTE do
    local quote = string_end(bytes, at + 1, length)
    if not quote then
      return nil
    end
    local name_length = quote - at - 1
    local name = may_be[name_length] and ffi.string(bytes + at + 1, name_length)
    at = skip_space(bytes, quote + 1, length)
    if at >= length or bytes[at] ~= COLON then
      return nil
    end
    local from = skip_space(bytes, at + 1, length)
    local after = from < length and value_end(bytes, from, length)
    if not after or after == from then
      return nil
    end
    at = skip_space(bytes, after, length)
    if at >= length then
      -- The value itself may have been cut.
      return nil
    end
    if name and wanted[name] then
      found[name] = { from + 1, after }
      enough = enough and enough - 1
      if enough == 0 then
        return nil
      end
    end
    if bytes[at] == CLOSE_OBJECT then
      return at + 1
    elseif bytes[at] ~= COMMA then
      return nil
    end
    at = skip_space(bytes, at + 1, length)
  end
  return nil
end

--- Where wanted members stand.
-- @param text    the document
-- @param wanted  a set of names: `{ usage = true }`. A name that is written with escapes is not found
-- @return `{ [name] = { from, to } }` of the values, the last one where a name is repeated; nil where the text is no
--   balanced object
function _M.find(text, wanted)
  local found = {}
  local bytes, length = cast(byte_pointer, text), #text
  local at = skip_space(bytes, 0, length)
  if at >= length or bytes[at] ~= OPEN_OBJECT then
    return nil
  end
  return walk(bytes, skip_space(bytes, at + 1, length), length, wanted, found) and found or nil
end

--- The same of a document's beginning: what stands whole before the text ends.
-- @param enough  the number of members after which nothing more is looked for
-- @return `{ [name] = { from, to } }`
function _M.find_leading(text, wanted, enough)
  local found = {}
  local bytes, length = cast(byte_pointer, text), #text
  local at = skip_space(bytes, 0, length)
  if at < length and bytes[at] == OPEN_OBJECT then
    walk(bytes, skip_space(bytes, at + 1, length), length, wanted, found, enough)
  end
  return found
end

--- The same of a document's end, from a member's name on.
-- @param text  the document's end
-- @param from  position of the quote before a name
-- @return `{ [name] = { from, to } }`; nil where the name is none of the top level
function _M.find_trailing(text, from, wanted)
  local found = {}
  local bytes, length = cast(byte_pointer, text), #text
  local after = walk(bytes, from - 1, length, wanted, found)
  return after and skip_space(bytes, after, length) == length and found or nil
end

return _M
