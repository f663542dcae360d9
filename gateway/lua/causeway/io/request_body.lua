--- The request's body, where a policy must read it. Bodies above nginx's buffer stand in a file.

local M = {}

-- Long bodies are scanned in pieces, so that one prompt of 32 MB does not hold up the worker's other requests.
local YIELD_SECONDS = 0.001

--- How core/scan is to go about it in a request.
M.SCAN_OPTIONS = {
  yield = function()
    ngx.sleep(YIELD_SECONDS)
  end,
  every = 2 * 1024 * 1024,
}

--- Receives the whole body and returns it.
-- @tparam number limit bytes
-- @treturn string|nil nil where it is larger than the limit, or cannot be read back
function M.read(limit)
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if body then
    return #body <= limit and body or nil
  end
  local path = ngx.req.get_body_file()
  if not path then
    return ''
  end
  local handle, open_error = io.open(path, 'rb')
  if not handle then
    ngx.log(ngx.ERR, 'causeway: a request body cannot be read: ', open_error)
    return nil
  end
  local size = handle:seek('end')
  if size > limit then
    handle:close()
    return nil
  end
  handle:seek('set')
  -- Not '*a', for which Lua would grow a buffer by doubling it.
  body = size > 0 and handle:read(size) or ''
  handle:close()
  return body
end

return M
