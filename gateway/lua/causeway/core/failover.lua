--- How an attempt at an upstream ended, and whether another upstream may be asked.
--
-- What it is for: only what cannot have been done twice is asked for twice. A message that one upstream has received
-- whole may have been answered and billed there, though its answer never came.
-- Shapes: nginx keeps one value a try in its variables, such as `502, 529 : 200`: a comma parts the addresses of one
-- upstream, a colon the upstreams.

local find, match = string.find, string.match

local _M = {}

--- The value of the last try.
-- @param list  text of one of nginx's `$upstream_…` variables, or nil
-- @return text, or nil where there is none
function _M.last(list)
  -- One try is the rule, and needs no pattern.
  if list and find(list, ' ', 1, true) then
    list = match(list, '([^%s,]+)%s*$')
  end
  if list == nil or list == '' or list == '-' then
    return nil
  end
  return list
end

--- How an attempt ended that nginx gave up or that the upstream answered with an error.
-- @param status          `$upstream_status`
-- @param header_time     `$upstream_header_time`: there is one where the upstream has answered
-- @param bytes_sent      `$upstream_bytes_sent`
-- @param content_length  bytes of the request's body
-- @return `{ status, answered, sent }`: `status` is nil where the upstream was never asked; `sent` is `nothing`, `part`
--   or `whole`. Bytes that were handed to the connection count as sent, whether they arrived or not; a head and some
--   of it count as whole where they are more than the body
function _M.outcome(status, header_time, bytes_sent, content_length)
  local bytes = tonumber(_M.last(bytes_sent)) or 0
  local sent = 'whole'
  if bytes == 0 then
    sent = 'nothing'
  elseif bytes <= content_length then
    sent = 'part'
  end
  return { status = tonumber(_M.last(status)), answered = _M.last(header_time) ~= nil, sent = sent }
end

--- Whether a request may be sent to another upstream after this.
-- @param outcome            as above
-- @param class              route class. Only messages (`generate`) are billed
-- @param repeat_after_sent  whether the upstream's config allows a message to be repeated that it received whole
-- @return boolean
function _M.may_repeat(outcome, class, repeat_after_sent)
  return outcome.answered or outcome.sent ~= 'whole' or class ~= 'generate' or repeat_after_sent
end

return _M
