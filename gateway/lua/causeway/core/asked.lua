--- What a request asks for, as far as a glance at its body tells: its model, and whether it asks for a stream.
--
-- What it is for: the breaker counts by model, and has a deadline for streams. A glance costs a microsecond where the
-- strict scan of a policy (core/scan) costs several, and of a body in a file it takes only the two ends. What it cannot
-- tell is nil; the request then counts among those whose model is not told apart. Never for a policy.
-- Shapes: a body is a string, or its first and last bytes.

local find, sub = string.find, string.sub

local members = require('causeway.core.members')

local _M = {}

local WANTED, WANTED_COUNT = { model = true, stream = true }, 2
--- How much of either end of a long body is worth reading, in bytes.
_M.END_BYTES = 4096
-- A body's end that is full of names which look right is somebody's joke.
local MAX_TRIES = 8

local function text_of(body, range)
  local value = range and sub(body, range[1], range[2])
  return value and value:match('^"([^"\\%c]+)"$')
end

local function flag_of(body, range)
  return range and sub(body, range[1], range[2]) == 'true'
end

--- Of a whole body.
-- @param body  string
-- @return model or nil, whether it asks for a stream
function _M.of_body(body)
  local found = members.find_leading(body, WANTED, WANTED_COUNT)
  return text_of(body, found.model), flag_of(body, found.stream) or false
end

-- The members at a body's end. A quote before `model"` that no backslash escapes begins a name, and if what follows
-- it ends exactly with the body, the name is one of the top level.
local function find_at_end(tail)
  local at, tries = 0, 0
  while tries < MAX_TRIES do
    local model, stream = find(tail, '"model"', at + 1, true), find(tail, '"stream"', at + 1, true)
    at = math.min(model or math.huge, stream or math.huge)
    if at == math.huge then
      return nil
    end
    tries = tries + 1
    local found = sub(tail, at - 1, at - 1) ~= '\\' and members.find_trailing(tail, at, WANTED)
    if found then
      return found
    end
  end
end

--- Of the two ends of a body that is too long to look at.
-- @param head  its first bytes
-- @param tail  its last bytes
-- @return model or nil, whether it asks for a stream
function _M.of_ends(head, tail)
  local first = members.find_leading(head, WANTED, WANTED_COUNT)
  local last = find_at_end(tail) or {}
  local stream = flag_of(head, first.stream)
  if stream == nil then
    stream = flag_of(tail, last.stream) or false
  end
  return text_of(head, first.model) or text_of(tail, last.model), stream
end

return _M
