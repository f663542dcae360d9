--- Reads a few members of a JSON document without decoding it.
--
-- What it is for: the gateway needs `model` and `stream` of a request and `usage` of an answer, and forwards the bytes
-- untouched. What cannot be decided is an error with a reason, so that a policy on models can refuse it: a key given
-- twice, a key written with escapes, a document that strict parsers refuse.
--
-- Units: ranges are byte positions from 1, both ends included, as `string.sub` takes them.
-- Shapes: a range is `{ from, to, type, escaped }`; see `top_level`. Errors are
--   `invalid`     a strict RFC 8259 parser refuses it (byte order mark, NaN, trailing bytes, raw control characters,
--                 broken escapes, malformed UTF-8 …); the detail says what
--   `too_deep`    more than 512 levels (json_walk.MAX_DEPTH), valid or not
--   `not_object`  valid, but its top level is no object
-- A lone surrogate escape (`\ud800`) is valid by the grammar and accepted; reading such a string's value is refused.

local members = require 'causeway.core.json_members'
local text = require 'causeway.core.text'
local walk = require 'causeway.core.json_walk'

local sub = string.sub

local unescape = text.unescape
local skip_space, skip_value, fail = walk.skip_space, walk.skip_value, walk.fail

local _M = {}

local QUOTE, OPEN_OBJECT, OPEN_ARRAY = 0x22, 0x7B, 0x5B

-- An escape is at most six bytes for one byte of the name it stands for.
local LONGEST_ESCAPE = 6

--- More different models than this in one batch are refused: no client has them, and they would fill memory.
_M.MAX_BATCH_MODELS = 1000

--- The value of a JSON string found by `top_level`.
-- @param body   the document
-- @param range  its range
-- @return string (UTF-8), or nil and `not_a_string` or `lone_surrogate`
function _M.string_value(body, range)
  if range.type ~= 'string' then
    return nil, 'not_a_string'
  end
  local raw = sub(body, range.from + 1, range.to - 1)
  if not range.escaped then
    return raw
  end
  return unescape(raw)
end

-- The key that the walk has just passed, if it may be a wanted one; nil otherwise.
-- Long keys are not even made into strings: a body of 32 MB may be all keys.
local function wanted_key(cursor, wanted, longest)
  local length = cursor.key_to - cursor.key_from
  if cursor.escaped then
    if length > longest * LONGEST_ESCAPE then
      return nil
    end
    local key = unescape(sub(cursor.body, cursor.key_from + 1, cursor.key_to))
    return key and wanted[key] and key or nil
  end
  if length > longest then
    return nil
  end
  local key = sub(cursor.body, cursor.key_from + 1, cursor.key_to)
  return wanted[key] and key or nil
end

-- Keeps the range of a wanted member. `search` is { wanted, longest, result }.
local function visit_member(cursor, i, depth, search)
  local wanted, result = search.wanted, search.result
  local key = wanted_key(cursor, wanted, search.longest)
  local descend = key and wanted[key]
  if not descend then
    return skip_value(cursor, i, depth)
  end
  local from, first = i, cursor.p[i]
  local after = (descend == true and skip_value or descend)(cursor, i, depth)
  if after >= 0 then
    if result[key] then
      result.duplicate[key] = true
    end
    result[key] = {
      from = from + 1,
      to = after,
      type = walk.type_of(first),
      escaped = first == QUOTE and cursor.escaped,
    }
  end
  return after
end

-- Walks one object, keeping the ranges of wanted members. `wanted[key]` is true, or a function(cursor, i, depth) that
-- walks the member's value itself and returns the offset after it. Returns the offset after the object, or -1.
local function walk_object(cursor, i, depth, wanted, longest, result)
  return members.each_member(cursor, i, depth, visit_member, { wanted = wanted, longest = longest, result = result })
end

local function longest_name(wanted)
  local longest = 0
  for name in pairs(wanted) do
    assert(name ~= 'duplicate', 'scan: a member called "duplicate" cannot be wanted')
    if #name > longest then
      longest = #name
    end
  end
  return longest
end

local function walk_document(cursor, wanted)
  local p = cursor.p
  local result = { duplicate = {} }
  local i = skip_space(p, 0)
  local is_object = p[i] == OPEN_OBJECT
  if is_object then
    i = walk_object(cursor, i, 0, wanted, longest_name(wanted), result)
  else
    i = skip_value(cursor, i, 0)
  end
  if i >= 0 then
    i = skip_space(p, i)
    -- A NUL byte in the body is not its end: compare with the length.
    if i ~= cursor.length then
      fail(cursor, i, 'invalid', 'trailing')
    elseif not is_object then
      fail(cursor, 0, 'not_object', 'type')
    end
  end
  if cursor.err then
    return nil, cursor.err, cursor.detail, cursor.position
  end
  return result
end

--- Finds wanted members of a document's top level, and validates all of it.
-- @param body     the document, a string
-- @param wanted   a set: `{ model = true, stream = true }`
-- @param options  nil, or `{ yield = function, every = bytes }`: `yield()` is called about every `every` bytes (1 MiB)
-- @return result: for each wanted member that is there `result[name] = { from, to, type, escaped }`, the last one where
--   it is given more than once, and then `result.duplicate[name] = true`; or nil, error, detail, position
function _M.top_level(body, wanted, options)
  return walk_document(walk.cursor(body, options and options.yield, options and options.every), wanted)
end

local REQUEST_MEMBERS = { model = true, stream = true }

--- Model and stream flag of a request to `/v1/messages` or `count_tokens`.
-- @param body     the document
-- @param options  as for `top_level`
-- @return model: string, or nil where it cannot be told
-- @return stream: true only where the member is literally true
-- @return reason: nil where both are certain; else `invalid`, `too_deep`, `not_object`, `duplicate_model`, `no_model`,
--   `model_not_string`, `lone_surrogate` (model is nil), `duplicate_stream`, `stream_not_boolean` (model is given)
function _M.model_and_stream(body, options)
  local result, err = _M.top_level(body, REQUEST_MEMBERS, options)
  if not result then
    return nil, false, err
  end
  local range = result.stream
  local stream = range ~= nil and range.type == 'boolean' and range.to - range.from == 3
  if result.duplicate.model then
    return nil, stream, 'duplicate_model'
  elseif not result.model then
    return nil, stream, 'no_model'
  elseif result.model.type ~= 'string' then
    return nil, stream, 'model_not_string'
  end
  local model, reason = _M.string_value(body, result.model)
  if model and result.duplicate.stream then
    reason = 'duplicate_stream'
  elseif model and range and range.type ~= 'boolean' and range.type ~= 'null' then
    reason = 'stream_not_boolean'
  end
  return model, stream, reason
end

-- A batch is walked once, each level by its own function; what they find is on the cursor (`models`).

local MODEL, PARAMS = { model = true }, {}

-- A value of the wrong type; broken JSON is still called invalid.
local function wrong_type(cursor, i, depth, reason)
  return skip_value(cursor, i, depth) < 0 and -1 or fail(cursor, i, reason, 'type')
end

local function walk_params(cursor, i, depth)
  local p = cursor.p
  if p[i] ~= OPEN_OBJECT then
    return wrong_type(cursor, i, depth, 'params_not_object')
  end
  local result = { duplicate = {} }
  local after = walk_object(cursor, i, depth, MODEL, #'model', result)
  if after < 0 then
    return -1
  end
  local range = result.model
  if not range then
    return fail(cursor, i, 'no_model', 'params')
  elseif result.duplicate.model then
    return fail(cursor, i, 'duplicate_model', 'params')
  elseif range.type ~= 'string' then
    return fail(cursor, i, 'model_not_string', 'params')
  end
  local model, reason = _M.string_value(cursor.body, range)
  if not model then
    return fail(cursor, i, reason, 'model')
  end
  local models = cursor.models
  models.count = models.count + 1
  if not models.set[model] then
    if #models.list == _M.MAX_BATCH_MODELS then
      return fail(cursor, i, 'too_many_models', 'params')
    end
    models.set[model] = true
    models.list[#models.list + 1] = model
  end
  return after
end

PARAMS.params = walk_params

local function walk_request(cursor, i, depth)
  if cursor.p[i] ~= OPEN_OBJECT then
    return wrong_type(cursor, i, depth, 'request_not_object')
  end
  local result = { duplicate = {} }
  local after = walk_object(cursor, i, depth, PARAMS, #'params', result)
  if after >= 0 then
    if not result.params then
      return fail(cursor, i, 'no_params', 'request')
    elseif result.duplicate.params then
      return fail(cursor, i, 'duplicate_params', 'request')
    end
  end
  return after
end

local function walk_requests(cursor, i, depth)
  if cursor.p[i] ~= OPEN_ARRAY then
    return wrong_type(cursor, i, depth, 'requests_not_array')
  end
  return members.each_element(cursor, i, depth, walk_request)
end

local BATCH = { requests = walk_requests }

--- All models that a batch (`POST /v1/messages/batches`) asks for.
-- @param body     the document
-- @param options  as for `top_level`; a batch may be 256 MB, so yield
-- @return `{ list = { model … in order of first use }, set = { [model] = true }, count = number of requests }`, or nil,
--   error, detail, position. The errors are those of `top_level` and `no_requests`, `duplicate_requests`,
--   `requests_not_array`, `request_not_object`, `no_params`, `duplicate_params`, `params_not_object`, `no_model`,
--   `duplicate_model`, `model_not_string`, `lone_surrogate`, `too_many_models`
function _M.batch_models(body, options)
  local cursor = walk.cursor(body, options and options.yield, options and options.every)
  cursor.models = { list = {}, set = {}, count = 0 }
  local result, err, detail, position = walk_document(cursor, BATCH)
  if not result then
    return nil, err, detail, position
  elseif not result.requests then
    return nil, 'no_requests', 'top level', 1
  elseif result.duplicate.requests then
    return nil, 'duplicate_requests', 'top level', 1
  end
  return cursor.models
end

return _M
