--- Which requests are the same request: the identity of what may share a stored answer, written so that no two
-- identities are written alike.
--
-- What counts: who asks (the consumer and the upstream credential that it is given; in `passthrough` the credential),
-- the method, the request target as it came, every `anthropic-*` header, what else the upstream answers by (`accept`,
-- `content-type`, `content-encoding`), the bytes of the body, and the epoch, so that a purge is a change of all keys.
-- What says where a call comes from (`x-claude-code-*`, `user-agent`, `x-stainless-*`) does not count: such headers
-- have names of their own, so that `anthropic-*` is an open list here as everywhere. Names of headers in any case and
-- order are the same; lines of one name keep their order, for they are one list.
--
-- How: each field stands behind its length, lists behind their number, so no field can run into the next. The key under
-- which an answer is stored is the SHA-256 of it: nothing can be read from it.

local concat = table.concat
local sort = table.sort

local M = {}

-- A release that gives fields another meaning takes another word.
local VERSION = 'causeway-cache-1'

-- Beside `anthropic-*`.
local NAMED = { ['accept'] = true, ['content-type'] = true, ['content-encoding'] = true }

local PREFIX = 'anthropic-'

local function counts(name)
  return NAMED[name] or name:sub(1, #PREFIX) == PREFIX
end

-- nil is not the empty text.
local function put(out, value)
  if value == nil then
    out[#out + 1] = '-'
    return
  end
  out[#out + 1] = #value
  out[#out + 1] = ':'
  out[#out + 1] = value
end

-- name in lower case -> values. Two spellings of a name are one header; which of them comes first is not known here, so
-- they are put in order of their names, which is the same for the same request.
local function relevant(headers)
  local spellings, values = {}, {}
  for name in pairs(headers) do
    if counts(name:lower()) then
      spellings[#spellings + 1] = name
    end
  end
  sort(spellings)
  local names = {}
  for _, spelling in ipairs(spellings) do
    local name, value = spelling:lower(), headers[spelling]
    local list = values[name]
    if not list then
      list = {}
      values[name] = list
      names[#names + 1] = name
    end
    for _, line in ipairs(type(value) == 'table' and value or { value }) do
      list[#list + 1] = line
    end
  end
  sort(names)
  return names, values
end

local function put_headers(out, headers)
  local names, values = relevant(headers)
  put(out, tostring(#names))
  for _, name in ipairs(names) do
    put(out, name)
    put(out, tostring(#values[name]))
    for _, line in ipairs(values[name]) do
      put(out, line)
    end
  end
end

--- The epoch of a consumer: what a purge of it, or of all, changes.
-- @tparam ?string all word of the last purge of all; nil and '' where there was none
-- @tparam ?string own word of the last purge of the consumer, likewise
-- @treturn string
function M.epoch(all, own)
  local out = {}
  put(out, all or '')
  put(out, own or '')
  return concat(out)
end

--- Writes an identity.
-- @tparam table identity
--   { environment, consumer = id, credential_hash = of the client's credential in `passthrough`, otherwise nil,
--     upstream_credential = name or nil, method, target = path and query as they came,
--     headers = { [name] = value or list } (all of the request), body_sha256 = hex, or nil without a body,
--     epoch = of M.epoch }
-- @treturn string bytes
function M.canonical(identity)
  local out = { VERSION }
  put(out, identity.environment)
  put(out, identity.consumer)
  put(out, identity.credential_hash)
  put(out, identity.upstream_credential)
  put(out, identity.method)
  put(out, identity.target)
  put(out, identity.body_sha256)
  put(out, identity.epoch)
  put_headers(out, identity.headers)
  return concat(out)
end

return M
