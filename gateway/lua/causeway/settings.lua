--- The settings that lib/nginx rendered, read once by the master before it forks its workers.

local cjson = require('cjson.safe')

local M = {}

--- Reads and keeps the settings. Raises where they cannot be read: nginx must not start without them.
-- @tparam string path absolute path of settings.json
function M.load(path)
  local handle, open_error = io.open(path, 'rb')
  if not handle then
    error('cannot read the settings: ' .. open_error, 0)
  end
  local text = handle:read('*a')
  handle:close()
  local value, decode_error = cjson.decode(text)
  if type(value) ~= 'table' then
    error('cannot read the settings: ' .. path .. ': ' .. (decode_error or 'not an object'), 0)
  end
  for name, setting in pairs(value) do
    if setting ~= cjson.null then
      M[name] = setting
    end
  end
  M.upstream_by_id = {}
  for _, upstream in ipairs(value.upstreams) do
    if upstream.addresses == cjson.null then
      upstream.addresses = nil
    end
    M.upstream_by_id[upstream.id] = upstream
  end
  if M.certificate and M.certificate.ca_file == cjson.null then
    M.certificate.ca_file = nil
  end
end

return M
