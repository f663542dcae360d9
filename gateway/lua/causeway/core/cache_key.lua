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
local find = string.find
local lower = string.lower
local sort = table.sort

local M = {}

-- A release that gives fields another meaning takes another word.
local VERSION = 'causeway-cache-1'

-- Beside `anthropic-*`.
local NAMED = { ['accept'] = true, ['content-type'] = true, ['content-encoding'] = true }

local PREFIX = 'anthropic-'

local function counts(name)
  return NAMED[name] or find(name, PREFIX, 1, true) == 1
end

-- Of the identity that is being written: one at a time, for nothing here yields.
local out, size = {}, 0
-- Lengths as text: to join a number takes longer than to join all else of its field.
local LENGTHS = {}
for length = 0, 255 do
  LENGTHS[length] = tostring(length)
end

-- nil is not the empty text.
local function put(value)
  if value == nil then
    size = size + 1
    out[size] = '-'
    return
  end
  local length = #value
  out[size + 1] = LENGTHS[length] or tostring(length)
  out[size + 2] = ':'
  out[size + 3] = value
  size = size + 3
end

-- name in lower case -> values. Two spellings of a name are one header; which of them comes first is not known here, so
-- they are put in order of their names, which is the same for the same request.
local function relevant(headers)
  local spellings, values = {}, {}
  for name in pairs(headers) do
    if counts(lower(name)) then
      spellings[#spellings + 1] = name
    end
  end
  sort(spellings)
  local names = {}
  for _, spelling in ipairs(spellings) do
    local name, value = lower(spelling), headers[spelling]
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

local function put_headers(headers)
  local names, values = relevant(headers)
  put(tostring(#names))
  for _, name in ipairs(names) do
    put(name)
    put(tostring(#values[name]))
    for _, line in ipairs(values[name]) do
      put(line)
    end
  end
end

local plain_names = {}
-- More than that are sorted by `sort`: a client may send thousands.
local MOST_PLAIN = 32

-- The names of the headers that count, in order, in `plain_names`; returns how many. nil where they are many, or one
-- has several lines, or a name that is not in lower case.
local function plain_headers(headers)
  local count = 0
  for name, value in pairs(headers) do
    local name_lower = lower(name)
    if counts(name_lower) then
      if name ~= name_lower or type(value) ~= 'string' or count == MOST_PLAIN then
        return nil
      end
      local at = count
      while at > 0 and plain_names[at] > name do
        plain_names[at + 1] = plain_names[at]
        at = at - 1
      end
      plain_names[at + 1] = name
      count = count + 1
    end
  end
  return count
end

-- The same bytes as `put_headers`, without its tables: most requests have a line of each name.
local function put_plain_headers(headers)
  local count = plain_headers(headers)
  if not count then
    return false
  end
  put(tostring(count))
  for index = 1, count do
    local name = plain_names[index]
    put(name)
    put('1')
    put(headers[name])
  end
  return true
end

local function written()
  local text = concat(out, '', 1, size)
  size = 0
  return text
end

--- The epoch of a consumer: what a purge of it, or of all, changes.
-- @tparam ?string all word of the last purge of all; nil and '' where there was none
-- @tparam ?string own word of the last purge of the consumer, likewise
-- @treturn string
function M.epoch(all, own)
  size = 0
  put(all or '')
  put(own or '')
  return written()
end

--- Writes an identity.
-- @tparam table identity
--   { environment, consumer = id, credential_hash = of the client's credential in `passthrough`, otherwise nil,
--     upstream_credential = name or nil, method, target = path and query as they came,
--     headers = { [name] = value or list } (all of the request), body_sha256 = hex, or nil without a body,
--     epoch = of M.epoch }
-- @treturn string bytes
function M.canonical(identity)
  out[1], size = VERSION, 1
  put(identity.environment)
  put(identity.consumer)
  put(identity.credential_hash)
  put(identity.upstream_credential)
  put(identity.method)
  put(identity.target)
  put(identity.body_sha256)
  put(identity.epoch)
  if not put_plain_headers(identity.headers) then
    put_headers(identity.headers)
  end
  return written()
end

return M
