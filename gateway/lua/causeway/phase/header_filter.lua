--- Looks at the answer's head: is it a stream, does it carry usage.

local answer_head = require('causeway.phase.answer_head')
local breaker = require('causeway.io.breaker')
local consumer_limits = require('causeway.io.consumer_limits')
local context = require('causeway.phase.context')
local limits = require('causeway.phase.limits')
local proven = require('causeway.io.proven')
local settings = require('causeway.settings')
local usage = require('causeway.core.usage')

local M = {}

-- `passthrough`: the upstream's word on the client's credential.
local function prove(request, status)
  if status == 401 then
    proven.refuse(request.credential_hash)
  elseif status < 400 then
    proven.accept(request.credential_hash)
  end
end

-- RFC 9110, 7.6.1: what the upstream's Connection nominates is meant for the hop to here. What frames the answer is not
-- the upstream's to take away.
local NEVER_NOMINATED = { ['close'] = true, ['keep-alive'] = true, ['content-length'] = true, ['content-type'] = true }

local function strip_nominated(connection)
  for name in connection:lower():gmatch('[^%s,]+') do
    if not NEVER_NOMINATED[name] then
      ngx.header[name] = nil
    end
  end
end

function M.run()
  local request = context.get()
  if not request or request.copy then
    return
  end
  if request.token_budget then
    limits.tell_budget(request.token_budget, ngx.header)
  end
  if request.refusal then
    return
  end
  if request.cache then
    ngx.header['x-causeway-cache'] = request.cache
  end
  if settings.cache.at_edge and request.class == 'models' and ngx.status == 200 then
    ngx.header['cache-control'] = 'private, no-cache' .. answer_head.of_edge()
  end
  if request.credential_hash then
    prove(request, ngx.status)
  end
  request.answered = true
  if request.balanced then
    consumer_limits.read_announcement(request)
  end
  local connection = ngx.var.upstream_http_connection
  if connection and connection ~= 'keep-alive' and connection ~= 'close' then
    strip_nominated(connection)
  end
  local content_type = ngx.header['content-type']
  if type(content_type) ~= 'string' then
    return
  end
  local is_stream = content_type:find('text/event-stream', 1, true) == 1
  if is_stream then
    context.mark_stream(request)
  elseif request.probe and ngx.status < 400 then
    breaker.succeeded(request)
  end
  if request.class == 'generate' and ngx.status == 200 then
    if is_stream then
      request.usage = usage.sse()
    elseif content_type:find('application/json', 1, true) == 1 then
      request.usage = usage.json()
      -- An answer that only the end of its connection ends may have been cut where it looks whole.
      request.unframed = not (ngx.var.upstream_http_content_length or ngx.var.upstream_http_transfer_encoding)
    end
  end
end

return M
