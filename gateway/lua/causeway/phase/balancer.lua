--- Chooses the address of an upstream. An address that failed is left alone for a while, and one more is tried where
-- nothing was sent yet.

local balancer = require('ngx.balancer')
local breaker = require('causeway.io.breaker')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local dns = require('causeway.io.dns')
local settings = require('causeway.settings')

local M = {}

local DOWN_MS = 5000

-- upstream id -> number of the address that is next
local turn = {}
-- upstream id and address -> monotonic ms until which it is left alone
local down = {}

local function choose(id, addresses, now)
  local count = #addresses
  local start = turn[id] or 0
  for offset = 1, count do
    local index = (start + offset - 1) % count + 1
    local untill = down[id .. ' ' .. addresses[index]]
    if not untill or untill <= now then
      turn[id] = index
      return addresses[index]
    end
  end
  -- All are down: the mark may be wrong by now, and no answer is worse than a try.
  local index = start % count + 1
  turn[id] = index
  return addresses[index]
end

--- @tparam string id the upstream's
function M.run(id)
  local addresses = dns.addresses(id)
  if not addresses or #addresses == 0 then
    -- -3 is a clean 502; other codes reach the client as 500 without OpenResty's patches (measured).
    return ngx.exit(-3)
  end
  local request = context.get()
  local now = clock.monotonic_ms()
  if request then
    if request.peer and balancer.get_last_failure() then
      down[id .. ' ' .. request.peer] = now + DOWN_MS
    else
      request.balanced = request.balanced or now
      breaker.sent(request, now)
      if #addresses > 1 then
        balancer.set_more_tries(1)
      end
    end
  end
  local address = choose(id, addresses, now)
  if request then
    request.peer = address
  end
  local host = address:find(':', 1, true) and '[' .. address .. ']' or address
  local ok, peer_error = balancer.set_current_peer(host, settings.upstream_by_id[id].port)
  if not ok then
    ngx.log(ngx.ERR, 'causeway: upstream ', id, ': address ', address, ' refused: ', peer_error)
    return ngx.exit(-3)
  end
end

return M
