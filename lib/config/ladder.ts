import type { Environment } from './derive';
import type { ConfigProblem } from './errors';
import { awaitedUpstreams, servingUpstreams } from './failover';
import { ROUTE_CLASSES, type RouteClass } from './schema';

/** A rule over the whole of an environment: returns what breaks it. */
export type Rule = (environment: Environment) => ConfigProblem[];

/** The API's own limits of a request's body, in bytes (docs.claude.com: api/errors, "request size limits"). */
const API_BODY_LIMITS: Readonly<Partial<Record<RouteClass, number>>> = {
  generate: 32 * 1024 * 1024,
  count: 32 * 1024 * 1024,
  batches: 256 * 1024 * 1024,
  files: 500 * 1024 * 1024,
};

const problem = (field: string, message: string): ConfigProblem => ({ field, message });

const times = (awaited: number): string =>
  awaited > 1 ? ` ${awaited} of these, for as many upstreams one after the other,` : '';

/** Timeouts nest: an outer hop never gives up before an inner one, so that the inner one's answer is what a client sees. */
export const timeoutsNest: Rule = (environment) => {
  const { timeouts, edge, breaker } = environment;
  const problems: ConfigProblem[] = [];
  const { client, upstream, loadBalancerIdleSeconds: idle } = timeouts;
  for (const routeClass of ROUTE_CLASSES) {
    const read = upstream.readSeconds[routeClass];
    const field = `timeouts.upstream.readSeconds.${routeClass}`;
    if (read >= client.sendSeconds) {
      problems.push(
        problem(field, `is ${read}; must be less than timeouts.client.sendSeconds (${client.sendSeconds})`),
      );
    }
    const awaited = awaitedUpstreams(environment, routeClass);
    if (read * awaited >= idle) {
      problems.push(
        problem(field, `is ${read};${times(awaited)} must be less than timeouts.loadBalancerIdleSeconds (${idle})`),
      );
    }
  }
  if (client.sendSeconds >= idle) {
    problems.push(
      problem(
        'timeouts.client.sendSeconds',
        `is ${client.sendSeconds}; must be less than timeouts.loadBalancerIdleSeconds (${idle})`,
      ),
    );
  }
  if (client.keepaliveSeconds <= idle) {
    problems.push(
      problem(
        'timeouts.client.keepaliveSeconds',
        `is ${client.keepaliveSeconds}; must be more than timeouts.loadBalancerIdleSeconds (${idle}), or the load balancer reuses connections that nginx is closing`,
      ),
    );
  }
  if (idle > 4000) {
    problems.push(
      problem(
        'timeouts.loadBalancerIdleSeconds',
        `is ${idle}; an ALB allows at most 4000: lower timeouts.upstream.readSeconds`,
      ),
    );
  }
  if (timeouts.drainSeconds < timeouts.maxStreamSeconds) {
    problems.push(
      problem(
        'timeouts.drainSeconds',
        `is ${timeouts.drainSeconds}; must be at least timeouts.maxStreamSeconds (${timeouts.maxStreamSeconds}), or deploys cut streams`,
      ),
    );
  }
  if (breaker.streamFirstByteSeconds > upstream.readSeconds.generate) {
    problems.push(
      problem(
        'breaker.streamFirstByteSeconds',
        `is ${breaker.streamFirstByteSeconds}; must be at most timeouts.upstream.readSeconds.generate (${upstream.readSeconds.generate})`,
      ),
    );
  }
  const awaited = awaitedUpstreams(environment, 'models');
  if (edge.enabled && upstream.readSeconds.models * awaited >= timeouts.edgeReadSeconds) {
    problems.push(
      problem(
        'timeouts.upstream.readSeconds.models',
        `is ${upstream.readSeconds.models};${times(awaited)} must be less than timeouts.edgeReadSeconds (${timeouts.edgeReadSeconds})`,
      ),
    );
  }
  return problems;
};

/** Sizes nest: what the API would accept is never refused on the way to it. */
const sizesNest: Rule = ({ bodies }) =>
  ROUTE_CLASSES.flatMap((routeClass) => {
    const limit = API_BODY_LIMITS[routeClass];
    return limit !== undefined && bodies[routeClass] < limit
      ? [
          problem(
            `bodies.${routeClass}`,
            `is ${bodies[routeClass]}; must be at least the API's own limit of ${limit} bytes`,
          ),
        ]
      : [];
  });

/** TTLs nest, and nothing outlives a revocation. */
const ttlsNest: Rule = ({ cache, auth, edge }) => {
  const { clientSeconds, edgeSeconds, proxySeconds, sharedSeconds, outageSeconds } = cache.ttl;
  const ladder: [string, number][] = [
    ['clientSeconds', clientSeconds],
    ...(edge.enabled ? [['edgeSeconds', edgeSeconds] as [string, number]] : []),
    ['proxySeconds', proxySeconds],
    ['sharedSeconds', sharedSeconds],
    ['outageSeconds', outageSeconds],
  ];
  const problems = ladder.flatMap(([name, value], index) => {
    const next = ladder[index + 1];
    return next !== undefined && value > next[1]
      ? [problem(`cache.ttl.${name}`, `is ${value}; must be at most cache.ttl.${next[0]} (${next[1]})`)]
      : [];
  });
  if (auth.pollSeconds >= auth.revocationSeconds) {
    problems.push(
      problem(
        'auth.pollSeconds',
        `is ${auth.pollSeconds}; must be less than auth.revocationSeconds (${auth.revocationSeconds})`,
      ),
    );
  }
  if (edge.enabled && edgeSeconds + auth.pollSeconds > auth.revocationSeconds) {
    problems.push(
      problem(
        'cache.ttl.edgeSeconds',
        `is ${edgeSeconds}; with auth.pollSeconds (${auth.pollSeconds}) it must be at most auth.revocationSeconds (${auth.revocationSeconds})`,
      ),
    );
  }
  if (clientSeconds > auth.revocationSeconds) {
    problems.push(
      problem(
        'cache.ttl.clientSeconds',
        `is ${clientSeconds}; must be at most auth.revocationSeconds (${auth.revocationSeconds})`,
      ),
    );
  }
  return problems;
};

/** Of the node's memory, what copies may take, and what a copy takes beside its bytes (core/cache_share, cache_pieces). */
const USABLE_SHARE = 0.95;
const COPY_OVERHEAD = 1.03;
const COPY_PAGES_BYTES = 8192;

/** An answer that may be stored fits into its consumer's share of both tiers, or none of that size ever would be. */
const copiesFit: Rule = ({ cache }) => {
  if (!cache.enabled) return [];
  const tiers = [
    ['nodeBytes', cache.nodeBytes * USABLE_SHARE],
    ['sharedBytes', cache.sharedBytes],
  ] as const;
  return tiers.flatMap(([name, memory]) => {
    const share = memory * cache.maxConsumerShare;
    const largest = Math.max(0, Math.floor((share - COPY_PAGES_BYTES) / COPY_OVERHEAD));
    return cache.maxItemBytes <= largest
      ? []
      : [
          problem(
            'cache.maxItemBytes',
            `is ${cache.maxItemBytes}; must be at most ${largest}, what fits into the share of a consumer: cache.${name} (${cache[name]}) times cache.maxConsumerShare (${cache.maxConsumerShare})`,
          ),
        ];
  });
};

/** Limits add up: what is promised to consumers fits into the organisation's quota and over the regions. */
const limitsAddUp: Rule = ({ consumers, quota, regions }) => {
  const problems: ConfigProblem[] = [];
  const names = new Set(regions.map(({ region }) => region));
  const seen = new Set<string>();
  consumers.reservations.forEach((reservation, index) => {
    const field = `consumers.reservations[${index}]`;
    if (seen.has(reservation.consumer)) {
      problems.push(problem(`${field}.consumer`, `is "${reservation.consumer}"; each consumer may stand once`));
    }
    seen.add(reservation.consumer);
    if (reservation.shares === undefined) return;
    const sum = round(Object.values(reservation.shares).reduce((total, share) => total + share, 0));
    if (sum !== 1) problems.push(problem(`${field}.shares`, `add up to ${sum}; must add up to 1`));
    for (const region of Object.keys(reservation.shares)) {
      // An environment without regions runs on a laptop, on what `common` says for all: shares mean nothing there.
      if (names.size > 0 && !names.has(region)) {
        problems.push(
          problem(
            `${field}.shares`,
            `names "${region}"; must be one of the environment's regions: ${[...names].join(', ')}`,
          ),
        );
      }
    }
  });
  const promised = round(
    consumers.reservations.reduce((total, { requestsPerSecond }) => total + requestsPerSecond * 60, 0),
  );
  if (quota.requestsPerMinute !== undefined && promised > quota.requestsPerMinute) {
    problems.push(
      problem(
        'consumers.reservations',
        `promise ${promised} requests per minute; must be at most quota.requestsPerMinute (${quota.requestsPerMinute})`,
      ),
    );
  }
  return problems;
};

/** Names that other parts refer to stand once. */
const namesAreUnique: Rule = ({ upstreams, regions }) => [
  ...repeated(upstreams.map(({ id }) => id)).map((id) =>
    problem('upstreams', `hold "${id}" twice; each id may stand once`),
  ),
  ...repeated(regions.map(({ region }) => region)).map((region) =>
    problem('regions', `hold "${region}" twice; each region may stand once`),
  ),
];

/** The first upstream serves whatever no later one is asked for. */
const upstreamsCoverRoutes: Rule = (environment) =>
  ROUTE_CLASSES.filter((routeClass) => servingUpstreams(environment, routeClass).length === 0).map((routeClass) =>
    problem('upstreams', `serve no "${routeClass}"; each route class needs an upstream`),
  );

/** Takes off what adding up fractions leaves behind: 0.1 + 0.2 is 0.30000000000000004. */
function round(sum: number): number {
  return Number(sum.toFixed(9));
}

function repeated(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

/** The rules that hold for every environment, deployed or local. */
export const LADDER: readonly Rule[] = [
  timeoutsNest,
  sizesNest,
  ttlsNest,
  copiesFit,
  limitsAddUp,
  namesAreUnique,
  upstreamsCoverRoutes,
];
