import { MAX_ATTEMPTS, ROUTE_CLASSES, type Environment, type RouteClass } from '../config';
import { CACHED_CLASSES, fetchSocket, heldBytes, mostFetches } from './fetch';
import type { Placement } from './placement';
import { attemptsFor, upstreamsFor } from './upstream-names';

/**
 * What the Lua data plane reads at start (`settings.json` beside nginx.conf). Names are Lua's; times are in seconds
 * unless the name says otherwise.
 */
export function settings(environment: Environment, placement: Placement): string {
  const { auth, breaker, cache, consumers, edge, limits, observability, quota, upstreams, valkey } = environment;
  return `${JSON.stringify(
    {
      environment: environment.name,
      region: placement.region,
      auth: { mode: auth.mode, poll_seconds: auth.pollSeconds, revocation_seconds: auth.revocationSeconds },
      consumer_defaults: {
        rate: consumers.defaults.rate,
        burst: consumers.defaults.burst,
        concurrency: consumers.defaults.concurrency,
        max_streams: consumers.defaults.maxStreams,
      },
      reservations: reservationsHere(environment, placement),
      quota: { scarce_share: quota.fairness.scarceShare, max_seconds: quota.fairness.maxSeconds },
      expected_nodes: nodesHere(environment, placement),
      registry_source: placement.registrySource,
      credentials_source: placement.credentialsSource,
      allow_admin_api: limits.allowAdminApi,
      resolvers: placement.resolvers ?? [],
      namespace: observability.namespace,
      log_flush_ms: placement.logFlushMs ?? 1000,
      gauge_seconds: observability.gaugeSeconds,
      upstreams: upstreams.map((upstream) => ({
        id: upstream.id,
        host: upstream.host,
        port: upstream.port,
        addresses: upstream.addresses ?? null,
        credential: upstream.credential ?? upstream.id,
        credential_header: upstream.credentialHeader,
        repeat_after_sent: upstream.repeatAfterSent,
      })),
      route_upstreams: Object.fromEntries(
        ROUTE_CLASSES.map((routeClass) => [routeClass, upstreamsFor(environment, routeClass).map(({ id }) => id)]),
      ),
      cache: {
        enabled: cache.enabled,
        count_tokens: cache.countTokens,
        ttl: {
          client_seconds: cache.ttl.clientSeconds,
          proxy_seconds: cache.ttl.proxySeconds,
          shared_seconds: cache.ttl.sharedSeconds,
          outage_seconds: cache.ttl.outageSeconds,
        },
        node_bytes: cache.nodeBytes,
        shared_bytes: cache.sharedBytes,
        max_item_bytes: cache.maxItemBytes,
        max_consumer_share: cache.maxConsumerShare,
        at_edge: edge.enabled,
      },
      // Route class -> the upstreams to try, for classes that have more than one, with the locations that lead there.
      attempts: Object.fromEntries(
        ROUTE_CLASSES.map((routeClass) => [routeClass, attemptsFor(environment, routeClass)] as const)
          .filter(([, attempts]) => attempts.length > 0)
          .map(([routeClass, attempts]) => [
            routeClass,
            attempts.map(({ upstream, further, last }) => ({ upstream: upstream.id, further, last })),
          ]),
      ),
      max_attempts: MAX_ATTEMPTS,
      breaker: breaker.enabled
        ? {
            window_seconds: breaker.windowSeconds,
            error_share: breaker.errorShare,
            min_requests: breaker.minRequests,
            min_consumers: breaker.minConsumers,
            open_seconds: breaker.openSeconds,
            probes: breaker.probes,
            close_after: breaker.closeAfter,
            stream_first_byte_seconds: breaker.streamFirstByteSeconds,
            max_models: breaker.maxModels,
          }
        : null,
      fetch: cache.enabled
        ? {
            socket: fetchSocket(placement),
            most: mostFetches(environment),
            held_bytes: heldBytes(environment),
            silent_seconds: Object.fromEntries(
              CACHED_CLASSES.map((routeClass) => [routeClass, silentSeconds(environment, routeClass)]),
            ),
          }
        : null,
      valkey: placement.valkey === undefined ? null : { timeout_ms: valkey.timeoutMs, tls: placement.valkey.tls },
      certificate:
        placement.certificate === undefined
          ? null
          : {
              chain_file: placement.certificate.chainFile,
              key_file: placement.certificate.keyFile,
              ca_file: environment.tls.caFile ?? null,
              system_ca_file: placement.systemCaFile ?? DEBIAN_CA_FILE,
              reload_seconds: environment.tls.reloadSeconds,
            },
    },
    null,
    2,
  )}\n`;
}

/** How long nothing may come of a class's answers: each upstream may be silent in its turn. */
function silentSeconds(environment: Environment, routeClass: RouteClass): number {
  const { connectSeconds, sendSeconds, readSeconds } = environment.timeouts.upstream;
  return upstreamsFor(environment, routeClass).length * (connectSeconds + sendSeconds + readSeconds[routeClass]);
}

/** Where Debian keeps the system's authorities. */
export const DEBIAN_CA_FILE = '/etc/ssl/certs/ca-certificates.crt';

/** What is guaranteed to whom, and which part of it this region enforces. On a laptop there are no regions, and no parts. */
function reservationsHere({ consumers, regions }: Environment, { region }: Placement): Record<string, unknown> {
  return Object.fromEntries(
    consumers.reservations.map(({ consumer, requestsPerSecond, shares }) => [
      consumer,
      {
        rate: requestsPerSecond,
        ...(shares === undefined || regions.length === 0 ? {} : { share: shares[region] ?? 0 }),
      },
    ]),
  );
}

/** How many nodes there are at least: what a node goes by that has never heard of the others. */
function nodesHere({ compute, regions }: Environment, { region }: Placement): number {
  const here = regions.find((each) => each.region === region);
  return here === undefined ? 1 : (here.minTasks ?? compute.minTasks);
}
