import { servingUpstreams, triedUpstreams, type Environment, type RouteClass, type Upstream } from '../config';

/** The name of an upstream's connection pool in nginx.conf. One pool a hostname: pools are keyed by address, not by SNI. */
export function poolName(upstream: Pick<Upstream, 'id'>): string {
  return `causeway_${upstream.id}`;
}

/**
 * The upstreams that serve a route class, in the order in which they are tried.
 *
 * @throws Error where none does; the config's ladder refuses that before.
 */
export function upstreamsFor(environment: Environment, routeClass: RouteClass): [Upstream, ...Upstream[]] {
  const [first, ...rest] = servingUpstreams(environment, routeClass);
  if (first === undefined) throw new Error(`no upstream serves "${routeClass}"`);
  return [first, ...rest];
}

/**
 * The ways by which a request of a route class can be sent to one upstream. The first upstream's `last` is none: the
 * location that the request came in by is that way already, so that where there is one upstream there is no detour.
 */
export interface Attempt {
  readonly upstream: Upstream;
  /** Named location from which a failure leads on to the next upstream. */
  readonly further?: string;
  /** Named location from which the upstream's own answer goes to the client, whatever it is. */
  readonly last?: string;
}

/** Where a failed attempt leads. */
export const NEXT_ATTEMPT = '@next-attempt';

/** The attempts that a request of a route class may take, in their order; empty where only one upstream is asked. */
export function attemptsFor(environment: Environment, routeClass: RouteClass): readonly Attempt[] {
  const tried = triedUpstreams(environment, routeClass);
  if (tried.length < 2) return [];
  // A colon is in no identifier: no two names can be the same.
  const name = (kind: string, upstream: Upstream): string => `@${kind}:${routeClass}:${upstream.id}`;
  return tried.map((upstream, index) => ({
    upstream,
    ...(index < tried.length - 1 ? { further: name('further', upstream) } : {}),
    ...(index > 0 ? { last: name('last', upstream) } : {}),
  }));
}
