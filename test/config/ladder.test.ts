import { type EnvironmentInput } from '../../lib/config';
import { timeoutsNest } from '../../lib/config/ladder';
import { environment, problemsOf } from './environment';

const MIB = 1024 * 1024;
const edge = { enabled: true };
const shares = (parts: Record<string, number>): EnvironmentInput => ({
  regions: [{ region: 'eu-central-1' }, { region: 'us-east-1' }],
  consumers: { reservations: [{ consumer: 'a', requestsPerSecond: 1, shares: parts }] },
});
const promises = (rates: readonly number[], requestsPerMinute: number): EnvironmentInput => ({
  consumers: {
    reservations: rates.map((requestsPerSecond, index) => ({ consumer: `c${index}`, requestsPerSecond })),
  },
  quota: { requestsPerMinute },
});

test.each<[string, EnvironmentInput]>([
  [
    'the load balancer outlasts the client, which outlasts the read',
    {
      timeouts: {
        upstream: { readSeconds: { generate: 900 } },
        client: { sendSeconds: 901 },
        loadBalancerIdleSeconds: 902,
      },
    },
  ],
  [
    'keep-alive of a second more than the load balancer’s idle timeout',
    {
      timeouts: { loadBalancerIdleSeconds: 1000, client: { keepaliveSeconds: 1001 } },
    },
  ],
  ['a drain of the longest stream', { timeouts: { maxStreamSeconds: 600, drainSeconds: 600 } }],
  [
    'a first byte at the read timeout',
    { timeouts: { upstream: { readSeconds: { generate: 90 } } }, breaker: { streamFirstByteSeconds: 90 } },
  ],
  ['models read in less than the edge waits', { edge, timeouts: { upstream: { readSeconds: { models: 59 } } } }],
  [
    'models read in more than an edge that is not there waits',
    { timeouts: { upstream: { readSeconds: { models: 200 } } } },
  ],
  [
    'bodies at the API’s own limits',
    { bodies: { generate: 32 * MIB, count: 32 * MIB, batches: 256 * MIB, files: 500 * MIB } },
  ],
  ['small bodies where the API states no limit', { bodies: { models: 1024, other: 1024 } }],
  [
    'equal TTLs',
    {
      edge,
      cache: { ttl: { clientSeconds: 60, edgeSeconds: 60, proxySeconds: 60, sharedSeconds: 60, outageSeconds: 60 } },
    },
  ],
  ['an edge TTL out of order where there is no edge', { cache: { ttl: { edgeSeconds: 3600 } } }],
  ['the largest answer that a share holds', { cache: { nodeBytes: 8 * MIB, maxItemBytes: 1_926_313 } }],
  ['answers of any size where none is stored', { cache: { enabled: false, nodeBytes: MIB } }],
  ['edge and polling that add up to the revocation', { edge, auth: { revocationSeconds: 62 } }],
  ['shares that add up, though binary fractions do not', shares({ 'eu-central-1': 0.1 + 0.2, 'us-east-1': 0.7 })],
  [
    'shares of regions that a laptop does not have',
    {
      consumers: { reservations: [{ consumer: 'a', requestsPerSecond: 1, shares: { 'eu-central-1': 1 } }] },
    },
  ],
  ['promises at the quota, though binary fractions are not', promises([0.1, 0.2], 18)],
  ['promises without a quota', { consumers: { reservations: [{ consumer: 'a', requestsPerSecond: 100_000 }] } }],
  [
    'upstreams that share out the route classes',
    {
      upstreams: [
        { id: 'a', host: 'a.example', routeClasses: ['generate', 'count', 'models'] },
        { id: 'b', host: 'b.example', routeClasses: ['batches', 'files', 'other'] },
      ],
    },
  ],
])('allowed: %s', (_, input) => {
  expect(problemsOf(() => environment(input))).toEqual([]);
});

test.each<[string, EnvironmentInput, string[]]>([
  [
    'a read that is as long as the client’s send',
    {
      timeouts: {
        upstream: { readSeconds: { files: 915 } },
        client: { sendSeconds: 915 },
        loadBalancerIdleSeconds: 930,
      },
    },
    ['timeouts.upstream.readSeconds.files: is 915; must be less than timeouts.client.sendSeconds (915)'],
  ],
  [
    'a read that is as long as the load balancer’s idle timeout',
    {
      timeouts: {
        upstream: { readSeconds: { count: 930 } },
        client: { sendSeconds: 931 },
        loadBalancerIdleSeconds: 930,
      },
    },
    [
      'timeouts.upstream.readSeconds.count: is 930; must be less than timeouts.loadBalancerIdleSeconds (930)',
      'timeouts.client.sendSeconds: is 931; must be less than timeouts.loadBalancerIdleSeconds (930)',
    ],
  ],
  [
    'reads of two upstreams, one after the other, that together are as long as the load balancer’s idle timeout',
    {
      upstreams: [
        { id: 'a', host: 'a.example', repeatAfterSent: true },
        { id: 'b', host: 'b.example' },
      ],
      timeouts: { upstream: { readSeconds: { generate: 450, count: 40 } }, loadBalancerIdleSeconds: 900 },
    },
    [
      'timeouts.upstream.readSeconds.generate: is 450; 2 of these, for as many upstreams one after the other, must be less than timeouts.loadBalancerIdleSeconds (900)',
    ],
  ],
  [
    'lists of models of two upstreams for which the edge does not wait',
    {
      edge,
      upstreams: [
        { id: 'a', host: 'a.example' },
        { id: 'b', host: 'b.example' },
      ],
      timeouts: { upstream: { readSeconds: { models: 30 } } },
    },
    [
      'timeouts.upstream.readSeconds.models: is 30; 2 of these, for as many upstreams one after the other, must be less than timeouts.edgeReadSeconds (60)',
    ],
  ],
  [
    'a send that is as long as the load balancer’s idle timeout',
    { timeouts: { client: { sendSeconds: 930 }, loadBalancerIdleSeconds: 930 } },
    ['timeouts.client.sendSeconds: is 930; must be less than timeouts.loadBalancerIdleSeconds (930)'],
  ],
  [
    'keep-alive that ends with the load balancer’s',
    { timeouts: { loadBalancerIdleSeconds: 930, client: { keepaliveSeconds: 930 } } },
    [
      'timeouts.client.keepaliveSeconds: is 930; must be more than timeouts.loadBalancerIdleSeconds (930), or the load balancer reuses connections that nginx is closing',
    ],
  ],
  [
    'a drain shorter than the longest stream',
    { timeouts: { maxStreamSeconds: 600, drainSeconds: 599 } },
    ['timeouts.drainSeconds: is 599; must be at least timeouts.maxStreamSeconds (600), or deploys cut streams'],
  ],
  [
    'a first byte that may come after the read timeout',
    { timeouts: { upstream: { readSeconds: { generate: 90 } } }, breaker: { streamFirstByteSeconds: 91 } },
    ['breaker.streamFirstByteSeconds: is 91; must be at most timeouts.upstream.readSeconds.generate (90)'],
  ],
  [
    'models that may be silent for longer than the edge waits',
    { edge, timeouts: { upstream: { readSeconds: { models: 60 } } } },
    ['timeouts.upstream.readSeconds.models: is 60; must be less than timeouts.edgeReadSeconds (60)'],
  ],
  [
    'bodies under the API’s own limits',
    { bodies: { generate: 32 * MIB - 1, count: 1024, batches: 256 * MIB - 1, files: 500 * MIB - 1 } },
    [
      "bodies.generate: is 33554431; must be at least the API's own limit of 33554432 bytes",
      "bodies.count: is 1024; must be at least the API's own limit of 33554432 bytes",
      "bodies.batches: is 268435455; must be at least the API's own limit of 268435456 bytes",
      "bodies.files: is 524287999; must be at least the API's own limit of 524288000 bytes",
    ],
  ],
  [
    'a client TTL beyond the edge’s',
    { edge, cache: { ttl: { clientSeconds: 61 } } },
    ['cache.ttl.clientSeconds: is 61; must be at most cache.ttl.edgeSeconds (60)'],
  ],
  [
    'a client TTL beyond the proxy’s, without an edge',
    { cache: { ttl: { clientSeconds: 61 } } },
    ['cache.ttl.clientSeconds: is 61; must be at most cache.ttl.proxySeconds (60)'],
  ],
  [
    'an edge TTL beyond the proxy’s',
    { edge, cache: { ttl: { edgeSeconds: 61 } } },
    ['cache.ttl.edgeSeconds: is 61; must be at most cache.ttl.proxySeconds (60)'],
  ],
  [
    'a proxy TTL beyond the shared one',
    { cache: { ttl: { proxySeconds: 301 } } },
    ['cache.ttl.proxySeconds: is 301; must be at most cache.ttl.sharedSeconds (300)'],
  ],
  [
    'a shared TTL beyond what an outage may serve',
    { cache: { ttl: { outageSeconds: 299 } } },
    ['cache.ttl.sharedSeconds: is 300; must be at most cache.ttl.outageSeconds (299)'],
  ],
  [
    'answers larger than a share',
    { cache: { nodeBytes: 8 * MIB, maxItemBytes: 1_926_314 } },
    [
      'cache.maxItemBytes: is 1926314; must be at most 1926313, what fits into the share of a consumer: cache.nodeBytes (8388608) times cache.maxConsumerShare (0.25)',
    ],
  ],
  [
    'answers larger than a share of Valkey',
    { cache: { sharedBytes: 4 * MIB } },
    [
      'cache.maxItemBytes: is 1048576; must be at most 1010081, what fits into the share of a consumer: cache.sharedBytes (4194304) times cache.maxConsumerShare (0.25)',
    ],
  ],
  [
    'a share of nothing',
    { cache: { maxConsumerShare: 0.0001, sharedBytes: 1024 ** 4 } },
    [
      'cache.maxItemBytes: is 1048576; must be at most 0, what fits into the share of a consumer: cache.nodeBytes (67108864) times cache.maxConsumerShare (0.0001)',
    ],
  ],
  [
    'polling as seldom as a revocation may take',
    { auth: { pollSeconds: 60, revocationSeconds: 60 } },
    ['auth.pollSeconds: is 60; must be less than auth.revocationSeconds (60)'],
  ],
  [
    'an edge that keeps what is revoked',
    { edge, auth: { revocationSeconds: 61 } },
    ['cache.ttl.edgeSeconds: is 60; with auth.pollSeconds (2) it must be at most auth.revocationSeconds (61)'],
  ],
  [
    'a client that keeps what is revoked',
    { auth: { revocationSeconds: 50 }, cache: { ttl: { clientSeconds: 51 } } },
    ['cache.ttl.clientSeconds: is 51; must be at most auth.revocationSeconds (50)'],
  ],
  [
    'a consumer that stands twice',
    {
      consumers: {
        reservations: [
          { consumer: 'a', requestsPerSecond: 1 },
          { consumer: 'a', requestsPerSecond: 2 },
        ],
      },
    },
    ['consumers.reservations[1].consumer: is "a"; each consumer may stand once'],
  ],
  [
    'shares that do not add up',
    shares({ 'eu-central-1': 0.1, 'us-east-1': 0.2 }),
    ['consumers.reservations[0].shares: add up to 0.3; must add up to 1'],
  ],
  [
    'a share of a region that the environment does not have',
    shares({ 'eu-central-1': 0.5, 'eu-west-1': 0.5 }),
    [
      'consumers.reservations[0].shares: names "eu-west-1"; must be one of the environment\'s regions: eu-central-1, us-east-1',
    ],
  ],
  [
    'promises beyond the quota',
    promises([0.1, 0.2], 17),
    ['consumers.reservations: promise 18 requests per minute; must be at most quota.requestsPerMinute (17)'],
  ],
  [
    'names that stand twice',
    {
      upstreams: [
        { id: 'a', host: 'a.example' },
        { id: 'a', host: 'b.example' },
      ],
      regions: [{ region: 'eu-west-1' }, { region: 'eu-west-1' }],
    },
    [
      'upstreams: hold "a" twice; each id may stand once',
      'regions: hold "eu-west-1" twice; each region may stand once',
    ],
  ],
  [
    'a route class that no upstream serves',
    { upstreams: [{ id: 'a', host: 'a.example', routeClasses: ['generate', 'count', 'models', 'batches', 'other'] }] },
    ['upstreams: serve no "files"; each route class needs an upstream'],
  ],
])('refused: %s', (_, input, problems) => {
  expect(problemsOf(() => environment(input))).toEqual(problems);
});

test('an idle timeout beyond what an ALB takes is refused, for derived ones too', () => {
  // No single read that is allowed leads there; two of them may.
  const { timeouts, ...rest } = environment();
  const problems = timeoutsNest({
    ...rest,
    timeouts: { ...timeouts, loadBalancerIdleSeconds: 4001, client: { ...timeouts.client, keepaliveSeconds: 4002 } },
  });
  expect(problems).toEqual([
    {
      field: 'timeouts.loadBalancerIdleSeconds',
      message: 'is 4001; an ALB allows at most 4000: lower timeouts.upstream.readSeconds',
    },
  ]);
});
