--- The state of the node as metric lines on stdout, by timer and so also when no request comes. Each worker leaves its
-- own numbers in the shared dictionary; one of them adds up and speaks for all.

local breaker = require('causeway.io.breaker')
local certificate = require('causeway.io.certificate')
local consumer_limits = require('causeway.io.consumer_limits')
local context = require('causeway.phase.context')
local dns = require('causeway.io.dns')
local documents = require('causeway.io.documents')
local ffi = require('ffi')
local fleet = require('causeway.io.fleet')
local health = require('causeway.phase.health')
local lines = require('causeway.io.lines')
local log = require('causeway.io.log')
local settings = require('causeway.settings')
local valkey = require('causeway.io.valkey')

-- nginx's own counter of open client connections, in memory that all workers share (ngx_http_stub_status_module).
ffi.cdef('extern unsigned long *ngx_stat_active; long sysconf(int name);')

local M = {}

local SC_PAGESIZE = 30
local DICTIONARIES = {
  'causeway_state',
  'causeway_documents',
  'causeway_limits',
  'causeway_inflight',
  'causeway_fleet',
  'causeway_fairness',
  'causeway_proven',
  'causeway_breaker',
}

-- Counters as they stood at the last line: lines carry what was added since.
local told = {}

local function since(name, total)
  local added = total - (told[name] or 0)
  told[name] = total
  return added
end

local function resident_bytes()
  local handle = io.open('/proc/self/statm', 'r')
  if not handle then
    return nil
  end
  local pages = handle:read('*l'):match('^%d+ (%d+)')
  handle:close()
  return tonumber(pages) * tonumber(ffi.C.sysconf(SC_PAGESIZE))
end

local function active_connections()
  local ok, counter = pcall(function()
    return ffi.C.ngx_stat_active
  end)
  return ok and tonumber(counter[0]) or nil
end

local function emit(metrics, properties)
  properties.Environment, properties.Region = settings.environment, settings.region
  lines.now(metrics, properties)
end

local function publish()
  local key = 'active:' .. ngx.worker.pid()
  local value = context.active.requests .. ' ' .. context.active.streams
  -- Workers that are gone take their numbers with them.
  ngx.shared.causeway_state:set(key, value, settings.gauge_seconds * 3)
end

local function total_active()
  local requests, streams = 0, 0
  local dictionary = ngx.shared.causeway_state
  for _, key in ipairs(dictionary:get_keys(0)) do
    if key:sub(1, 7) == 'active:' then
      local own_requests, own_streams = (dictionary:get(key) or ''):match('^(%d+) (%d+)$')
      requests = requests + (tonumber(own_requests) or 0)
      streams = streams + (tonumber(own_streams) or 0)
    end
  end
  return requests, streams
end

local function node_metrics()
  local requests, streams = total_active()
  local metrics = {
    ActiveConnections = active_connections(),
    ActiveRequests = requests,
    ActiveStreams = streams,
    Ready = #health.missing() == 0 and 1 or 0,
  }
  local registry, credentials = documents.registry, documents.credentials
  metrics.RegistryAgeSeconds = registry:age_seconds()
  metrics.RegistryRefused = since('registry', registry.refused)
  -- In passthrough the registry is there for its purges: who is in it means nothing.
  if credentials then
    metrics.RegistryConsumers = registry.value and registry.value:count() or 0
    metrics.CredentialsRefused = since('credentials', credentials.refused)
  end
  if valkey.enabled() then
    local up, calls, errors = valkey.status()
    local nodes, alone, fleet_calls = fleet.status()
    metrics.FleetNodes, metrics.FleetDegraded, metrics.FleetCalls = nodes, alone and 1 or 0, fleet_calls
    metrics.ValkeyUp, metrics.ValkeyCalls, metrics.ValkeyErrors = up and 1 or 0, calls, errors
  end
  local days, refused = certificate.status()
  if days then
    metrics.CertificateDaysToExpiry = math.floor(days * 100) / 100
    metrics.CertificateRefused = since('certificate', refused)
  end
  return metrics
end

local function on_timer(premature)
  if premature then
    return
  end
  publish()
  emit({ WorkerMemoryBytes = resident_bytes() }, { worker = ngx.worker.id() })
  if not log.is_speaker() then
    return
  end
  emit(node_metrics(), {})
  for _, name in ipairs(DICTIONARIES) do
    emit({ DictFreeBytes = ngx.shared[name]:free_space() }, { Dict = name })
  end
  for _, upstream in ipairs(settings.upstreams) do
    local age, failures = dns.status(upstream.id)
    local addresses = dns.addresses(upstream.id)
    local metrics = breaker.metrics(upstream.id)
    metrics.UpstreamAddresses = addresses and #addresses or 0
    metrics.UpstreamDnsAgeSeconds = age
    metrics.UpstreamDnsFailures = since('dns:' .. upstream.id, failures)
    metrics.UpstreamQuotaLeft = consumer_limits.quota_left(upstream.id)
    emit(metrics, { Upstream = upstream.id })
  end
end

--- Starts the lines of this worker.
function M.start()
  publish()
  assert(ngx.timer.every(settings.gauge_seconds, on_timer))
end

return M
