--- The body of an answer that the gateway itself gives, in the API's error shape.
--
-- What it is for: the SDKs choose the exception they raise by status and type, so what the gateway refuses must look
-- like what the API refuses. Errors of the upstream are never rebuilt with this; they pass untouched.
-- Shapes: `{"type":"error","error":{"type":…,"message":…},"request_id":…}`.

local quote = require('causeway.core.text').quote

local _M = {}

local TYPES = {
  [400] = 'invalid_request_error',
  [401] = 'authentication_error',
  [402] = 'billing_error',
  [403] = 'permission_error',
  [404] = 'not_found_error',
  [408] = 'timeout_error',
  [409] = 'conflict_error',
  [413] = 'request_too_large',
  [429] = 'rate_limit_error',
  [504] = 'timeout_error',
  [529] = 'overloaded_error',
}

--- The API's error type for a status. Statuses that the API does not name (405, 414, 431, 502, 503 …) get the type of
-- their class, which every SDK knows.
-- @param status  HTTP status, 400 and above
-- @return string
function _M.type_of(status)
  return TYPES[status] or (status >= 500 and 'api_error' or 'invalid_request_error')
end

--- An error body.
-- @param status      HTTP status
-- @param message     what is wrong and what to do; any bytes
-- @param request_id  string, or nil where there is none
-- @param kind        error type, where it is not the status's own
-- @return JSON string
function _M.body(status, message, request_id, kind)
  return '{"type":"error","error":{"type":' .. quote(kind or _M.type_of(status)) .. ',"message":' .. quote(message)
    .. '},"request_id":' .. (request_id and quote(request_id) or 'null') .. '}'
end

return _M
