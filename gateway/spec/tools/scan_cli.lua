--- Runs the scanner over many documents, for differential tests in other languages.
--
-- Usage: luajit scan_cli.lua [--batch] [name ...] < documents
-- In: documents, each behind its length as four bytes, big-endian. Names: the members wanted (default: model stream).
-- Out: one JSON line a document, in order:
--   { "ok": true, "members": { name: { "type", "from", "to", "value" (strings only; null for a lone surrogate) } },
--     "duplicate": [name …], "model": string|null, "stream": boolean, "reason": string|null }
--   { "ok": true, "models": [ … ], "count": number }                       with --batch
--   { "ok": false, "error": "invalid", "detail": "utf8", "position": 17 }

local here = arg[0]:match '^(.*/)' or './'
package.path = here .. '../../lua/?.lua;' .. here .. '?.lua;' .. package.path

local frames = require 'frames'
local scan = require 'causeway.core.scan'
local quote = require('causeway.core.text').quote

local names, batch = {}, false
for _, name in ipairs(arg) do
  if name == '--batch' then
    batch = true
  else
    names[#names + 1] = name
  end
end
if #names == 0 then
  names = { 'model', 'stream' }
end
table.sort(names)
local wanted = {}
for _, name in ipairs(names) do
  wanted[name] = true
end

local function quoted(value)
  return value and quote(value) or 'null'
end

local function failure(err, detail, position)
  return ('{"ok":false,"error":%s,"detail":%s,"position":%d}'):format(quoted(err), quoted(detail), position or 0)
end

local function batch_line(body)
  local models, err, detail, position = scan.batch_models(body)
  if not models then
    return failure(err, detail, position)
  end
  local list = {}
  for index, model in ipairs(models.list) do
    list[index] = quote(model)
  end
  return ('{"ok":true,"models":[%s],"count":%d}'):format(table.concat(list, ','), models.count)
end

local function request_line(body)
  local result, err, detail, position = scan.top_level(body, wanted)
  if not result then
    return failure(err, detail, position)
  end
  local members, duplicate = {}, {}
  for _, name in ipairs(names) do
    local range = result[name]
    if range then
      local value = range.type == 'string' and ',"value":' .. quoted((scan.string_value(body, range))) or ''
      members[#members + 1] = ('%s:{"type":"%s","from":%d,"to":%d%s}'):format(
        quote(name), range.type, range.from, range.to, value)
    end
    if result.duplicate[name] then
      duplicate[#duplicate + 1] = quote(name)
    end
  end
  local model, stream, reason = scan.model_and_stream(body)
  return ('{"ok":true,"members":{%s},"duplicate":[%s],"model":%s,"stream":%s,"reason":%s}'):format(
    table.concat(members, ','), table.concat(duplicate, ','), quoted(model), tostring(stream), quoted(reason))
end

frames.run(batch and batch_line or request_line)
