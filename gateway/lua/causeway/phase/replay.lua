--- Answers by a copy, all of it at once: in the access phase or in the content phase. The filters of a location that
-- proxies leave it alone.

local answer_head = require('causeway.phase.answer_head')
local context = require('causeway.phase.context')

local M = {}

--- Answers the request, and ends it.
-- @tparam table request
-- @tparam table copy `{ state = what the answer says of the cache, entry of core/cache, age = seconds or nil }`
function M.send(request, copy)
  request.copy, request.cache, request.sought = copy, copy.state, nil
  local entry = copy.entry
  if entry.stream then
    context.mark_stream(request)
  end
  if answer_head.copy(request, copy) then
    ngx.send_headers()
  else
    ngx.print(entry.body)
  end
  return ngx.exit(ngx.HTTP_OK)
end

return M
