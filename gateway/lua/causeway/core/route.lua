--- Route classes, and paths that nobody can read in two ways.
--
-- What it is for: limits, timeouts and policies hang on the class of a route. The gateway forwards the path as it came,
-- so it must not read it differently from the upstream: what could be read in two ways is refused by `check_path`
-- before it is classified.
-- Shapes: classes are `generate`, `count`, `batches`, `models`, `files`, `other` (the rest of /v1/), `admin`
-- (/v1/organizations), `probe`, `none`.

local byte = string.byte
local char = string.char
local find = string.find
local gsub = string.gsub
local lower = string.lower
local sub = string.sub

local is_utf8 = require('causeway.core.text').is_utf8

local _M = {}

local function decode_pair(digits)
  return char(tonumber(digits, 16))
end

-- Whether `path` is `prefix` or lies below it.
local function is_below(path, prefix)
  local length = #prefix
  return sub(path, 1, length) == prefix and (#path == length or byte(path, length + 1) == 0x2F)
end

local function classify_v1(method, path)
  if path == '/v1/messages' then
    return method == 'POST' and 'generate' or 'other'
  elseif path == '/v1/messages/count_tokens' then
    return method == 'POST' and 'count' or 'other'
  elseif is_below(path, '/v1/messages/batches') then
    return 'batches'
  elseif is_below(path, '/v1/models') then
    return 'models'
  elseif is_below(path, '/v1/files') then
    return 'files'
  end
  return 'other'
end

--- The class of a request.
-- The path is decoded once, as the upstream does, so that /v1/%6dessages is what it says. A slash at the end does not
-- matter: servers disagree about it, and the stricter class is the safe one. Upper and lower case matter, as for the
-- API, except in /v1/organizations: there a wrong guess would open the Admin API.
-- @param method  HTTP method
-- @param path    raw path, with or without its query
-- @return class
function _M.classify(method, path)
  local query = find(path, '?', 1, true)
  if query then
    path = sub(path, 1, query - 1)
  end
  if find(path, '%', 1, true) then
    path = gsub(path, '%%(%x%x)', decode_pair)
  end
  if path == '/' then
    return method == 'HEAD' and 'probe' or 'none'
  elseif path == '/api/hello' then
    return (method == 'HEAD' or method == 'GET') and 'probe' or 'none'
  end
  -- Folded as a whole: /V1/organizations must not pass for `none` either, should anything forward that one day.
  if is_below(lower(path), '/v1/organizations') then
    return 'admin'
  end
  if sub(path, 1, 4) ~= '/v1/' then
    return 'none'
  end
  if byte(path, -1) == 0x2F and #path > 4 then
    path = sub(path, 1, -2)
  end
  return classify_v1(method, path)
end

local function check_percent(path)
  local at = find(path, '%', 1, true)
  while at do
    local digits = sub(path, at + 1, at + 2)
    if not find(digits, '^%x%x$') then
      return 'bad_encoding'
    end
    local code = tonumber(digits, 16)
    if code < 0x20 or code == 0x7F then
      return 'control'
    elseif code == 0x2F then
      return 'encoded_slash'
    elseif code == 0x5C then
      return 'backslash'
    elseif code == 0x2E then
      return 'encoded_dot'
    elseif code == 0x25 and find(path, '^%x%x', at + 3) then
      return 'double_encoding'
    end
    at = find(path, '%', at + 3, true)
  end
  -- Overlong forms: a careless decoder reads %c0%ae as a dot.
  if not is_utf8((gsub(path, '%%(%x%x)', decode_pair))) then
    return 'bad_encoding'
  end
  return nil
end

--- Why a path is refused, or nil for a path that everyone reads alike.
-- @param raw_request_uri  the request target as it came (nginx `$request_uri`); what follows `?` is not looked at
-- @return nil, or `not_origin_form` (absolute URI, `*`, empty), `control`, `not_ascii`, `fragment`, `backslash`,
--   `path_parameter`, `empty_segment`, `dot_segment`, `bad_encoding`, `encoded_slash`, `encoded_dot`, `double_encoding`
function _M.check_path(raw_request_uri)
  if byte(raw_request_uri, 1) ~= 0x2F then
    return 'not_origin_form'
  end
  local query = find(raw_request_uri, '?', 1, true)
  local path = query and sub(raw_request_uri, 1, query - 1) or raw_request_uri
  -- Nearly every path is letters, digits, - and _ between single slashes.
  if not find(path, '[^%w%-_/]') and not find(path, '//', 1, true) then
    return nil
  end
  if find(path, '[%c%z ]') then
    return 'control'
  elseif find(path, '[\128-\255]') then
    return 'not_ascii'
  elseif find(path, '#', 1, true) then
    return 'fragment'
  elseif find(path, '\\', 1, true) then
    return 'backslash'
  elseif find(path, ';', 1, true) then
    return 'path_parameter'
  elseif find(path, '//', 1, true) then
    return 'empty_segment'
  elseif find(path .. '/', '/%.%.?/') then
    return 'dot_segment'
  end
  return check_percent(path)
end

return _M
