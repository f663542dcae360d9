--- Connections to Valkey: the pool, TLS and sign-in, and one round trip within a time limit.

local clock = require('causeway.io.clock')
local dns = require('causeway.io.dns')
local resp = require('causeway.core.resp')
local sha256 = require('causeway.io.sha256')

local M = {}

-- No upstream's id can hold the first character.
local DNS_ID = '@valkey'
local DEFAULT_PORT = 6379
-- Idle connections that a worker keeps, and for how long.
local POOL_SIZE, IDLE_MS = 64, 60000
-- Who has waited for long enough is told so when the server looks next: up to 100 ms later (its setting `hz`, 10), and
-- half a second later where it is set to look twice a second.
local BLOCKED_EXTRA_MS = 500

local target
-- Which of several addresses this worker uses.
local turn = 0

-- Addresses are given as they stand; asking a DNS server for `localhost` is asking in vain.
local function fixed_address(host)
  if host == 'localhost' then
    return '127.0.0.1'
  end
  if host:find('^%d+%.%d+%.%d+%.%d+$') or host:find(':', 1, true) then
    return host
  end
end

-- With `requirepass` alone there is no user but `default`, and a name may be left out.
local function sign_in(user, password)
  if not password or password == '' then
    return nil
  end
  return (user and user ~= '') and { 'AUTH', user, password } or { 'AUTH', password }
end

--- Takes over where Valkey is and who signs in there.
-- @tparam table address
-- @tparam string address.host a name or an address
-- @tparam[opt] string address.port
-- @tparam[opt] string address.user
-- @tparam[opt] string address.password
-- @tparam table options `timeout_ms`, of a round trip with all that it needs; `tls`
function M.init(address, options)
  local host, port = address.host, tonumber(address.port) or DEFAULT_PORT
  target = {
    host = host,
    port = port,
    address = fixed_address(host),
    auth = sign_in(address.user, address.password),
    timeout_ms = options.timeout_ms,
    tls = options.tls,
    -- Connections of another host or sign-in must not be taken for this one's.
    pool = 'valkey ' .. sha256.hex(table.concat({ host, port, address.user or '', address.password or '' }, ' ')),
  }
end

--- Starts following the address of this worker's connections.
function M.start()
  dns.start({ { id = DNS_ID, host = target.host, addresses = target.address and { target.address } } })
end

local function choose_address()
  local addresses = dns.addresses(DNS_ID)
  local count = addresses and #addresses or 0
  return count > 0 and addresses[turn % count + 1] or nil
end

--- Whether an address is known: a node that has just started waits for DNS.
function M.has_address()
  return choose_address() ~= nil
end

--- Takes the next address for new connections, where there are several.
function M.turn()
  turn = turn + 1
end

-- The time left of a call is what each of its steps may take.
local function limit(socket, deadline)
  local left = deadline - clock.monotonic_ms()
  if left < 1 then
    return nil, 'timeout'
  end
  socket:settimeout(left)
  return true
end

-- Sends commands and reads their replies.
-- @treturn table|nil a list of replies as resp.read gives them
local function exchange(socket, parts, count, deadline)
  local in_time, late = limit(socket, deadline)
  if not in_time then
    return nil, late
  end
  local sent, send_error = socket:send(parts)
  if not sent then
    return nil, send_error
  end
  local function receive(size)
    return socket:receive(size or '*l')
  end
  local replies = {}
  for i = 1, count do
    local read_in_time, read_late = limit(socket, deadline)
    if not read_in_time then
      return nil, read_late
    end
    local reply, read_error = resp.read(receive)
    if reply == nil then
      return nil, read_error
    end
    replies[i] = reply
  end
  return replies
end

-- What a new connection begins with: TLS, and the sign-in.
local function handshake(socket, deadline)
  if target.tls then
    local in_time, late = limit(socket, deadline)
    if not in_time then
      return nil, late
    end
    local secured, tls_error = socket:sslhandshake(false, target.host, true)
    -- A certificate that is refused closes the connection, but the module says that all is well where the handshake
    -- was over at once (ngx_http_lua_ffi_socket_tcp_sslhandshake). Asked for a session to keep, it would even raise.
    if not secured or not socket:getreusedtimes() then
      return nil, 'TLS: ' .. (tls_error or 'the certificate is refused')
    end
  end
  if target.auth then
    local parts = {}
    resp.append(parts, target.auth)
    local replies, auth_error = exchange(socket, parts, 1, deadline)
    if not replies then
      return nil, auth_error
    end
    local reply = replies[1]
    if type(reply) == 'table' and reply.err then
      -- Its first word only: what a server says of a sign-in is not ours to log.
      return nil, 'sign-in refused (' .. (reply.err:match('^%u+') or 'error') .. ')'
    end
  end
  return true
end

-- @treturn table|nil socket
-- @treturn boolean|string whether it has been used before, or why there is none
local function open(generation, deadline)
  local address = choose_address()
  if not address then
    return nil, 'no address'
  end
  local socket, socket_error = ngx.socket.tcp()
  if not socket then
    return nil, socket_error
  end
  socket:settimeout(math.max(deadline - clock.monotonic_ms(), 1))
  local connected, connect_error = socket:connect(
    address:find(':', 1, true) and '[' .. address .. ']' or address,
    target.port,
    { pool = target.pool .. ' ' .. address .. ' ' .. generation, pool_size = POOL_SIZE }
  )
  if not connected then
    return nil, connect_error
  end
  local reused = (socket:getreusedtimes() or 0) > 0
  if not reused then
    local ok, handshake_error = handshake(socket, deadline)
    if not ok then
      socket:close()
      return nil, handshake_error
    end
  end
  return socket, reused
end

-- What the errors among replies say: whether there is any of a command's own, and whether the server cannot be used.
local function judge(replies)
  local any, why
  for _, reply in ipairs(replies) do
    local message = type(reply) == 'table' and reply.err
    if message then
      why = why or resp.unusable(message)
      any = any or message:sub(1, 8) ~= 'NOSCRIPT'
    end
  end
  return any, why
end

-- What a connection of the pool may end in when the server has closed it meanwhile: it says nothing about the server.
local STALE = { ['closed'] = true, ['connection reset by peer'] = true, ['broken pipe'] = true }

--- One round trip, on a connection of the pool or a new one.
-- @tparam number|string generation connections of another are not used
-- @tparam {string,...} parts as resp.append makes them
-- @tparam number count of commands in them
-- @tparam[opt=0] number blocked_ms how long commands that wait for something may do so
-- @treturn table|nil as many replies, as resp.read gives them; nil where Valkey cannot be used
-- @treturn boolean|string whether an error is among the replies, or why it cannot be used
function M.round_trip(generation, parts, count, blocked_ms)
  local deadline = clock.monotonic_ms() + target.timeout_ms
  if blocked_ms then
    deadline = deadline + blocked_ms + BLOCKED_EXTRA_MS
  end
  while true do
    local socket, reused = open(generation, deadline)
    if not socket then
      return nil, reused
    end
    local replies, failure = exchange(socket, parts, count, deadline)
    if replies then
      local any, why = judge(replies)
      if not why then
        socket:setkeepalive(IDLE_MS, POOL_SIZE)
        return replies, any
      end
      failure = why
    end
    socket:close()
    if not (reused and STALE[failure]) then
      return nil, failure
    end
  end
end

--- Whether a round trip failed for a connection that was closed, which says nothing about the server where it had been
-- open for long.
function M.was_closed(failure)
  return STALE[failure] == true
end

return M
