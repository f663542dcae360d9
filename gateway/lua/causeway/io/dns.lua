--- The addresses of the upstreams. The balancer cannot wait for DNS, so each worker refreshes a table of its own by
-- timer; what it finds it also leaves in the shared dictionary, for a worker that has just started. An answer that
-- fails never removes the last good addresses.

local log = require('causeway.io.log')
local resolver = require('nginx.dns.resolver')

local M = {}

-- Bounds of how long an answer is taken for good, in seconds: a TTL of 0 must not become a query a request, one of a
-- day must not keep an address for a day that its owner has given up.
local MIN_TTL, MAX_TTL = 1, 60
local RETRY_SECONDS = 1
-- How often it is looked whether an answer has grown too old.
local LOOK_SECONDS = 1
local QUERY_TIMEOUT_MS = 1000

local nameservers = {}
-- upstream id -> { addresses = { '192.0.2.1', ... }, resolved_at = ngx.now(), failures = n, asking = boolean,
--   due = when to ask again }
local resolved = {}

local DNS_PORT = 53

-- Sockets want an IPv6 address in brackets.
local function parse_nameserver(text)
  local address, port = text:match('^([%d%.]+):(%d+)$')
  if not address then
    address, port = text:match('^(%[[%x:%.]+%]):(%d+)$')
  end
  if address then
    return { address, tonumber(port) }
  end
  return { text:find(':', 1, true) and '[' .. text .. ']' or text, DNS_PORT }
end

local function system_nameservers()
  local found = {}
  local handle = io.open('/etc/resolv.conf', 'r')
  if handle then
    for line in handle:lines() do
      local address = line:match('^%s*nameserver%s+([%x:%.]+)')
      if address then
        found[#found + 1] = address
      end
    end
    handle:close()
  end
  return found
end

--- Prepares the resolver. Called before workers start.
-- @tparam {string,...} configured servers, `address` or `address:port`; none means those of /etc/resolv.conf
function M.init(configured)
  nameservers = {}
  for _, text in ipairs(#configured > 0 and configured or system_nameservers()) do
    nameservers[#nameservers + 1] = parse_nameserver(text)
  end
end

local function resolver_with(servers)
  return resolver:new({
    nameservers = servers,
    retrans = 2,
    timeout = QUERY_TIMEOUT_MS,
    no_random = #servers == 1,
  })
end

-- One server to which there is no route, such as one of IPv6 where there is none, makes the library refuse them all.
local function new_resolver()
  if #nameservers == 0 then
    return nil, 'no DNS server is known'
  end
  local client, client_error = resolver_with(nameservers)
  if client then
    return client
  end
  local reachable = {}
  for _, server in ipairs(nameservers) do
    if resolver_with({ server }) then
      reachable[#reachable + 1] = server
    end
  end
  if #reachable == 0 then
    return nil, client_error
  end
  return resolver_with(reachable)
end

local function query(host)
  local client, client_error = new_resolver()
  if not client then
    return nil, client_error
  end
  local last_error
  for _, record_type in ipairs({ client.TYPE_A, client.TYPE_AAAA }) do
    local answers, query_error = client:query(host, { qtype = record_type })
    if not answers then
      last_error = query_error
    elseif answers.errcode then
      last_error = answers.errstr
    else
      local addresses, ttl = {}, MAX_TTL
      for _, answer in ipairs(answers) do
        ttl = math.min(ttl, answer.ttl or MAX_TTL)
        if answer.type == record_type and answer.address then
          addresses[#addresses + 1] = answer.address
        end
      end
      if #addresses > 0 then
        table.sort(addresses)
        return addresses, math.max(ttl, MIN_TTL)
      end
      last_error = 'no address in the answer'
    end
  end
  return nil, last_error
end

local function shared_key(id)
  return 'dns:' .. id
end

local function load_shared(id)
  local joined = ngx.shared.causeway_state:get(shared_key(id))
  if not joined then
    return nil
  end
  local addresses = {}
  for address in joined:gmatch('%S+') do
    addresses[#addresses + 1] = address
  end
  return addresses
end

--- The addresses of an upstream, last good ones included.
-- @treturn {string,...}|nil nil before the first answer
function M.addresses(id)
  local entry = resolved[id]
  if entry and entry.addresses then
    return entry.addresses
  end
  local addresses = load_shared(id)
  if addresses and entry then
    entry.addresses = addresses
  end
  return addresses
end

--- How an upstream's resolution stands: seconds since the last good answer (none for fixed addresses), failures so far.
function M.status(id)
  local entry = resolved[id]
  if not entry then
    return nil, 0
  end
  return entry.resolved_at and (ngx.now() - entry.resolved_at) or nil, entry.failures
end

local function refresh(premature, upstream)
  if premature then
    return
  end
  local entry = resolved[upstream.id]
  if entry.asking or ngx.now() < entry.due then
    return
  end
  entry.asking = true
  -- The library raises on an answer that breaks off; the next look must come all the same.
  local whole, addresses, ttl_or_error = pcall(query, upstream.host)
  if not whole then
    addresses, ttl_or_error = nil, 'the answer cannot be read'
  end
  local delay = RETRY_SECONDS
  if addresses then
    delay = ttl_or_error
    entry.addresses, entry.resolved_at, entry.failing = addresses, ngx.now(), false
    ngx.shared.causeway_state:set(shared_key(upstream.id), table.concat(addresses, ' '))
  else
    entry.failures = entry.failures + 1
    if not entry.failing then
      entry.failing = true
      log.once(
        'warn',
        'DNS of ' .. upstream.host .. ' fails: ' .. tostring(ttl_or_error)
          .. (entry.addresses and '; the last good addresses serve on' or '')
      )
    end
  end
  entry.asking, entry.due = false, ngx.now() + delay
end

--- Starts the timers of this worker.
-- @tparam {table,...} upstreams as in the settings
function M.start(upstreams)
  for _, upstream in ipairs(upstreams) do
    if upstream.addresses then
      resolved[upstream.id] = { addresses = upstream.addresses, failures = 0 }
    else
      resolved[upstream.id] = { addresses = load_shared(upstream.id), failures = 0, failing = false, due = 0 }
      assert(ngx.timer.at(0, refresh, upstream))
      -- Not a timer that sets the next: nginx drops one for which it has no connection left, and the next with it.
      assert(ngx.timer.every(LOOK_SECONDS, refresh, upstream))
    end
  end
end

return M
