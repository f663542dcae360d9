--- Whether a client has the current answer already (RFC 9110, 13.1.2).

local _M = {}

--- Whether `If-None-Match` names an entity tag, or any. Tags are compared weakly: `W/` does not matter.
-- @param header  nil, a string, or a list where it came on several lines
-- @param etag    of the answer, quotes included
-- @return boolean
function _M.matches(header, etag)
  if header == nil then
    return false
  end
  local text = type(header) == 'table' and table.concat(header, ',') or header
  if text:match('^%s*(.-)%s*$') == '*' then
    return true
  end
  local wanted = etag:match('"[^"]*"$')
  -- Tags are quoted and may hold commas: the quotes tell them apart.
  for tag in text:gmatch('"[^"]*"') do
    if tag == wanted then
      return true
    end
  end
  return false
end

return _M
