--- A strict, non-decoding walk over JSON bytes (RFC 8259).
--
-- What it is for: `scan` reads two or three members of a request of up to 256 MB. Decoding it would cost ten times the
-- time and several times the memory, so this module only finds where each value ends, and refuses whatever a strict
-- parser refuses: a document that two parsers read in two ways is how a policy is got round.
--
-- How: a byte loop over an FFI pointer, which LuaJIT compiles; no recursion, so depth costs one byte of a fixed stack.
-- Lua strings end with a NUL byte that the pointer may read. NUL is legal nowhere in JSON, neither outside strings nor
-- raw inside them, so it stops every loop and no loop needs a bounds check.
--
-- Units: positions inside this module are offsets from 0 (pointer arithmetic); callers outside see offsets from 1.
-- Shapes: every function takes a cursor (`walk.cursor`) and an offset, and returns the next offset, or -1 after putting
-- `err`, `detail` and `position` on the cursor. Nothing throws on bad input.

local ffi = require 'ffi'
local text = require 'causeway.core.text'

local utf8_length = text.utf8_length

local _M = {}

--- Deepest nesting that is accepted. A gateway must choose some limit; real requests nest below 100 levels, and parsers
-- that recurse begin to fail at about 1,000. Deeper documents are reported as `too_deep`, not guessed at.
_M.MAX_DEPTH = 512

local MAX_DEPTH = _M.MAX_DEPTH
local bytes_t = ffi.typeof 'const uint8_t *'
local kinds_t = ffi.typeof('uint8_t[' .. MAX_DEPTH + 1 .. ']')

local QUOTE, BACKSLASH, COMMA, COLON = 0x22, 0x5C, 0x2C, 0x3A
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY = 0x7B, 0x7D, 0x5B
local MINUS, PLUS, DOT, ZERO, NINE, UPPER_E, LOWER_E, LOWER_U = 0x2D, 0x2B, 0x2E, 0x30, 0x39, 0x45, 0x65, 0x75

-- What stops the inner loop of a string: 0 for plain bytes.
local STOPS = ffi.new 'uint8_t[256]'
for code = 0, 31 do
  STOPS[code] = 1
end
STOPS[QUOTE], STOPS[BACKSLASH] = 1, 1
for code = 128, 255 do
  STOPS[code] = 1
end

local SPACE = ffi.new 'uint8_t[256]'
SPACE[0x20], SPACE[0x09], SPACE[0x0A], SPACE[0x0D] = 1, 1, 1, 1

local HEX = ffi.new 'uint8_t[256]'
for code = 0x30, 0x39 do
  HEX[code] = 1
end
for code = 0x41, 0x46 do
  HEX[code], HEX[code + 0x20] = 1, 1
end

-- The letters after \ that stand for one character.
local SIMPLE_ESCAPE = ffi.new 'uint8_t[256]'
for letter in ('"\\/bfnrt'):gmatch '.' do
  SIMPLE_ESCAPE[letter:byte()] = 1
end

--- A cursor over one document.
-- @param body   string; kept on the cursor, because a pointer alone does not keep it from the collector
-- @param yield  function called about every `every` bytes, so that one large body does not hold up a worker; or nil
-- @param every  bytes between two calls; default 1 MiB
-- @return cursor
function _M.cursor(body, yield, every)
  every = every or 1048576
  return {
    body = body,
    p = ffi.cast(bytes_t, body),
    length = #body,
    kinds = kinds_t(),
    yield = yield,
    every = every,
    -- Without a yield the mark lies behind the end and is never reached.
    mark = yield and every or #body + 1,
    key_from = 0, key_to = 0, escaped = false,
    -- function(cursor, i), called after each key with the offset of its value: a word that it returns ends the walk as
    -- an error of that name. It leaves the fields of the key as they are.
    watch = nil,
    err = nil, detail = nil, position = nil,
  }
end

local function fail(cursor, i, err, detail)
  cursor.err = err
  cursor.detail = detail
  cursor.position = i + 1
  return -1
end

_M.fail = fail

local function pause(cursor, i)
  if cursor.yield then
    cursor.yield()
  end
  cursor.mark = i + cursor.every
  return cursor.mark
end

local function skip_space(p, i)
  while SPACE[p[i]] ~= 0 do
    i = i + 1
  end
  return i
end

_M.skip_space = skip_space

--- The offset after a string's closing quote.
-- Puts on the cursor whether the string holds an escape (`escaped`).
-- @param cursor  cursor
-- @param i       offset of the first byte after the opening quote
-- @return offset or -1
local function skip_string(cursor, i)
  local p, mark = cursor.p, cursor.mark
  local escaped = false
  -- One loop, plain bytes first: a nested loop over plain bytes would often run zero times (Chinese text, many
  -- escapes), which makes LuaJIT give up on compiling it (measured: 15 times slower).
  while true do
    local c = p[i]
    if STOPS[c] == 0 then
      i = i + 1
    elseif c == QUOTE then
      cursor.escaped = escaped
      return i + 1
    elseif c == BACKSLASH then
      escaped = true
      local e = p[i + 1]
      if SIMPLE_ESCAPE[e] ~= 0 then
        i = i + 2
      elseif e == LOWER_U then
        if HEX[p[i + 2]] == 0 or HEX[p[i + 3]] == 0 or HEX[p[i + 4]] == 0 or HEX[p[i + 5]] == 0 then
          return fail(cursor, i, 'invalid', 'escape')
        end
        i = i + 6
      else
        return fail(cursor, i, 'invalid', 'escape')
      end
    elseif c >= 0x80 then
      local b = p[i + 1]
      local b3 = b ~= 0 and p[i + 2] or 0
      local b4 = b3 ~= 0 and p[i + 3] or 0
      local length = utf8_length(c, b, b3, b4)
      if length == 0 then
        return fail(cursor, i, 'invalid', 'utf8')
      end
      i = i + length
    else
      return fail(cursor, i, 'invalid', i >= cursor.length and 'unterminated' or 'control')
    end
    if i >= mark then
      mark = pause(cursor, i)
    end
  end
end

_M.skip_string = skip_string

local function skip_digits(p, i)
  local c = p[i]
  while c >= ZERO and c <= NINE do
    i = i + 1
    c = p[i]
  end
  return i
end

local function skip_number(cursor, i)
  local p = cursor.p
  local start = i
  if p[i] == MINUS then
    i = i + 1
  end
  if p[i] == ZERO then
    i = i + 1
  else
    local after = skip_digits(p, i)
    if after == i then
      return fail(cursor, start, 'invalid', start >= cursor.length and 'unterminated' or 'value')
    end
    i = after
  end
  if p[i] == DOT then
    local after = skip_digits(p, i + 1)
    if after == i + 1 then
      return fail(cursor, start, 'invalid', 'number')
    end
    i = after
  end
  if p[i] == LOWER_E or p[i] == UPPER_E then
    i = i + 1
    if p[i] == PLUS or p[i] == MINUS then
      i = i + 1
    end
    local after = skip_digits(p, i)
    if after == i then
      return fail(cursor, start, 'invalid', 'number')
    end
    i = after
  end
  return i
end

-- A string, number or literal; a container's bracket is refused here and handled by the callers.
local function skip_scalar(cursor, i)
  local p = cursor.p
  local c = p[i]
  if c == QUOTE then
    return skip_string(cursor, i + 1)
  elseif c == 0x74 and p[i + 1] == 0x72 and p[i + 2] == 0x75 and p[i + 3] == 0x65 then -- true
    return i + 4
  elseif c == 0x66 and p[i + 1] == 0x61 and p[i + 2] == 0x6C and p[i + 3] == 0x73 and p[i + 4] == 0x65 then -- false
    return i + 5
  elseif c == 0x6E and p[i + 1] == 0x75 and p[i + 2] == 0x6C and p[i + 3] == 0x6C then -- null
    return i + 4
  end
  return skip_number(cursor, i)
end

--- The offset of a member's value, given the offset of its key's opening quote.
-- Puts the key's range between the quotes on the cursor (`key_from`, `key_to`: offsets, the second exclusive) and
-- whether it is escaped.
-- @param cursor  cursor
-- @param i       offset where a key must begin
-- @return offset or -1
local function skip_key(cursor, i)
  local p = cursor.p
  if p[i] ~= QUOTE then
    return fail(cursor, i, 'invalid', i >= cursor.length and 'unterminated' or 'key')
  end
  local after = skip_string(cursor, i + 1)
  if after < 0 then
    return -1
  end
  cursor.key_from, cursor.key_to = i + 1, after - 1
  i = skip_space(p, after)
  if p[i] ~= COLON then
    return fail(cursor, i, 'invalid', i >= cursor.length and 'unterminated' or 'colon')
  end
  i = skip_space(p, i + 1)
  local watch = cursor.watch
  local word = watch and watch(cursor, i)
  if word then
    return fail(cursor, i, word, 'watched')
  end
  return i
end

_M.skip_key = skip_key

--- The offset after a value of any kind.
-- @param cursor  cursor
-- @param i       offset of the value's first byte (no space before it)
-- @param depth   number of containers around it
-- @return offset or -1
function _M.skip_value(cursor, i, depth)
  local p, kinds = cursor.p, cursor.kinds
  local base = depth
  while true do
    -- Here a value must begin at i.
    local c = p[i]
    local closed
    if c == OPEN_OBJECT or c == OPEN_ARRAY then
      depth = depth + 1
      if depth > MAX_DEPTH then
        return fail(cursor, i, 'too_deep', 'depth')
      end
      -- The byte that closes a container is its opening byte plus two: the stack keeps what must close it.
      kinds[depth] = c + 2
      i = skip_space(p, i + 1)
      closed = p[i] == c + 2
      if not closed and c == OPEN_OBJECT then
        i = skip_key(cursor, i)
        if i < 0 then
          return -1
        end
      end
    else
      i = skip_scalar(cursor, i)
      if i < 0 then
        return -1
      end
      if depth == base then
        return i
      end
      i = skip_space(p, i)
      closed = true
    end
    -- After a value (or an empty container): closing brackets, then a comma that leads to the next value.
    while closed do
      c = p[i]
      if c == COMMA then
        i = skip_space(p, i + 1)
        if kinds[depth] == CLOSE_OBJECT then
          i = skip_key(cursor, i)
          if i < 0 then
            return -1
          end
        end
        closed = false
      elseif c == kinds[depth] then
        depth = depth - 1
        i = i + 1
        if depth == base then
          return i
        end
        i = skip_space(p, i)
      else
        return fail(cursor, i, 'invalid', i >= cursor.length and 'unterminated' or 'separator')
      end
    end
    if i >= cursor.mark then
      pause(cursor, i)
    end
  end
end

local TYPES = {
  [QUOTE] = 'string', [OPEN_OBJECT] = 'object', [OPEN_ARRAY] = 'array',
  [0x74] = 'boolean', [0x66] = 'boolean', [0x6E] = 'null',
}

--- The type of the value that begins with this byte (`string`, `number`, `boolean`, `null`, `object`, `array`).
-- @param c  byte
-- @return string
function _M.type_of(c)
  return TYPES[c] or 'number'
end

return _M
