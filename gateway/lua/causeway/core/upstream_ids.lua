--- Whether a message names what only one upstream knows: a file, or a container.
--
-- What it is for: such a message stays with the upstream that made what it names; another would answer that there is no
-- such thing. A quote before a name that no backslash escapes stands around a member's name, so a search finds them
-- without a walk: in text they are escaped. At what depth a member stands a search cannot tell: whoever has the whole
-- body at hand asks `core/members` as well.
-- Shapes: a string, or a pointer and a length.

local ffi = require('ffi')

ffi.cdef('void *memmem(const void *haystack, size_t length, const void *needle, size_t needle_length);')

local C, cast = ffi.C, ffi.cast
local find, min = string.find, math.min
local byte_pointer = ffi.typeof('const unsigned char *')

local _M = {}

local BACKSLASH = 0x5C

--- How much two pieces of one body must overlap so that nothing is missed between them, in bytes.
_M.OVERLAP_BYTES = 256

-- Name -> what follows where it is a reference: a text, or (a container with skills) an object. The schema of a tool
-- may describe a member of the same name, by an object.
local REFERENCES = { file_id = '^%s*:%s*"', container = '^%s*:%s*["{]' }

--- Whether some bytes hold such a member, at any depth.
-- @param bytes   a pointer to them
-- @param length  how many
-- @param name    `file_id` or `container`
-- @return boolean
function _M.has_in(bytes, length, name)
  bytes = cast(byte_pointer, bytes)
  local needle, pattern, at = '"' .. name .. '"', REFERENCES[name], 0
  while at < length do
    local found = C.memmem(bytes + at, length - at, needle, #needle)
    if found == nil then
      return false
    end
    local index = tonumber(cast(byte_pointer, found) - bytes)
    at = index + #needle
    if (index == 0 or bytes[index - 1] ~= BACKSLASH)
      and find(ffi.string(bytes + at, min(length - at, _M.OVERLAP_BYTES)), pattern)
    then
      return true
    end
  end
  return false
end

--- The same of a string.
function _M.has(text, name)
  return _M.has_in(text, #text, name)
end

return _M
