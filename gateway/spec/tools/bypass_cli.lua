--- Says of many request bodies whether they stand for themselves, for tests in other languages.
--
-- Usage: luajit bypass_cli.lua < documents
-- In: documents, each behind its length as four bytes, big-endian.
-- Out: one JSON line a document: { "reason": string|null, "stream": boolean, "model": string|null }

local here = arg[0]:match '^(.*/)' or './'
package.path = here .. '../../lua/?.lua;' .. here .. '?.lua;' .. package.path

local frames = require 'frames'
local quote = require('causeway.core.text').quote
local self_contained = require 'causeway.core.self_contained'

local function quoted(value)
  return value and quote(value) or 'null'
end

frames.run(function(body)
  local reason, stream, model = self_contained.check(body)
  return ('{"reason":%s,"stream":%s,"model":%s}'):format(quoted(reason), tostring(stream), quoted(model))
end)
