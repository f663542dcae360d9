--- A document that is watched: a file, or an address on loopback (the AppConfig agent). Reading it tells whether it has
-- changed; what to make of it is the reader's matter.

local M = {}

local MAX_BYTES = 16 * 1024 * 1024
local HTTP_TIMEOUT_MS = 2000
local ENOENT = 2

local function read_file(path)
  local handle, open_error, open_errno = io.open(path, 'rb')
  if not handle then
    return nil, open_error, open_errno == ENOENT
  end
  local text, read_error = handle:read(MAX_BYTES)
  handle:close()
  if not text then
    return nil, path .. ': ' .. (read_error or 'empty'), read_error == nil
  end
  return text
end

-- The agent answers HTTP/1.1; asked with 1.0 it closes when it is done, so that no framing has to be read.
local function read_http(url)
  local host, port, path = url:match('^http://([^:/]+):?(%d*)(/.*)$')
  if not host then
    return nil, url .. ': not of the form http://host:port/path'
  end
  local socket = ngx.socket.tcp()
  socket:settimeout(HTTP_TIMEOUT_MS)
  local ok, connect_error = socket:connect(host, tonumber(port) or 80)
  if not ok then
    return nil, url .. ': ' .. connect_error
  end
  local sent, send_error = socket:send('GET ' .. path .. ' HTTP/1.0\r\nHost: ' .. host .. '\r\n\r\n')
  if not sent then
    socket:close()
    return nil, url .. ': ' .. send_error
  end
  local answer, receive_error = socket:receive('*a')
  socket:close()
  if not answer then
    return nil, url .. ': ' .. receive_error
  end
  local status = answer:match('^HTTP/1%.%d (%d%d%d)')
  local _, head_end = answer:find('\r\n\r\n', 1, true)
  if status ~= '200' or not head_end then
    return nil, url .. ': answered ' .. (status or 'no HTTP')
  end
  return answer:sub(head_end + 1)
end

--- Reads a source.
-- @tparam string source absolute path or http:// address
-- @treturn string|nil its bytes
-- @treturn nil|string why it could not be read
-- @treturn nil|boolean whether it is a file that is not there, or empty; never of an address: who cannot answer yet, or
--   does not know, has not said that there is nothing
function M.read(source)
  if source:sub(1, 7) == 'http://' then
    return read_http(source)
  end
  return read_file(source)
end

return M
