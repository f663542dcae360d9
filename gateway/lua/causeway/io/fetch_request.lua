--- A client's request as a fetch sends it to the internal listener: its method, target, body and headers, but for those
-- that concern the client's own connection, its conditions, and what the gateway sets itself.

local settings = require('causeway.settings')

local M = {}

-- How long the internal listener may say nothing beyond what the upstream may.
local MARGIN_SECONDS = 30

local LEFT_OUT = {
  -- This hop's (RFC 9110, 7.6.1), and what frames the body.
  ['connection'] = true,
  ['content-length'] = true,
  ['expect'] = true,
  ['host'] = true,
  ['keep-alive'] = true,
  ['proxy-authorization'] = true,
  ['proxy-connection'] = true,
  ['te'] = true,
  ['trailer'] = true,
  ['transfer-encoding'] = true,
  ['upgrade'] = true,
  -- The answer is fetched whole for all who wait; conditions are answered here.
  ['if-match'] = true,
  ['if-modified-since'] = true,
  ['if-none-match'] = true,
  ['if-range'] = true,
  ['if-unmodified-since'] = true,
  ['range'] = true,
}
local OWN_PREFIX = 'x-causeway-'
-- In `keys` mode the client's key ends here. Otherwise those two go out as they were read; whatever else nginx would
-- read for one of them (`X_Api_Key`) is no credential that the answer could be kept for.
local CREDENTIALS = { ['authorization'] = true, ['x-api-key'] = true }

-- What nginx lets in is all good; what went out of here wrong could end up as another request.
local function is_name(name)
  return not name:find('[^%w!#$%%&\'*+%-.^_`|~]')
end

local function is_value(value)
  return not value:find('[%z\1-\8\10-\31\127]')
end

local function add_lines(lines, name, value)
  for _, each in ipairs(type(value) == 'table' and value or { value }) do
    -- A line without a value.
    local text = each == true and '' or each
    if is_value(text) then
      lines[#lines + 1] = name .. ': ' .. text .. '\r\n'
    end
  end
end

local function header_lines()
  local lines = {}
  if settings.auth.mode ~= 'keys' then
    -- The same variables as at the request's beginning.
    local var = ngx.var
    add_lines(lines, 'X-Api-Key', var.http_x_api_key)
    add_lines(lines, 'Authorization', var.http_authorization)
  end
  for name, value in pairs(ngx.req.get_headers(0, true)) do
    local lower = name:lower()
    local left_out = LEFT_OUT[lower] or lower:sub(1, #OWN_PREFIX) == OWN_PREFIX
      or CREDENTIALS[lower:gsub('_', '-')]
    if not left_out and is_name(name) then
      add_lines(lines, name, value)
    end
  end
  return table.concat(lines)
end

--- Whether a request target can be sent on as it is.
function M.is_plain(target)
  return not target:find('[%c ]')
end

--- What to fetch for a request. Its headers are only put together by `prepare`, which most requests do not need.
-- @tparam table request context
-- @tparam table place of core/cache
-- @tparam ?string body
-- @treturn table job of io/fetch
function M.new(request, place, body)
  local class = request.class
  return {
    place = place,
    class = class,
    request_id = request.id,
    upstream_credential = request.consumer.upstreamCredential,
    method = request.head.method,
    target = request.head.target,
    body = body,
    silent_seconds = settings.fetch.silent_seconds[class] + MARGIN_SECONDS,
  }
end

--- The same with its headers, to be used up by a fetch. In the request's own phase.
-- @tparam table job
-- @treturn table job
function M.prepare(job)
  local prepared = { header_lines = header_lines() }
  for name, value in pairs(job) do
    prepared[name] = value
  end
  return prepared
end

return M
