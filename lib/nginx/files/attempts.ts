import { ROUTE_CLASSES, type Environment, type RouteClass, type Upstream } from '../../config';
import { block, comment, directive, file } from '../directives';
import { phase } from '../phase';
import type { Placement } from '../placement';
import { attemptsFor, NEXT_ATTEMPT } from '../upstream-names';
import { towardsUpstream } from './upstreams';

/** Every status by which an upstream, or nginx in its place, says that it failed. 4xx pass: they are the client's. */
const FAILURES = Array.from({ length: 100 }, (_, index) => 500 + index);

/**
 * The ways to each upstream after the first, and those from which a failure leads on. Lua enters them (`ngx.exec`), so
 * that each attempt is a request of its own: that upstream's `Host`, SNI, credential, headers and pool, and the body
 * once more from its beginning. Rendered for route classes that have more than one upstream.
 */
export function attemptsConf(environment: Environment, placement: Placement): string {
  const locations = ROUTE_CLASSES.flatMap((routeClass) =>
    attemptsFor(environment, routeClass).flatMap(({ upstream, further, last }) => [
      ...(further === undefined
        ? []
        : [
            attemptLocation(environment, placement, routeClass, upstream, further, [
              directive('include', 'server/failover.conf'),
            ]),
          ]),
      ...(last === undefined ? [] : [attemptLocation(environment, placement, routeClass, upstream, last, [])]),
    ]),
  );
  if (locations.length === 0) return file(comment('No route class has a second upstream.'));
  return file(
    ...locations,
    comment('Decides whether another upstream is asked, and which.'),
    block(`location ${NEXT_ATTEMPT}`, [block('content_by_lua_block', [phase('next_attempt')])]),
  );
}

/** What makes a failure lead on, before a byte of the answer has reached the client. */
export function failoverConf(): string {
  return file(
    comment(
      "No 4xx: the upstream's own would be intercepted with nginx's. nginx makes none here, for the request was received",
      'whole before.',
    ),
    directive('proxy_intercept_errors', 'on'),
    comment('The attempt after this one may fail likewise.'),
    directive('recursive_error_pages', 'on'),
    directive('error_page', ...FAILURES, '=', NEXT_ATTEMPT),
  );
}

function attemptLocation(
  environment: Environment,
  placement: Placement,
  routeClass: RouteClass,
  upstream: Upstream,
  name: string,
  more: readonly string[],
): string {
  return block(`location ${name}`, [
    directive('client_max_body_size', environment.bodies[routeClass]),
    ...more,
    ...towardsUpstream(environment, placement, routeClass, upstream),
  ]);
}
