--- Model and usage of a message, read at its two ends.
--
-- What it is for: each answer is metered, and the API writes a message's `type` and `model` before its content and its
-- `usage` as the last member, so most of it need not be looked at. What begins or ends otherwise is none of this
-- module's: it says so, and core/usage_json looks at all of it.
-- How: nothing is decoded. Names and texts are found by their quotes; whatever has an escape where it matters is left
-- to others. From one answer to the next, usage differs in its numbers only: what stands between them is kept, and
-- where the next answer has the same, only the numbers are read.
-- Units: tokens; positions are bytes from 1.

local byte = string.byte
local find = string.find
local match = string.match
local sub = string.sub

local M = {}

local QUOTE, BACKSLASH, COMMA, COLON, ZERO, NINE = 0x22, 0x5C, 0x2C, 0x3A, 0x30, 0x39
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 0x7B, 0x7D, 0x5B, 0x5D
local LOWER_F, LOWER_N, LOWER_T = 0x66, 0x6E, 0x74

-- `model`, `id`, `type` and `role` of a message, in any order.
local LEADING = 4
local USAGE = ',"usage":{'
-- Where a message's end is looked for, in bytes: usage with all its members takes some hundreds.
local TAIL = 1536
-- By how much it may be longer than that of the answer before, to be found at once.
local SPREAD = 32
-- Numbers of usage that is kept as it is written; what has more is not, nor what says something else first.
local MAX_MARKS, MANY = 32, 33
-- Digits that a number holds exactly.
local MAX_DIGITS = 15

-- The position of the quote that ends a text; nil where there is none, or it may be an escaped one.
local function text_end(body, from)
  local at = find(body, '"', from, true)
  return at and byte(body, at - 1) ~= BACKSLASH and at or nil
end

local function is_plain(text)
  return not find(text, '\\', 1, true)
end

--- The model of a message, where it stands before its content.
-- @tparam string body
-- @treturn ?string nil where it does not, or this is no message
function M.model(body)
  if byte(body, 1) ~= OPEN_OBJECT then
    return nil
  end
  local at, model, kind = 2, nil, nil
  for _ = 1, LEADING do
    local name_end = byte(body, at) == QUOTE and text_end(body, at + 1)
    if not name_end or byte(body, name_end + 1) ~= COLON or byte(body, name_end + 2) ~= QUOTE then
      return nil
    end
    local value_end = text_end(body, name_end + 3)
    if not value_end or byte(body, value_end + 1) ~= COMMA then
      return nil
    end
    local name = sub(body, at + 1, name_end - 1)
    -- Of these the last one counts, as everywhere in JSON. The API writes none of them again further on.
    if name == 'model' then
      model = sub(body, name_end + 3, value_end - 1)
    elseif name == 'type' then
      kind = sub(body, name_end + 3, value_end - 1)
    elseif not is_plain(name) then
      return nil
    end
    at = value_end + 2
  end
  return kind == 'message' and model and is_plain(model) and model or nil
end

-- The position after an object or list that begins at `at`; nil where it does not end.
local function container_end(body, at)
  local depth = 0
  while true do
    local code = byte(body, at)
    if code == QUOTE then
      at = text_end(body, at + 1)
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
    elseif not code then
      return nil
    end
    at = at + 1
  end
end

-- A whole number, and the position after it.
local function integer_at(body, at)
  local from, value, code = at, 0, byte(body, at)
  while code and code >= ZERO and code <= NINE do
    value = value * 10 + code - ZERO
    at = at + 1
    code = byte(body, at)
  end
  if at - from > MAX_DIGITS then
    return nil
  end
  return value, at
end

-- The position after a value that is no number; nil where it is none of these.
local function other_end(body, at, code)
  if code == QUOTE then
    local quote = text_end(body, at + 1)
    return quote and quote + 1
  elseif code == OPEN_OBJECT or code == OPEN_LIST then
    return container_end(body, at)
  elseif code == LOWER_N or code == LOWER_T then
    return at + 4
  elseif code == LOWER_F then
    return at + 5
  end
  return nil
end

local SPLIT = { ephemeral_5m_input_tokens = true, ephemeral_1h_input_tokens = true }
local split = {}
local WANTED = {
  input_tokens = true, output_tokens = true, cache_read_input_tokens = true, cache_creation_input_tokens = true,
}
-- What was read last.
local usage = {}

-- How the usage that was read last is written: what stands before, between and after its numbers, and what each number
-- is. In `marks`, while it is read: where each number begins, and what follows it.
local shape = { count = 0, literals = {}, names = {}, tables = {}, has_split = false, length = 0 }
local marks = { count = 0, from = {}, after = {}, names = {}, tables = {} }

local function mark(from, after, name, into)
  local count = marks.count + 1
  marks.count = count
  if count <= MAX_MARKS then
    marks.from[count], marks.after[count], marks.names[count], marks.tables[count] = from, after, name, into
  end
end

-- Takes over how usage is written that begins at `from`, and ends with the body.
local function learn(body, from)
  local at = from
  for index = 1, marks.count do
    shape.literals[index] = sub(body, at, marks.from[index] - 1)
    shape.names[index], shape.tables[index] = marks.names[index], marks.tables[index]
    at = marks.after[index]
  end
  shape.count, shape.literals[marks.count + 1] = marks.count, sub(body, at)
  shape.has_split, shape.length = usage.cache_creation ~= nil, #body - from + 1
end

-- Reads an object whose first member begins at `at` into `into`; returns the position after it. nil where it is not
-- written as usage is.
local function read_object(body, at, wanted, into)
  while byte(body, at) == QUOTE do
    local name_end = text_end(body, at + 1)
    if not name_end or byte(body, name_end + 1) ~= COLON then
      return nil
    end
    local name, from = sub(body, at + 1, name_end - 1), name_end + 2
    local code = byte(body, from)
    local value, after
    if name == 'cache_creation' and into.cache_creation then
      -- A second one: which counts is for a decoder to say.
      return nil
    end
    if code and code >= ZERO and code <= NINE then
      value, after = integer_at(body, from)
      mark(from, after, wanted[name] and name, into)
      if wanted[name] then
        into[name] = value
      end
    elseif name == 'cache_creation' and code == OPEN_OBJECT and wanted == WANTED then
      after = read_object(body, from + 1, SPLIT, split)
      into.cache_creation = split
    elseif wanted[name] and code ~= LOWER_N then
      return nil
    else
      -- The last one counts, and `null` says nothing.
      if into[name] then
        into[name] = nil
        marks.count = MANY
      end
      after = other_end(body, from, code)
    end
    local following = after and is_plain(name) and byte(body, after)
    if following == CLOSE_OBJECT then
      return after + 1
    elseif following ~= COMMA then
      return nil
    end
    at = after + 1
  end
  return byte(body, at) == CLOSE_OBJECT and at + 1 or nil
end

local function forget()
  usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens = nil, nil, nil
  usage.cache_creation_input_tokens, usage.cache_creation = nil, nil
  split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens = nil, nil
end

-- Reads usage that is written as it was the last time, from a position to the end of the body; nil where it is not.
local function read_again(body, at)
  for index = 1, shape.count do
    local literal = shape.literals[index]
    if find(body, literal, at, true) ~= at then
      return nil
    end
    local from = at + #literal
    local value, after = integer_at(body, from)
    if not value or after == from then
      return nil
    end
    at = after
    local name = shape.names[index]
    if name then
      shape.tables[index][name] = value
    end
  end
  local literal = shape.literals[shape.count + 1]
  if not literal or #body - at + 1 ~= #literal or find(body, literal, at, true) ~= at then
    return nil
  end
  usage.cache_creation = shape.has_split and split or nil
  return usage
end

local function usage_within(body, bytes)
  local from = find(body, USAGE, -bytes, true)
  while from do
    forget()
    if read_again(body, from) then
      return usage
    end
    forget()
    marks.count = 0
    local after = read_object(body, from + #USAGE, WANTED, usage)
    if after and byte(body, after) == CLOSE_OBJECT and (after == #body or match(body, '^%s*$', after + 1)) then
      if marks.count <= MAX_MARKS then
        learn(body, from)
      end
      return usage
    end
    from = find(body, USAGE, from + 1, true)
  end
  return nil
end

--- The usage that ends a message. No text of a JSON document holds `,"usage":{`, for its quotes would be escaped: it is
-- a member's name. An object from there to the document's last brace is a member of the top level.
-- @tparam string body
-- @treturn ?table as it would be decoded, but for members of no interest; used again by the next call. nil where there
--   is none
function M.usage(body)
  local near = shape.length + SPREAD
  return near < TAIL and usage_within(body, near) or usage_within(body, TAIL)
end

return M
