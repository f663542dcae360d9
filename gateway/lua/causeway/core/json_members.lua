--- Walks the members of a JSON object and the elements of a JSON list, over a cursor of core/json_walk.
--
-- What it is for: core/scan and core/self_contained look at some members, each in its own way, and have all else
-- skipped and validated.
-- Units: offsets are bytes from 0. Shapes: a function that walks a value takes the offset at which it begins and its
-- depth, and returns the offset after it; or -1, once `walk.fail` was told why.

local walk = require 'causeway.core.json_walk'

local fail, skip_key, skip_space = walk.fail, walk.skip_key, walk.skip_space

local _M = {}

local COMMA, CLOSE_OBJECT, CLOSE_ARRAY = 0x2C, 0x7D, 0x5D

-- What follows a value: returns the offset after the bracket that closes, or nil and the offset of what comes next; or
-- -1.
local function after_value(cursor, i, closing)
  local p = cursor.p
  i = skip_space(p, i)
  local c = p[i]
  if c == closing then
    return i + 1
  elseif c ~= COMMA then
    return fail(cursor, i, 'invalid', i >= cursor.length and 'unterminated' or 'separator')
  end
  return nil, skip_space(p, i + 1)
end

--- Walks an object.
-- @param cursor
-- @param i      offset of its brace
-- @param depth  its own
-- @param visit  function(cursor, i, depth, state) that walks a member's value; the name is between `cursor.key_from`
--   and `cursor.key_to`
-- @param state  passed on
-- @return offset after the object, or -1
function _M.each_member(cursor, i, depth, visit, state)
  local p = cursor.p
  i = skip_space(p, i + 1)
  if p[i] == CLOSE_OBJECT then
    return i + 1
  end
  while true do
    i = skip_key(cursor, i)
    if i < 0 then
      return -1
    end
    i = visit(cursor, i, depth + 1, state)
    if i < 0 then
      return -1
    end
    local closed, next_member = after_value(cursor, i, CLOSE_OBJECT)
    if closed then
      return closed
    end
    i = next_member
  end
end

--- Walks a list.
-- @param cursor
-- @param i      offset of its bracket
-- @param depth  its own
-- @param visit  function(cursor, i, depth) that walks an element
-- @return offset after the list, or -1
function _M.each_element(cursor, i, depth, visit)
  local p = cursor.p
  i = skip_space(p, i + 1)
  if p[i] == CLOSE_ARRAY then
    return i + 1
  end
  while true do
    i = visit(cursor, i, depth + 1)
    if i < 0 then
      return -1
    end
    local closed, next_element = after_value(cursor, i, CLOSE_ARRAY)
    if closed then
      return closed
    end
    i = next_element
  end
end

return _M
