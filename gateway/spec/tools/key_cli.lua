--- Writes the keys of many requests, for tests in other languages.
--
-- Usage: luajit key_cli.lua < documents
-- In: documents, each behind its length as four bytes, big-endian: JSON objects with the members of an identity of
--   cache_key.canonical, but `headers` as a list of [name, value] in the order of the lines, `body` (text) for
--   `body_sha256`, `credential` (text) for `credential_hash`, and `purges` { all, own } for `epoch`.
-- Out: a line each: the key.

local here = arg[0]:match '^(.*/)' or './'
package.path = here .. '../../lua/?.lua;' .. here .. '?.lua;' .. package.path

local cjson = require 'cjson.safe'
local cache_key = require 'causeway.core.cache_key'
local frames = require 'frames'
local sha256 = require 'causeway.io.sha256'

-- As ngx.req.get_headers gives them: names in lower case, a list where there are several lines.
local function table_of(lines)
  local headers = {}
  for _, line in ipairs(lines) do
    local name, value = line[1]:lower(), line[2]
    local there = headers[name]
    if there == nil then
      headers[name] = value
    elseif type(there) == 'table' then
      there[#there + 1] = value
    else
      headers[name] = { there, value }
    end
  end
  return headers
end

local function text(value)
  if value == cjson.null then
    return nil
  end
  return value
end

local function hash(value)
  value = text(value)
  return value and sha256.hex(value)
end

local function key_of(document)
  local request = assert(cjson.decode(document))
  return sha256.hex(cache_key.canonical {
    environment = request.environment,
    consumer = request.consumer,
    credential_hash = hash(request.credential),
    upstream_credential = text(request.upstream_credential),
    method = request.method,
    target = request.target,
    headers = table_of(request.headers),
    body_sha256 = hash(request.body),
    epoch = cache_key.epoch(text(request.purges.all), text(request.purges.own)),
  })
end

frames.run(key_of)
