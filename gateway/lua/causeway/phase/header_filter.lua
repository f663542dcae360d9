--- Looks at the answer's head: is it a stream, does it carry usage.

local answer_head = require('causeway.phase.answer_head')
local breaker = require('causeway.io.breaker')
local consumer_limits = require('causeway.io.consumer_limits')
local context = require('causeway.phase.context')
local kept = require('causeway.core.kept')
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

-- What is told of an upstream's answer, read once: text -> kind.
local kinds = kept.new(256, 256)

local function is_of(content_type, prefix)
  return content_type:find(prefix, 1, true) == 1
end

local function kind_of(content_type)
  return { is_stream = is_of(content_type, 'text/event-stream'), is_json = is_of(content_type, 'application/json') }
end

local function read_kind(text)
  local connection, framed, content_type = text:match('^([^\n]*)\n([^\n]*)\n([^\n]*)$')
  local kind = kind_of(content_type)
  kind.unframed = framed == ''
  kind.nominates = connection ~= '' and connection ~= 'keep-alive' and connection ~= 'close' and connection or nil
  return kept.keep(kinds, text, kind)
end

-- What kind of answer it is: an upstream's, or one that others have fetched.
local function answer_kind(request)
  if request.balanced then
    local text = ngx.var.causeway_answer_head
    return kinds.values[text] or read_kind(text)
  end
  local content_type = ngx.header['content-type']
  return type(content_type) == 'string' and kind_of(content_type) or {}
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
  local kind = answer_kind(request)
  if kind.nominates then
    strip_nominated(kind.nominates)
  end
  if kind.is_stream then
    context.mark_stream(request)
  elseif request.probe and ngx.status < 400 then
    breaker.succeeded(request)
  end
  if request.class == 'generate' and ngx.status == 200 then
    if kind.is_stream then
      request.usage = usage.sse()
    elseif kind.is_json then
      request.usage = usage.json()
      -- An answer that only the end of its connection ends may have been cut where it looks whole.
      request.unframed = kind.unframed or nil
    end
  end
end

return M
