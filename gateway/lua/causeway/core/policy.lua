--- What a consumer may ask for: routes, models, size. Where a policy applies, what cannot be checked is refused.
--
-- Shapes: a refusal is `{ status, reason, message }`: HTTP status, one word for the log, a sentence for the client.

local registry = require('causeway.core.registry')
local scan = require('causeway.core.scan')

local M = {}

local READ_MODEL = { generate = true, count = true }
-- The largest body that is read for a policy. Larger ones are batches; holding 256 MB a request would be the end of the
-- node.
M.MAX_SCANNED_BYTES = 32 * 1024 * 1024

local function refusal(status, reason, message)
  return { status = status, reason = reason, message = message }
end

--- Whether the request may come at all, as far as its head tells.
-- @tparam table consumer of the registry
-- @tparam string class of core/route
-- @tparam ?number content_length of the body; nil where it comes in chunks
-- @tparam boolean has_body whether one comes
-- @treturn ?table refusal
function M.check_head(consumer, class, content_length, has_body)
  if not registry.allows_route(consumer, class) then
    return refusal(403, 'route_not_allowed', 'This key is not allowed to use this route.')
  end
  -- Managed agents, sessions and whatever comes later choose models by themselves, out of sight: open only where the
  -- operator named the class.
  if consumer.models and class == 'other' and not consumer.routes then
    return refusal(403, 'route_not_allowed', 'This key is limited to certain models and may not use this route.')
  end
  if consumer.maxBodyBytes and has_body then
    if not content_length then
      return refusal(411, 'length_required', 'This key has a limit on the size of requests: send a content-length.')
    end
    if content_length > consumer.maxBodyBytes then
      local message = ('The request exceeds the %d bytes that this key may send.'):format(consumer.maxBodyBytes)
      return refusal(413, 'body_too_large', message)
    end
  end
  return nil
end

--- Whether the body must be read before the request may go on.
function M.needs_body(consumer, class)
  if class == 'generate' then
    return consumer.models ~= nil or consumer.maxStreams < consumer.concurrency
  end
  return consumer.models ~= nil and (class == 'count' or class == 'batches')
end

local function unreadable(reason)
  local message = 'This key is limited to certain models, and those of this request cannot be told: ' .. reason .. '.'
  return refusal(400, 'unreadable_body', message)
end

local function not_allowed(model)
  return refusal(403, 'model_not_allowed', 'This key is not allowed to use the model "' .. model .. '".')
end

--- Whether the body asks for what the consumer may have.
-- @tparam table consumer
-- @tparam string class
-- @tparam ?string body the whole body; nil where it is larger than MAX_SCANNED_BYTES
-- @tparam ?string encoding the content-encoding header
-- @tparam ?table options of core/scan
-- @treturn ?table refusal
-- @treturn ?string model
-- @treturn boolean whether it is a stream, or may be one
function M.check_body(consumer, class, body, encoding, options)
  if encoding and encoding ~= '' and encoding:lower() ~= 'identity' then
    return unreadable('it is compressed'), nil, true
  end
  if not body then
    return unreadable('it is too large to be checked'), nil, true
  end
  if class == 'batches' then
    local models, reason = scan.batch_models(body, options)
    if not models then
      return unreadable(reason), nil, false
    end
    for _, model in ipairs(models.list) do
      if not registry.allows_model(consumer, model) then
        return not_allowed(model), model, false
      end
    end
    return nil, nil, false
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
