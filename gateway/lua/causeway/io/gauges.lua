--- The state of the node as metric lines on stdout, by timer and so also when no request comes. Each worker leaves its
-- own numbers in the shared dictionary; one of them adds up and speaks for all.

local breaker = require('causeway.io.breaker')
local cache = require('causeway.io.cache')
local certificate = require('causeway.io.certificate')
local consumer_limits = require('causeway.io.consumer_limits')
local context = require('causeway.phase.context')
local dns = require('causeway.io.dns')
local documents = require('causeway.io.documents')
local ffi = require('ffi')
local fleet = require('causeway.io.fleet')
local flights = require('causeway.io.flights')
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
  'causeway_cache',
  'causeway_cache_index',
  'causeway_cache_shares',
  'causeway_flights',
}
local CACHED_CLASSES = { 'generate', 'count', 'models' }

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
  local active, flying = context.active, flights.active
  local value = ('%d %d %d %d'):format(active.requests, active.streams, flying.fetches, flying.bytes)
  -- Workers that are gone take their numbers with them.
  ngx.shared.causeway_state:set(key, value, settings.gauge_seconds * 3)
end

-- What all workers have at the moment: requests, streams, fetches, bytes that flights hold.
local function total_active()
  local totals = { 0, 0, 0, 0 }
  local dictionary = ngx.shared.causeway_state
  for _, key in ipairs(dictionary:get_keys(0)) do
    if key:sub(1, 7) == 'active:' then
      local index = 0
      for number in (dictionary:get(key) or ''):gmatch('%d+') do
        index = index + 1
        totals[index] = totals[index] + tonumber(number)
      end
    end
  end
  return totals
end

-- Answers that were stored, by route class.
local function emit_stores()
  for _, class in ipairs(CACHED_CLASSES) do
    local stored = since('stores:' .. class, ngx.shared.causeway_state:get('cache_stores:' .. class) or 0)
    if stored > 0 then
      emit({ CacheStores = stored }, { RouteClass = class })
    end
  end
end

local function node_metrics()
  local totals = total_active()
  local metrics = {
    ActiveConnections = active_connections(),
    ActiveRequests = totals[1],
    ActiveStreams = totals[2],
    Ready = #health.missing() == 0 and 1 or 0,
  }
  if cache.tiers then
    metrics.ActiveFetches, metrics.FlightBytes = totals[3], totals[4]
  end
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
  emit_stores()
  for _, name in ipairs(DICTIONARIES) do
    if ngx.shared[name] then
      emit({ DictFreeBytes = ngx.shared[name]:free_space() }, { Dict = name })
    end
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
