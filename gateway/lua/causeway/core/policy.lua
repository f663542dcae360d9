--- What a consumer may ask for: routes, models, size. Where a policy applies, what cannot be checked is refused.
--
-- Shapes: a refusal is `{ status, reason, message }`: HTTP status, one word for the log, a sentence for the client. A
-- head is what was said of the body before it came:
--   { has_body = boolean, length = bytes or nil, http2 = boolean, encoding, content_type, override }
-- The last three are header values as `ngx.req.get_headers` gives them: nil, a string, or a list where the line came
-- twice. They must be those of the exact name: nginx's variables take `Content_Length` for `Content-Length`.

local registry = require('causeway.core.registry')
local scan = require('causeway.core.scan')
local text = require('causeway.core.text')

local M = {}

local READ_MODEL = { generate = true, count = true }
-- The largest body that is read for a policy. Larger ones are batches; holding 256 MB a request would be the end of the
-- node.
M.MAX_SCANNED_BYTES = 32 * 1024 * 1024
-- As much of a model's name as a message repeats.
local SHOWN_BYTES = 128

--- Headers by which some servers let another method or path count than the request line's. The API is not known to; a
-- policy that hangs on method and path does not rest on that.
M.OVERRIDES = {
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
}

local function refusal(status, reason, message)
  return { status = status, reason = reason, message = message }
end

local function unreadable(reason)
  local message = 'This key is limited to certain models, and those of this request cannot be told: ' .. reason .. '.'
  return refusal(400, 'unreadable_body', message)
end

local LENGTH_REQUIRED = refusal(411, 'length_required', 'The limits of this key need a content-length.')

local CHARSETS = { ['utf-8'] = true, ['utf8'] = true, ['us-ascii'] = true }

-- In another charset the same bytes may be another document: Shift_JIS and GBK swallow a backslash, UTF-7 hides quotes.
local function is_utf8_type(content_type)
  if type(content_type) == 'table' then
    return false
  end
  for charset in (content_type or ''):lower():gmatch('charset%s*=%s*"?([^";%s]*)') do
    if not CHARSETS[charset] then
      return false
    end
  end
  return true
end

-- Why a body that will come cannot be read; nil where it can. The second value: whether a content-length would help.
local function why_unreadable(class, head)
  local encoding = head.encoding
  if type(encoding) == 'table' or encoding and encoding ~= '' and encoding:lower() ~= 'identity' then
    return 'it is compressed'
  elseif not is_utf8_type(head.content_type) then
    return 'it is not said to be UTF-8'
  elseif head.length then
    return head.length > M.MAX_SCANNED_BYTES and 'it is too large to be checked' or nil
  elseif head.http2 or class == 'batches' then
    -- nginx's Lua cannot read it over HTTP/2; a batch would fill a disk with 256 MB before it can be refused.
    return 'its length is not said', true
  end
  return nil
end

--- Whether a policy reads bodies of this class.
local function concerns_body(consumer, class)
  if class == 'generate' then
    return consumer.models ~= nil or consumer.maxStreams < consumer.concurrency
  end
  return consumer.models ~= nil and (class == 'count' or class == 'batches')
end

--- Whether any policy needs the head to be looked at.
-- @tparam table consumer of the registry
-- @tparam string class of core/route
function M.needs_head(consumer, class)
  return consumer.models ~= nil or consumer.routes ~= nil or consumer.maxBodyBytes ~= nil
    or class == 'admin' or concerns_body(consumer, class)
end

--- Whether the request may come at all, as far as its head tells.
-- @tparam table consumer of the registry
-- @tparam string class of core/route
-- @tparam table head
-- @treturn ?table refusal
function M.check_head(consumer, class, head)
  if not registry.allows_route(consumer, class) then
    return refusal(403, 'route_not_allowed', 'This key is not allowed to use this route.')
  end
  -- Managed agents, sessions and whatever comes later choose models by themselves, out of sight: open only where the
  -- operator named the class.
  if consumer.models and class == 'other' and not consumer.routes then
    return refusal(403, 'route_not_allowed', 'This key is limited to certain models and may not use this route.')
  end
  if head.override and (consumer.models or consumer.routes) then
    return refusal(400, 'override', 'This key is limited, and ' .. head.override .. ' may get round that.')
  end
  if not head.has_body then
    return nil
  end
  if consumer.maxBodyBytes then
    if not head.length then
      return LENGTH_REQUIRED
    end
    if head.length > consumer.maxBodyBytes then
      local message = ('The request exceeds the %d bytes that this key may send.'):format(consumer.maxBodyBytes)
      return refusal(413, 'body_too_large', message)
    end
  end
  if consumer.models and concerns_body(consumer, class) then
    local reason, length_helps = why_unreadable(class, head)
    if length_helps then
      return LENGTH_REQUIRED
    elseif reason then
      return unreadable(reason)
    end
  end
  return nil
end

--- Whether `check_body` must have its say.
function M.needs_body(consumer, class, head)
  return head.has_body and concerns_body(consumer, class)
end

--- Whether the body can be read; where not, `check_body` takes nil for it.
function M.is_readable(class, head)
  return why_unreadable(class, head) == nil
end

local function not_allowed(model)
  local shown = text.truncate(model, SHOWN_BYTES)
  return refusal(403, 'model_not_allowed', 'This key is not allowed to use the model "' .. shown .. '".')
end

local function check_batch(consumer, body, options)
  local models, reason = scan.batch_models(body, options)
  if not models then
    return unreadable(reason)
  end
  for _, model in ipairs(models.list) do
    if not registry.allows_model(consumer, model) then
      return not_allowed(model), model
    end
  end
  return nil
end

--- Whether the body asks for what the consumer may have.
-- @tparam table consumer
-- @tparam string class
-- @tparam ?string body the whole body; nil where it cannot be read
-- @tparam ?table options of core/scan
-- @treturn ?table refusal
-- @treturn ?string model
-- @treturn boolean whether it is a stream, or may be one
function M.check_body(consumer, class, body, options)
  if not body then
    return consumer.models and unreadable('it is too large to be checked') or nil, nil, true
  end
  if class == 'batches' then
    local problem, model = check_batch(consumer, body, options)
    return problem, model, false
  end
  if not READ_MODEL[class] then
    return nil, nil, false
  end
  local model, stream, reason = scan.model_and_stream(body, options)
  -- Where the flag cannot be told, the request is counted as a stream.
  stream = stream or reason ~= nil
  if consumer.models then
    if not model then
      return unreadable(reason), nil, stream
    end
    if not registry.allows_model(consumer, model) then
      return not_allowed(model), model, stream
    end
  end
  return nil, model, stream
end

return M
