--- What the end of a request says of its upstream.

local breaker = require('causeway.io.breaker')

local M = {}

-- Errors inside a stream of status 200 that would have been a 5xx before it began.
local SERVER_ERRORS = { overloaded_error = true, api_error = true }

-- Whether a stream ended before its end without a word why. Only those of messages say themselves where that is.
local function is_cut(request, usage)
  if not request.stream then
    return false
  elseif usage then
    return not usage.complete and not usage.in_band_error
  end
  return not request.whole
end

--- Tells the breaker, once, how the last attempt of a request went.
-- @tparam table request
-- @tparam ?number status the upstream's, or nginx's in its place; nil where none was asked
-- @tparam boolean aborted whether the client left, which says nothing of the upstream
-- @tparam ?table usage what was read from the answer
-- @treturn boolean whether the upstream broke off a stream
function M.settle(request, status, aborted, usage)
  if aborted or not status then
    breaker.undecided(request)
    return false
  end
  local cut = is_cut(request, usage)
  if status >= 500 or cut or usage and (SERVER_ERRORS[usage.in_band_error] or not request.whole) then
    breaker.failed(request)
  elseif status < 400 then
    breaker.succeeded(request)
  else
    breaker.undecided(request)
  end
  return cut
end

return M
