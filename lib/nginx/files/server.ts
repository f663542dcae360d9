import { ROUTE_CLASSES, type Environment, type RouteClass } from '../../config';
import { block, comment, directive, file } from '../directives';
import { phase } from '../phase';
import type { Placement } from '../placement';
import { upstreamsFor } from '../upstream-names';
import { towardsUpstream } from './upstreams';

/** TLS 1.2 suites: forward secrecy and AEAD only (Mozilla, "intermediate", version 5.7). TLS 1.3 has its own. */
const TLS12_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Statuses that nginx itself makes: they reach the client in the API's error shape. */
const OWN_STATUSES = [
  400, 403, 404, 405, 408, 411, 412, 413, 414, 415, 416, 421, 429, 494, 495, 496, 497, 500, 501, 502, 503, 504, 505,
];

/** nginx's private statuses (494 and up to 499), as what they go out to the client. */
const PRIVATE_STATUSES: ReadonlyMap<number, number> = new Map([
  [494, 431],
  [495, 400],
  [496, 400],
  [497, 400],
]);

/** Which location a route class is. Longer prefixes win, so `other` is what is left. */
export const LOCATIONS: Readonly<Record<RouteClass, readonly string[]>> = {
  generate: ['= /v1/messages'],
  count: ['= /v1/messages/count_tokens'],
  batches: ['^~ /v1/messages/batches'],
  models: ['^~ /v1/models'],
  files: ['^~ /v1/files'],
  other: ['^~ /v1/'],
};

/** Classes whose bodies are too large to be kept: they stream through, and so can never be sent twice. */
const STREAMED: ReadonlySet<RouteClass> = new Set(['batches', 'files']);

/** Where the gateway listens, and its side of TLS. */
export function listenConf({ tls }: Environment, placement: Placement): string {
  const modern = placement.nginx === '1.26';
  // Idle sockets are probed after a minute, so that silent streams through NAT and firewalls stay open.
  const keepalive = 'so_keepalive=60s:15s:4';
  // A queue of its own for each worker: out of a common one the worker that is awake takes all, and with it sits on most
  // connections for good (measured: 62 against 59 % of a plain proxy's requests/s over 2 workers).
  const manners = ['backlog=4096', 'reuseport', keepalive];
  const https = placement.httpsListen ?? [];
  if (https.length > 0 && placement.certificate === undefined) throw new Error('httpsListen needs a certificate');
  return file(
    ...(placement.httpListen ?? []).map((address) => directive('listen', address, ...manners)),
    ...https.map((address) => directive('listen', address, 'ssl', ...(modern ? [] : ['http2']), ...manners)),
    ...(modern && https.length > 0 ? [directive('http2', 'on')] : []),
    directive('server_name', '_'),
    ...(placement.certificate === undefined || https.length === 0
      ? []
      : [
          '',
          comment('What nginx starts with; from then on Lua serves the files as they are on disk, if they are good.'),
          directive('ssl_certificate', placement.certificate.chainFile),
          directive('ssl_certificate_key', placement.certificate.keyFile),
          block('ssl_certificate_by_lua_block', [phase('certificate')]),
          directive('ssl_protocols', ...tls.protocols),
          directive('ssl_ciphers', TLS12_CIPHERS),
          comment('All suites are good ones: the client knows best which its hardware speeds up.'),
          directive('ssl_prefer_server_ciphers', 'off'),
          directive('ssl_session_cache', 'shared:causeway_tls:10m'),
          directive('ssl_session_timeout', `${tls.sessionSeconds}s`),
          directive('ssl_session_tickets', 'on'),
          comment('Small records first, so that the first event of a stream is not held for a full one.'),
          directive('ssl_buffer_size', '4k'),
        ]),
  );
}

/** What nginx refuses by itself is answered in the API's error shape. */
export function errorsConf(): string {
  return file(
    comment('A request that fails before these are set is logged without them; that is no mistake to warn of.'),
    directive('uninitialized_variable_warn', 'off'),
    comment('By URI, not by name: nginx cannot enter a named location when the request line itself was unreadable.'),
    ...OWN_STATUSES.map((status) => {
      const outside = PRIVATE_STATUSES.get(status);
      return directive(
        'error_page',
        status,
        ...(outside === undefined ? [] : [`=${outside}`]),
        `${OWN_ERROR}${status}`,
      );
    }),
    block(`location ^~ ${OWN_ERROR}`, [directive('internal'), block('content_by_lua_block', [phase('own_error')])]),
  );
}

/** Prefix of the internal locations that answer for nginx; the status follows. */
const OWN_ERROR = '/.causeway/error/';

/** Health: the process, and whether traffic should come. */
export function healthConf(): string {
  return file(
    ...['healthz', 'readyz'].map((name) =>
      block(`location = /${name}`, [
        comment('Asked every few seconds by each load balancer and probe: no line.'),
        block('log_by_lua_block', []),
        block('content_by_lua_block', [phase('health', `${name}()`)]),
      ]),
    ),
  );
}

/** One location a route class: its timeouts, its body limit, its way of passing bodies on. */
export function routesConf(environment: Environment, placement: Placement): string {
  return file(
    ...ROUTE_CLASSES.flatMap((routeClass) =>
      LOCATIONS[routeClass].map((match) => routeLocation(environment, placement, routeClass, match)),
    ),
    comment("SDKs' and Claude Code's reachability probes, answered here; everything else is no route of the API."),
    block('location /', [
      block('set_by_lua_block $causeway_address_key', [`return ${phase('rewrite', 'address_key()')}`]),
      ...addressLimit(environment),
      block('content_by_lua_block', [phase('probe')]),
    ]),
  );
}

function addressLimit({ limits }: Environment): string[] {
  const { burst } = limits.perAddress;
  // nginx takes no `burst=0`; without the word it is 0.
  return [directive('limit_req', 'zone=causeway_address', ...(burst > 0 ? [`burst=${burst}`] : []), 'nodelay')];
}

function routeLocation(environment: Environment, placement: Placement, routeClass: RouteClass, match: string): string {
  const [upstream] = upstreamsFor(environment, routeClass);
  return block(`location ${match}`, [
    comment('Filled in by Lua. Not at the level of the server: a redirect to an own error would empty them again.'),
    ...['api_key', 'authorization'].map((name) => directive('set', `$causeway_${name}`, '')),
    directive('client_max_body_size', environment.bodies[routeClass]),
    ...(STREAMED.has(routeClass)
      ? [
          comment('Streamed through: hundreds of megabytes, neither in memory nor on disk.'),
          directive('proxy_request_buffering', 'off'),
        ]
      : []),
    block('set_by_lua_block $causeway_address_key', [
      `return ${phase('rewrite', `run('${routeClass}', '${upstream.id}')`)}`,
    ]),
    ...addressLimit(environment),
    block('access_by_lua_block', [phase('access')]),
    ...towardsUpstream(environment, placement, routeClass, upstream),
  ]);
}
