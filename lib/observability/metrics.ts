/** Units that CloudWatch knows and the data plane uses. */
export type Unit = 'Count' | 'Milliseconds' | 'Seconds' | 'Bytes' | 'None';

/**
 * Names of dimensions. Each stands on the line as a property of the same name, with a bounded set of values: the access
 * record's own properties (`consumer`, `model`, …) say exactly what was asked for, dimensions only what may be counted
 * apart.
 */
export const DIMENSIONS = ['Environment', 'Region', 'RouteClass', 'Consumer', 'Upstream', 'Model', 'Dict'] as const;

/** One dimension by name. */
export type Dimension = (typeof DIMENSIONS)[number];

/**
 * How a metric comes about. `request`: on the line of each request that it applies to. `attempt`: on the line of an
 * attempt at an upstream that another one followed, together with what of a request's metrics tells of it. `gauge`: a
 * level, on the lines that a timer writes. `counter`: how often something happened since the timer's last lines.
 */
export type MetricKind = 'request' | 'attempt' | 'gauge' | 'counter';

/** One metric of the catalogue. */
export interface Metric {
  readonly name: string;
  readonly unit: Unit;
  readonly kind: MetricKind;
  /**
   * The sets that it is aggregated by. A line carries exactly those sets whose dimensions it has all as properties, so
   * that a request whose consumer is not known makes no series of its own.
   */
  readonly dimensions: readonly (readonly Dimension[])[];
  /** What it measures, for dashboards and people. */
  readonly meaning: string;
}

// CloudWatch bills each distinct combination of values as a metric of its own, for each metric that has the set. So no
// set holds two open-ended dimensions, and Consumer, the one that grows with the company, stands only where someone is
// billed or limited by it. Models are bounded by breaker.maxModels, upstreams and route classes by the config.
const ALL = ['Environment', 'Region'] as const;
const BY_ROUTE_CLASS = [...ALL, 'RouteClass'] as const;
const BY_CONSUMER = [...ALL, 'Consumer'] as const;
const BY_UPSTREAM = [...ALL, 'Upstream'] as const;
const BY_MODEL = [...ALL, 'Model'] as const;
const BY_DICT = [...ALL, 'Dict'] as const;

/** What each request is measured by. A metric that does not apply to a request is left out of its line. */
const REQUEST_METRICS = [
  {
    name: 'Requests',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS, BY_CONSUMER],
    meaning: 'Requests that were answered or aborted; 1 on every request line.',
  },
  {
    name: 'Latency',
    unit: 'Milliseconds',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'What the client saw: from the first byte of the request to the last byte of the answer.',
  },
  {
    name: 'GatewayLatency',
    unit: 'Milliseconds',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Time spent in Causeway itself, without the client and without the upstream.',
  },
  {
    name: 'TimeToFirstByte',
    unit: 'Milliseconds',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS, BY_UPSTREAM],
    meaning: "From sending the request to the upstream to its answer's first byte, streams and others together.",
  },
  {
    // A non-streaming answer may rightly take ten minutes to its first byte, so that the objective for streams
    // (slo.streamFirstByteP99Ms) cannot be read from TimeToFirstByte.
    name: 'StreamTimeToFirstByte',
    unit: 'Milliseconds',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM, BY_MODEL],
    meaning: 'TimeToFirstByte of answers that are event streams, alone.',
  },
  {
    name: 'UpstreamConnectTime',
    unit: 'Milliseconds',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'TCP and TLS handshake with the upstream; 0 on a connection that was kept alive.',
  },
  {
    name: 'Errors4xx',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Answers with status 4xx that a client was given, own ones and the upstream’s.',
  },
  {
    name: 'Errors5xx',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Answers with status 5xx (529 included) that a client was given, own ones and the upstream’s.',
  },
  {
    name: 'UpstreamErrors5xx',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Answers with status 5xx (529 included) by the upstream, and connections to it that failed.',
  },
  {
    name: 'UpstreamOverloads',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM, BY_MODEL],
    meaning: 'The upstream was overloaded: status 529, or an overloaded_error inside a stream of status 200.',
  },
  {
    name: 'UpstreamRateLimited',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM, BY_MODEL],
    meaning: 'Status 429 by the upstream: the organisation’s quota is used up.',
  },
  {
    name: 'InBandErrors',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Streams of status 200 that held an error event.',
  },
  {
    name: 'UpstreamStreamsBroken',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Streams of status 200 that the upstream broke off: they ended before their end, without an error event.',
  },
  {
    name: 'BreakerRejections',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Own 503 because the breakers of all upstreams that could have been asked were open.',
  },
  {
    name: 'ClientAborts',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests whose client left before the answer’s end.',
  },
  {
    name: 'Refusals',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests that Causeway itself refused, whatever the reason; the record’s `refusal` says which.',
  },
  {
    name: 'InternalErrors',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL],
    meaning: 'Requests that Causeway answered with 500 for a fault of its own: never one in good health.',
  },
  {
    name: 'RateLimited',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER],
    meaning: 'Own 429: the limits of a consumer or an address.',
  },
  {
    name: 'ScarcityRefusals',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER],
    meaning: 'Own 429 while the upstream’s quota ran low, to consumers that had had their share.',
  },
  {
    name: 'InputTokens',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER, BY_MODEL],
    meaning: 'Input tokens that were neither read from nor written to the prompt cache.',
  },
  {
    name: 'OutputTokens',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER, BY_MODEL],
    meaning: 'Output tokens.',
  },
  {
    name: 'CacheReadInputTokens',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER, BY_MODEL],
    meaning: 'Input tokens that were read from the prompt cache.',
  },
  {
    name: 'CacheWrite5mInputTokens',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER, BY_MODEL],
    meaning: 'Input tokens that were written to the prompt cache for 5 minutes.',
  },
  {
    name: 'CacheWrite1hInputTokens',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_CONSUMER, BY_MODEL],
    meaning: 'Input tokens that were written to the prompt cache for 1 hour.',
  },
  {
    name: 'EstimatedUsage',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL],
    meaning: 'Requests whose tokens are an estimate, because the stream ended before its final usage.',
  },
  {
    name: 'CacheHits',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests that were answered by a stored copy, without asking the upstream.',
  },
  {
    name: 'CacheMisses',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests that could have had a copy, and were answered by the upstream as there was none that served.',
  },
  {
    name: 'CacheStale',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests that were answered by an older copy because the upstream failed.',
  },
  {
    name: 'CacheBypasses',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning:
      'Requests that went past the cache, though they asked for it or their class is cached; `cacheBypass` says why.',
  },
  {
    name: 'CoalescedRequests',
    unit: 'Count',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Requests that shared the upstream’s answer to an identical one that was under way.',
  },
  {
    name: 'RequestBytes',
    unit: 'Bytes',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Size of the request as it was received, headers included.',
  },
  {
    name: 'ResponseBytes',
    unit: 'Bytes',
    kind: 'request',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Size of the answer as it was sent, headers included.',
  },
] as const satisfies readonly Metric[];

/** What is said of an attempt at an upstream that another one followed. */
const ATTEMPT_METRICS = [
  {
    name: 'Failovers',
    unit: 'Count',
    kind: 'attempt',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Requests that were sent to the next upstream because this one failed.',
  },
] as const satisfies readonly Metric[];

/** What a node says about itself every observability.gaugeSeconds, idle or not. One sample a node, or a worker. */
const NODE_METRICS = [
  {
    name: 'ActiveConnections',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Open client connections of a node, idle ones included.',
  },
  {
    name: 'ActiveRequests',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Requests in flight on a node.',
  },
  {
    name: 'ActiveStreams',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Event streams that are open on a node.',
  },
  {
    name: 'ActiveFetches',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Answers that a node is fetching for whoever waits for them.',
  },
  {
    name: 'FlightBytes',
    unit: 'Bytes',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'What a node holds of answers that are being fetched, or read by clients that are slower.',
  },
  {
    name: 'CacheStores',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL, BY_ROUTE_CLASS],
    meaning: 'Answers that were stored.',
  },
  {
    name: 'WorkerMemoryBytes',
    unit: 'Bytes',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Resident memory of one nginx worker; each worker gives its own sample.',
  },
  {
    name: 'DictFreeBytes',
    unit: 'Bytes',
    kind: 'gauge',
    // Dicts differ in size: a minimum over all of them would say nothing.
    dimensions: [BY_DICT],
    meaning: 'Free memory of one of the dictionaries that the workers share.',
  },
  {
    name: 'RegistryConsumers',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Consumers in the registry that a node serves by.',
  },
  {
    name: 'RegistryAgeSeconds',
    unit: 'Seconds',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Time since a node last read the consumer registry and found it good, changed or not.',
  },
  {
    name: 'RegistryRefused',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning:
      'Consumer registries that were refused because they were broken or unreadable; the last good one serves on.',
  },
  {
    name: 'CredentialsRefused',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning: 'Upstream credential documents that were refused; the last good one serves on.',
  },
  {
    name: 'CertificateDaysToExpiry',
    unit: 'None',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Days until the served certificate chain expires at its soonest; negative once it has.',
  },
  {
    name: 'CertificateRefused',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning: 'Certificates or keys on disk that were refused; the last good pair serves on.',
  },
  {
    name: 'UpstreamAddresses',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Addresses that a node knows for an upstream.',
  },
  {
    name: 'UpstreamDnsAgeSeconds',
    unit: 'Seconds',
    kind: 'gauge',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Time since DNS last answered for an upstream.',
  },
  {
    name: 'UpstreamDnsFailures',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'DNS queries for an upstream that failed; the last good addresses serve on.',
  },
  {
    name: 'BreakerOpenNow',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'Breakers of a node that are open or half-open; each is for one route class and model.',
  },
  {
    name: 'BreakerOpened',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'How often a breaker opened, again after a failed probe included.',
  },
  {
    name: 'BreakerHalfOpened',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'How often a breaker let its first probe through.',
  },
  {
    name: 'BreakerClosed',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL, BY_UPSTREAM],
    meaning: 'How often a breaker closed, by probes that succeeded or because nobody asked any more.',
  },
  {
    name: 'UpstreamQuotaLeft',
    unit: 'None',
    kind: 'gauge',
    dimensions: [BY_UPSTREAM],
    meaning:
      'Smallest part (0 to 1) of a rate limit that answers of an upstream said was left; none where they say nothing.',
  },
  {
    name: 'FleetNodes',
    unit: 'Count',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: 'Nodes that share limits through Valkey, as a node last knew; none where it has no Valkey.',
  },
  {
    name: 'FleetDegraded',
    unit: 'None',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: '1 where a node keeps its part of the limits by itself, because Valkey is away; else 0.',
  },
  {
    name: 'FleetCalls',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning: 'Round trips to Valkey for limits; those of the cache are not among them.',
  },
  {
    name: 'ValkeyUp',
    unit: 'None',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: '1 where a node uses Valkey, 0 while it leaves it alone because it failed; none where it has no Valkey.',
  },
  {
    name: 'ValkeyCalls',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning: 'Round trips that were begun to Valkey, but for those that only look whether it is there.',
  },
  {
    name: 'ValkeyErrors',
    unit: 'Count',
    kind: 'counter',
    dimensions: [ALL],
    meaning: 'Round trips to Valkey that failed or brought an error; no request fails because of one.',
  },
  {
    name: 'Ready',
    unit: 'None',
    kind: 'gauge',
    dimensions: [ALL],
    meaning: '1 where /readyz of a node is green, else 0.',
  },
] as const satisfies readonly Metric[];

/** Every metric that the data plane emits. The Lua writer's table is generated from it (`npm run generate`). */
export const METRICS = [...REQUEST_METRICS, ...ATTEMPT_METRICS, ...NODE_METRICS] as const;

/** The name of a metric of the catalogue. */
export type MetricName = (typeof METRICS)[number]['name'];
