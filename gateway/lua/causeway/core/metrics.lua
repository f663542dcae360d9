--- The metric catalogue: name -> unit, kind and dimension sets.
-- Generated from lib/observability/metrics.ts by `npm run generate`: do not edit.
-- A line carries exactly those sets of a metric whose dimensions it has all as properties.
return {
  Requests = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
      { 'Environment', 'Region', 'Consumer' },
    },
  },
  Latency = {
    unit = 'Milliseconds',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  GatewayLatency = {
    unit = 'Milliseconds',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  TimeToFirstByte = {
    unit = 'Milliseconds',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  StreamTimeToFirstByte = {
    unit = 'Milliseconds',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  UpstreamConnectTime = {
    unit = 'Milliseconds',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  Errors4xx = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  Errors5xx = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  UpstreamErrors5xx = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  UpstreamOverloads = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  UpstreamRateLimited = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  InBandErrors = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  UpstreamStreamsBroken = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  BreakerRejections = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  ClientAborts = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  Refusals = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  InternalErrors = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  RateLimited = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
    },
  },
  ScarcityRefusals = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
    },
  },
  InputTokens = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  OutputTokens = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  CacheReadInputTokens = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  CacheWrite5mInputTokens = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  CacheWrite1hInputTokens = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Consumer' },
      { 'Environment', 'Region', 'Model' },
    },
  },
  EstimatedUsage = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  CacheHits = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  CacheMisses = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  CacheStale = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  CacheBypasses = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  CoalescedRequests = {
    unit = 'Count',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  RequestBytes = {
    unit = 'Bytes',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  ResponseBytes = {
    unit = 'Bytes',
    kind = 'request',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  Failovers = {
    unit = 'Count',
    kind = 'attempt',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  ActiveConnections = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ActiveRequests = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ActiveStreams = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ActiveFetches = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  FlightBytes = {
    unit = 'Bytes',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  CacheStores = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'RouteClass' },
    },
  },
  WorkerMemoryBytes = {
    unit = 'Bytes',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  DictFreeBytes = {
    unit = 'Bytes',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region', 'Dict' },
    },
  },
  RegistryConsumers = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  RegistryAgeSeconds = {
    unit = 'Seconds',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  RegistryRefused = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  CredentialsRefused = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  CertificateDaysToExpiry = {
    unit = 'None',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  CertificateRefused = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  UpstreamAddresses = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  UpstreamDnsAgeSeconds = {
    unit = 'Seconds',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  UpstreamDnsFailures = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  BreakerOpenNow = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  BreakerOpened = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  BreakerHalfOpened = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  BreakerClosed = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  UpstreamQuotaLeft = {
    unit = 'None',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region', 'Upstream' },
    },
  },
  FleetNodes = {
    unit = 'Count',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  FleetDegraded = {
    unit = 'None',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  FleetCalls = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ValkeyUp = {
    unit = 'None',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ValkeyCalls = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  ValkeyErrors = {
    unit = 'Count',
    kind = 'counter',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
  Ready = {
    unit = 'None',
    kind = 'gauge',
    dimensions = {
      { 'Environment', 'Region' },
    },
  },
}
