--- Whether a request to `/v1/messages` or `count_tokens` stands for itself: its answer hangs on nothing but its bytes,
-- and asking for it does nothing else. Only then may the answer to one stand for the answer to the next.
--
-- How: an allowlist of the top-level members that are known to be of that kind; what is not known refers to something
-- or acts. Below the top level three things refer elsewhere: `file_id` (however it is spelled), content of type `url`,
-- `file` or `container_upload`, and tools that the API runs itself, which are those with a `type` other than `custom`.
-- Such words within a text are no concern, but as members they are one anywhere, in a tool's input too: rather one
-- answer fetched too often.
-- The body is walked, never decoded.

local members = require('causeway.core.json_members')
local scan = require('causeway.core.scan')
local text = require('causeway.core.text')
local walk = require('causeway.core.json_walk')

local sub = string.sub

local fail, skip_space, skip_value = walk.fail, walk.skip_space, walk.skip_value

local M = {}

local QUOTE, OPEN_OBJECT, OPEN_ARRAY = 0x22, 0x7B, 0x5B

-- Docs: api/messages and api/messages-count-tokens (November 2026).
local STATELESS = {
  cache_control = true,
  inference_geo = true,
  max_tokens = true,
  messages = true,
  metadata = true,
  model = true,
  output_config = true,
  output_format = true,
  service_tier = true,
  speed = true,
  stop_sequences = true,
  stream = true,
  system = true,
  temperature = true,
  thinking = true,
  tool_choice = true,
  tools = true,
  top_k = true,
  top_p = true,
}

-- Known to refer to something or to act; named, so that the log says which.
local STATEFUL = { container = true, context_management = true, mcp_servers = true }

local LONGEST_NAME, LONGEST_TYPE, LONGEST_ESCAPE = 18, 16, 6

-- Types of content that stand for something elsewhere, as words.
local ELSEWHERE = { url = 'url', file = 'file_id', container_upload = 'file_id' }

-- The string between two offsets if it may be `longest` bytes long at most; nil otherwise.
local function short_string(body, from, to, escaped, longest)
  local length = to - from
  if not escaped then
    return length <= longest and sub(body, from + 1, to) or nil
  end
  return length <= longest * LONGEST_ESCAPE and text.unescape(sub(body, from + 1, to)) or nil
end

local function key_name(cursor)
  return short_string(cursor.body, cursor.key_from, cursor.key_to, cursor.escaped, LONGEST_NAME)
end

-- The string at an offset, where a value begins. `escaped` on the cursor is the key's and stays so.
local function short_value(cursor, i)
  if cursor.p[i] ~= QUOTE then
    return nil
  end
  local of_key = cursor.escaped
  local after = walk.skip_string(cursor, i + 1)
  local value = after >= 0 and short_string(cursor.body, i + 1, after - 1, cursor.escaped, LONGEST_TYPE) or nil
  cursor.escaped = of_key
  return value
end

-- Called with every key of the document, however deep: what it returns is why the walk ends.
local function watch(cursor, i)
  local length = cursor.key_to - cursor.key_from
  if not cursor.escaped and length ~= 7 and length ~= 4 then
    return nil
  end
  local name = key_name(cursor)
  if name == 'file_id' then
    return 'file_id'
  elseif name == 'type' then
    return ELSEWHERE[short_value(cursor, i)]
  end
  return nil
end

local function visit_tool_member(cursor, i, depth)
  if key_name(cursor) == 'type' and short_value(cursor, i) ~= 'custom' then
    return fail(cursor, i, 'server_tool')
  end
  return skip_value(cursor, i, depth)
end

local function visit_tool(cursor, i, depth)
  if cursor.p[i] ~= OPEN_OBJECT then
    return fail(cursor, i, 'server_tool')
  end
  return members.each_member(cursor, i, depth, visit_tool_member)
end

local function visit_member(cursor, i, depth)
  local name, seen, first = key_name(cursor), cursor.seen, cursor.p[i]
  if not name or not STATELESS[name] then
    return fail(cursor, i, STATEFUL[name] and name or 'unknown_member')
  elseif seen[name] then
    return fail(cursor, i, 'duplicate')
  end
  seen[name] = i
  if name == 'tools' then
    return first == OPEN_ARRAY and members.each_element(cursor, i, depth, visit_tool) or fail(cursor, i, 'server_tool')
  elseif name == 'model' then
    cursor.model = first == QUOTE and i
  end
  return skip_value(cursor, i, depth)
end

local function model_of(cursor)
  local i = cursor.model
  if not i then
    return nil
  end
  local after = walk.skip_string(cursor, i + 1)
  return (scan.string_value(cursor.body, { type = 'string', from = i + 1, to = after, escaped = cursor.escaped }))
end

--- Whether a body stands for itself.
-- @tparam string body
-- @tparam ?table options of core/scan
-- @treturn ?string nil where it does; else one word: `invalid` (not what a strict parser takes for one JSON object),
--   `too_deep`, `duplicate` (a top-level member twice), `container`, `context_management`, `mcp_servers`,
--   `unknown_member`, `server_tool`, `file_id`, `url`, `odd_stream` (the flag is neither true nor false)
-- @treturn boolean its `stream`; false where there is a reason
-- @treturn ?string its `model`; nil where there is a reason, or where it is no string
function M.check(body, options)
  local cursor = walk.cursor(body, options and options.yield, options and options.every)
  cursor.watch, cursor.seen = watch, {}
  local p = cursor.p
  local i = skip_space(p, 0)
  if p[i] ~= OPEN_OBJECT then
    return 'invalid', false
  end
  i = members.each_member(cursor, i, 0, visit_member)
  if i < 0 then
    return cursor.err, false
  elseif skip_space(p, i) ~= cursor.length then
    return 'invalid', false
  end
  local at = cursor.seen.stream
  local flag = at and p[at]
  -- Known to be valid: `true` and `false` begin with letters of their own.
  if flag and flag ~= 0x74 and flag ~= 0x66 then
    return 'odd_stream', false
  end
  return nil, flag == 0x74, model_of(cursor)
end

return M
