import type { ParsedEnvironment, RouteClass, Upstream } from './schema';

/**
 * Route classes whose requests may be sent to another upstream. What the others name (a file, a batch, a session) was
 * made at one upstream, and no other knows it; their bodies are streamed through, too, and cannot be sent twice.
 */
const FAILOVER_CLASSES = ['generate', 'count', 'models'] as const satisfies readonly RouteClass[];

/**
 * How many upstreams are asked for one request, at most. nginx follows ten redirects of a request; an attempt takes two
 * of them, the way in and an own error one each.
 */
export const MAX_ATTEMPTS = 4;

/** The upstreams that serve a route class, in the order of the config. */
export function servingUpstreams(
  { upstreams }: Pick<ParsedEnvironment, 'upstreams'>,
  routeClass: RouteClass,
): readonly Upstream[] {
  return upstreams.filter(({ routeClasses }) => routeClasses === undefined || routeClasses.includes(routeClass));
}

/**
 * The upstreams that a request of a route class may be sent to, in the order in which they are tried. In `passthrough`
 * the client's own credential is good for the first only, unless a later one is said to take it.
 */
export function triedUpstreams(
  environment: Pick<ParsedEnvironment, 'upstreams' | 'auth'>,
  routeClass: RouteClass,
): readonly Upstream[] {
  const [first, ...rest] = servingUpstreams(environment, routeClass);
  if (first === undefined) return [];
  if (!(FAILOVER_CLASSES as readonly RouteClass[]).includes(routeClass)) return [first];
  const { mode } = environment.auth;
  return [first, ...rest.filter(({ takesClientCredential }) => mode === 'keys' || takesClientCredential)];
}

/**
 * How many upstreams a client may have to wait for, one after the other, each until its timeout: those where a request
 * that was sent whole is repeated, and the one after the last of them. Only a message costs anything, so that others
 * are always repeated.
 */
export function awaitedUpstreams(
  environment: Pick<ParsedEnvironment, 'upstreams' | 'auth'>,
  routeClass: RouteClass,
): number {
  const left = triedUpstreams(environment, routeClass).slice(0, -1);
  const repeated = left.filter(({ repeatAfterSent }) => routeClass !== 'generate' || repeatAfterSent);
  return Math.min(repeated.length + 1, MAX_ATTEMPTS);
}
