import type { Environment, RouteClass, Upstream } from '../config';

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
  const [first, ...rest] = environment.upstreams.filter(
    ({ routeClasses }) => routeClasses === undefined || routeClasses.includes(routeClass),
  );
  if (first === undefined) throw new Error(`no upstream serves "${routeClass}"`);
  return [first, ...rest];
}
