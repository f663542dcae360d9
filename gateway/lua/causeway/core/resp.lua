--- RESP2, what Valkey and Redis speak: commands out, replies in. Knows no socket.
--
-- A library for it exists in Debian (lua-nginx-redis), but it depends on nginx-extras: 22 modules, a mail proxy and a
-- Perl interpreter among them, in an image that needs none. And it raises on a reply that is no RESP.

local byte, format, tonumber, tostring, type = string.byte, string.format, tonumber, tostring, type

local M = {}

--- The empty reply. As a whole reply the client gives nil for it; inside a table it is false.
M.NULL = setmetatable({}, {
  __tostring = function()
    return 'NULL'
  end,
})

-- A server that answers nonsense must cost neither memory nor stack.
local MAX_BULK_BYTES = 512 * 1024 * 1024
local MAX_ITEMS = 1024 * 1024
local MAX_DEPTH = 16

local ERROR, BULK, ARRAY, INTEGER, STATUS = byte('-$*:+', 1, 5)

-- tostring would write 15 digits of a number, and 1e+15 for a thousand billion.
local function word(value)
  if type(value) == 'string' then
    return value
  end
  if type(value) == 'number' then
    return format(value % 1 == 0 and '%.0f' or '%.17g', value)
  end
  return tostring(value)
end

--- Appends a command to what is to be sent.
-- @tparam {string,...} parts what a socket's send takes
-- @tparam {string|number,...} words the command and its arguments
function M.append(parts, words)
  local count = #words
  parts[#parts + 1] = '*' .. count .. '\r\n'
  for i = 1, count do
    local text = word(words[i])
    parts[#parts + 1] = '$' .. #text .. '\r\n'
    -- Apart: what is long must not be copied.
    parts[#parts + 1] = text
    parts[#parts + 1] = '\r\n'
  end
end

local function count_of(line, most)
  local count = line:find('^%-?%d+$', 2) and tonumber(line:sub(2))
  if count and count >= -1 and count <= most then
    return count
  end
end

local function read(receive, depth)
  local line, receive_error = receive()
  if not line then
    return nil, receive_error
  end
  local kind = byte(line)
  if kind == STATUS then
    return line:sub(2)
  elseif kind == INTEGER then
    local number = tonumber(line:sub(2))
    if number then
      return number
    end
  elseif kind == ERROR then
    return { err = line:sub(2) }
  elseif kind == BULK then
    local size = count_of(line, MAX_BULK_BYTES)
    if size == -1 then
      return M.NULL
    elseif size then
      local data, data_error = receive(size + 2)
      if not data then
        return nil, data_error
      end
      return data:sub(1, size)
    end
  elseif kind == ARRAY and depth < MAX_DEPTH then
    local count = count_of(line, MAX_ITEMS)
    if count == -1 then
      return M.NULL
    elseif count then
      local items = {}
      for i = 1, count do
        local item, item_error = read(receive, depth + 1)
        if item == nil then
          return nil, item_error
        end
        items[i] = item ~= M.NULL and item
      end
      return items
    end
  end
  return nil, 'protocol'
end

--- Reads one reply: a string, a number, `{ err = message }`, M.NULL, or a list of those in which false stands for the
-- empty one, as in Valkey's own scripts.
-- @tparam function receive gives a line without its end, or that many bytes, or nil and why not
-- @return nil|string|number|table nil where the reply could not be read
-- @treturn nil|string what receive said, or `protocol`
function M.read(receive)
  return read(receive, 1)
end

-- What an error's first word says of the server rather than of the one command: it must not be asked for a while, and
-- the connection is of no more use. READONLY: a primary that became a replica, whose name will lead to the new one.
local UNUSABLE = {
  BUSY = true,
  CLUSTERDOWN = true,
  LOADING = true,
  MASTERDOWN = true,
  MISCONF = true,
  NOAUTH = true,
  NOREPLICAS = true,
  READONLY = true,
  WRONGPASS = true,
}

--- What in an error means that the server itself cannot be used now.
-- @tparam string message as the server sent it
-- @treturn string|nil a word without content
function M.unusable(message)
  local first = message:match('^%u+') or ''
  if UNUSABLE[first] then
    return first
  end
  -- Redis 6 wraps what a script ran into.
  if message:find('-READONLY', 1, true) then
    return 'READONLY'
  end
  if message:find('max number of clients', 1, true) then
    return 'too many clients'
  end
end

return M
