--- Own answers that refuse a request: the API's error shape, so that SDKs raise the right exception.

local api_error = require('causeway.core.error')

local M = {}

--- Sends an error of our own and ends the request.
-- @tparam table context the request's context
-- @tparam number status HTTP status
-- @tparam string reason why, for the log: one word with underscores
-- @tparam string message for the client; must hold nothing that the client did not send or may not know
-- @tparam ?table headers further headers
-- @tparam ?string kind the error's type, where it is not the status's own
function M.send(context, status, reason, message, headers, kind)
  local body = api_error.body(status, message, context.id, kind)
  context.refusal = reason
  ngx.status = status
  local header = ngx.header
  header['content-type'] = 'application/json'
  header['content-length'] = #body
  header['request-id'] = context.id
  if context.fetch then
    -- Whoever waits for it is told that this is no answer of the upstream.
    header['x-causeway-refusal'] = reason
  end
  if headers then
    for name, value in pairs(headers) do
      header[name] = value
    end
  end
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

return M
