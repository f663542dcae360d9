import type { Environment } from '../../config';
import { block, comment, directive, file } from '../directives';
import { CACHED_CLASSES, fetchSocket } from '../fetch';
import { phase } from '../phase';
import type { Placement } from '../placement';
import { upstreamsFor } from '../upstream-names';
import { LOCATIONS } from './server';
import { towardsUpstream } from './upstreams';

/**
 * The internal listener, through which the gateway fetches answers that several clients wait for. Its way to the upstream
 * is that of every request; what is left out, the clients' own requests have been through.
 */
export function fetchListenerConf(environment: Environment, placement: Placement): string {
  return file(
    directive('listen', `unix:${fetchSocket(placement)}`, 'backlog=4096'),
    directive('server_name', '_'),
    comment('A client sent it before, and the gateway adds a line: what was let in there must not be refused here.'),
    directive('large_client_header_buffers', 8, '32k'),
    directive('client_max_body_size', 0),
    comment('A fetch waits for the slowest of its clients, which nginx cuts at its own time.'),
    directive('send_timeout', `${environment.timeouts.client.sendSeconds * 2}s`),
    directive('include', 'server/errors.conf'),
    directive('include', 'server/attempts.conf'),
    ...CACHED_CLASSES.flatMap((routeClass) =>
      LOCATIONS[routeClass].map((match) =>
        block(`location ${match}`, [
          ...['api_key', 'authorization'].map((name) => directive('set', `$causeway_${name}`, '')),
          block('access_by_lua_block', [
            phase('fetched', `run('${routeClass}', '${upstreamsFor(environment, routeClass)[0].id}')`),
          ]),
          ...towardsUpstream(environment, placement, routeClass, upstreamsFor(environment, routeClass)[0]),
        ]),
      ),
    ),
    block('location /', [block('content_by_lua_block', [phase('probe')])]),
  );
}

/** Where the access phase sends requests that may be answered from the cache: to the copy, a flight, or past both. */
export function cachedConf(environment: Environment, placement: Placement): string {
  return file(
    block('location @cached', [
      comment('Only here: looking for clients that leave costs each request something.'),
      directive('lua_check_client_abort', 'on'),
      comment('HTTP/1.0 clients too are answered as it comes: their connection ends with the answer.'),
      directive('lua_http10_buffering', 'off'),
      directive('add_header', 'x-causeway-region', placement.region, 'always'),
      block('content_by_lua_block', [phase('cached_answer')]),
    ]),
    ...CACHED_CLASSES.map((routeClass) =>
      block(`location @uncached-${routeClass}`, [
        block('access_by_lua_block', [phase('uncached')]),
        ...towardsUpstream(environment, placement, routeClass, upstreamsFor(environment, routeClass)[0]),
      ]),
    ),
  );
}
