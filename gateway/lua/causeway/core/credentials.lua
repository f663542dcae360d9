--- The upstream credentials: `{"version":1,"credentials":{"<name>":"<secret>"}}`. Messages name credentials, never show
-- them.

local cjson = require('cjson.safe')

local M = {}

--- Parses the document and checks that every upstream finds its credential.
-- @tparam string text the document
-- @tparam {table,...} upstreams each with `id` and `credential`, the name of the one it uses
-- @treturn {[string]=string}|nil name -> secret
-- @treturn nil|string what is wrong
function M.parse(text, upstreams)
  local value = cjson.decode(text)
  if type(value) ~= 'table' or type(value.credentials) ~= 'table' then
    return nil, 'must be a JSON object of the form {"version":1,"credentials":{"<name>":"<secret>"}}'
  end
  if value.version ~= 1 then
    return nil, 'version must be 1'
  end
  for name, secret in pairs(value.credentials) do
    if type(secret) ~= 'string' or not secret:find('^[\33-\126]+$') then
      return nil, 'credentials.' .. tostring(name) .. ' must be a string of visible ASCII without spaces'
    end
  end
  for _, upstream in ipairs(upstreams) do
    if not value.credentials[upstream.credential] then
      return nil,
        'credentials.' .. upstream.credential .. ' is missing; upstream "' .. upstream.id .. '" needs it'
    end
  end
  return value.credentials
end

return M
