--- Reads usage from the answer as it passes. The bytes are neither changed nor held.

local breaker = require('causeway.io.breaker')
local consumer_limits = require('causeway.io.consumer_limits')
local context = require('causeway.phase.context')

local M = {}

-- A stream may run for an hour: as a probe it has succeeded once it has begun, and not with an error.
local function judge_probe(request)
  if request.usage and request.usage.result.in_band_error then
    breaker.failed(request)
  else
    breaker.succeeded(request)
  end
end

function M.run()
  local request = context.get()
  if not request or not (request.usage or request.stream) or request.copy then
    return
  end
  local chunk = ngx.arg[1]
  if chunk ~= '' then
    if request.usage then
      request.usage:feed(chunk)
    end
    if request.probe and request.stream and not request.verdict then
      judge_probe(request)
    end
  end
  if ngx.arg[2] then
    request.whole = true
    -- Before the client sees the end, and can come with its next request.
    if request.usage and consumer_limits.has_budget(request) then
      consumer_limits.count_usage(request, request.usage:finish(false, request.unframed))
    end
  end
end

return M
