--- Copies in a shared dictionary, in pieces of one page.
--
-- What it is for: the dictionary's memory is given out in runs of pages (nginx's slab). Large and small copies side by
-- side leave it in runs too short for the next large one: with answers of 300 bytes to 1 MB in 64 MiB, nine of ten
-- above 60 KB found no room, though a tenth of the memory was free (measured). In pieces of a page each, none is ever
-- too large.
--
-- How: the first piece stands under the key and says how many follow, under a stamp that no other copy has. It is
-- written last: who reads it finds the others, or, where the copy has been replaced since, finds them gone and has
-- none. Two copies never mix.
--
-- Units: bytes; seconds where said. Shapes: the dictionary is an `ngx.shared` one; keys are SHA-256 in hex.

local ceil = math.ceil
local concat = table.concat
local floor = math.floor
local max = math.max

local M = {}

-- Of nginx's slab and http-lua's nodes (ngx_slab.c, ngx_http_lua_shdict.h, 64 bits): what a node takes beside key and
-- value.
local PAGE, NODE, KEY = 4096, 68, 64
local WHOLE = PAGE - NODE - KEY
-- A first piece begins with stamp and count, in 24 bytes at most; the key of the others is as long.
local LABEL = 24
local FIRST = WHOLE - LABEL
local PIECE = PAGE - NODE - LABEL
-- Below half a page the slab gives powers of two. Less than this is not charged, so that the index (256 bytes a copy)
-- fits beside any number of them.
local LEAST = 2048
-- User flags have 31 bits: seconds since 2023, and whether pieces follow.
local SINCE = 1700000000

local function following(length)
  return length <= WHOLE and 0 or ceil((length - FIRST) / PIECE)
end

--- What a copy takes of the memory.
-- @tparam number length of the copy
-- @treturn number bytes
function M.charge(length)
  if NODE + KEY + length <= LEAST then
    return LEAST
  end
  return PAGE * (1 + following(length))
end

local function piece_key(stamp, index)
  return stamp .. '.' .. index
end

--- Removes what `write` wrote.
-- @param values dictionary
-- @tparam ?string key nil where the first piece stays
-- @tparam number stamp
-- @tparam number count of pieces that follow the first
function M.erase(values, key, stamp, count)
  if key then
    values:delete(key)
  end
  for index = 1, count do
    values:delete(piece_key(stamp, index))
  end
end

--- Writes a copy. What stood under its key is replaced; its further pieces stay, for their stamp is known to the
-- caller.
-- @param values dictionary
-- @tparam string key
-- @tparam string bytes
-- @tparam number stamp that no other copy has, up to 15 digits
-- @tparam number entered_seconds epoch
-- @tparam number ttl_seconds
-- @treturn ?number how many pieces follow the first; nil where there is no room, and then nothing is left of it
-- @treturn ?string why
function M.write(values, key, bytes, stamp, entered_seconds, ttl_seconds)
  local count = following(#bytes)
  local flags = max(0, floor(entered_seconds) - SINCE) * 2
  local first, from = bytes, #bytes + 1
  if count > 0 then
    first, from, flags = ('%d:%d:'):format(stamp, count) .. bytes:sub(1, FIRST), FIRST + 1, flags + 1
  end
  for index = 1, count do
    local piece = bytes:sub(from, from + PIECE - 1)
    local ok, problem = values:safe_set(piece_key(stamp, index), piece, ttl_seconds + 1)
    if not ok then
      M.erase(values, nil, stamp, index - 1)
      return nil, problem
    end
    from = from + PIECE
  end
  local ok, problem = values:safe_set(key, first, ttl_seconds, flags)
  if not ok then
    M.erase(values, key, stamp, count)
    return nil, problem
  end
  return count
end

--- Reads a copy.
-- @param values dictionary
-- @tparam string key
-- @treturn ?string bytes; nil where there is none
-- @treturn ?number when it came in, epoch seconds
function M.read(values, key)
  local bytes, flags = values:get(key)
  if not bytes then
    return nil
  end
  flags = flags or 0
  local entered = SINCE + floor(flags / 2)
  if flags % 2 == 0 then
    return bytes, entered
  end
  local stamp, count, from = bytes:match('^(%d+):(%d+):()')
  local pieces = { bytes:sub(from) }
  for index = 1, tonumber(count) do
    local piece = values:get(piece_key(stamp, index))
    if not piece then
      return nil
    end
    pieces[index + 1] = piece
  end
  return concat(pieces), entered
end

return M
