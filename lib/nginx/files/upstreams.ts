import type { Environment, RouteClass, Upstream } from '../../config';
import { block, comment, directive, file } from '../directives';
import { EDGE_KEY_HEADER } from '../edge-key';
import { phase } from '../phase';
import type { Placement } from '../placement';
import { DEBIAN_CA_FILE } from '../settings';
import { poolName } from '../upstream-names';

/** One connection pool a hostname, its peers chosen in Lua from DNS. */
export function upstreamsConf({ upstreams }: Environment): string {
  return file(
    ...upstreams.map((upstream) =>
      block(`upstream ${poolName(upstream)}`, [
        comment('A placeholder that nginx insists on; the balancer names the real peer.'),
        directive('server', '0.0.0.1'),
        block('balancer_by_lua_block', [phase('balancer', `run('${upstream.id}')`)]),
        comment(
          'Must stand after the balancer: before it, no connection is ever reused (measured: 40 of 40 against 1).',
        ),
        directive('keepalive', upstream.keepaliveConnections),
        directive('keepalive_timeout', `${upstream.keepaliveIdleSeconds}s`),
        directive('keepalive_requests', 100_000),
      ]),
    ),
  );
}

/**
 * How requests are sent to one upstream; included by each location that proxies to it. `Host` and SNI are the
 * upstream's, never the client's.
 */
export function upstreamConf(upstream: Upstream, { timeouts }: Environment, placement: Placement): string {
  const host = upstream.port === 443 ? upstream.host : `${upstream.host}:${upstream.port}`;
  return file(
    comment(
      'The raw request line as the client sent it: a path that nginx normalised would no longer be the same request.',
    ),
    // Without a path nginx sends what came, as it came, and spares itself to find the pool anew for each request.
    directive(
      'proxy_pass',
      `https://${poolName(upstream)}${upstream.basePath === '' ? '' : `${upstream.basePath}$request_uri`}`,
    ),
    directive('proxy_redirect', 'off'),
    directive('proxy_http_version', '1.1'),
    directive('proxy_set_header', 'Host', host),
    comment('Empty values are not sent: the pool keeps its connections, and the credential is the one Lua chose.'),
    directive('proxy_set_header', 'Connection', ''),
    directive('proxy_set_header', 'x-api-key', '$causeway_api_key'),
    directive('proxy_set_header', 'Authorization', '$causeway_authorization'),
    comment('nginx reads these as x-api-key too, so that they may hold the credential of a client.'),
    ...['x_api_key', 'x-api_key', 'x_api-key'].map((name) => directive('proxy_set_header', name, '')),
    ...Object.entries(upstream.headers).map(([name, value]) => directive('proxy_set_header', name, value)),
    comment("The gateway's own: what a client asks of the cache, how a fetch says whose it is, and CloudFront's key."),
    ...['x-causeway-cache', 'x-causeway-fetch', EDGE_KEY_HEADER].map((name) => directive('proxy_set_header', name, '')),
    comment('Usage cannot be read from a compressed answer.'),
    directive('proxy_set_header', 'Accept-Encoding', 'identity'),
    comment("Who the company's clients are stays in the company."),
    ...[
      'Forwarded',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-Port',
      'X-Forwarded-Proto',
      'X-Real-IP',
      'X-Amzn-Trace-Id',
      'Via',
    ].map((name) => directive('proxy_set_header', name, '')),
    comment('Hop-by-hop (RFC 9110, 7.6.1); headers that Connection nominates are cleared in Lua.'),
    ...['Keep-Alive', 'Proxy-Authorization', 'Proxy-Connection', 'TE', 'Trailer', 'Upgrade'].map((name) =>
      directive('proxy_set_header', name, ''),
    ),
    '',
    directive('proxy_ssl_server_name', 'on'),
    directive('proxy_ssl_name', upstream.host),
    directive('proxy_ssl_protocols', 'TLSv1.2', 'TLSv1.3'),
    directive('proxy_ssl_verify', 'on'),
    directive('proxy_ssl_verify_depth', 5),
    directive('proxy_ssl_trusted_certificate', upstream.caFile ?? placement.systemCaFile ?? DEBIAN_CA_FILE),
    '',
    directive('proxy_connect_timeout', `${timeouts.upstream.connectSeconds}s`),
    directive('proxy_send_timeout', `${timeouts.upstream.sendSeconds}s`),
    directive('proxy_socket_keepalive', 'on'),
    comment('Another peer of the same name is tried only where nothing was sent: a POST may have been billed.'),
    directive('proxy_next_upstream', 'error', 'timeout'),
    directive('proxy_next_upstream_tries', 2),
    '',
    comment('Answers go out as they come: SSE is never held, and a large file never stands in memory.'),
    directive('proxy_buffering', 'off'),
    directive('proxy_buffer_size', '16k'),
    comment('Not used without buffering, but nginx wants them to fit the buffer above.'),
    directive('proxy_buffers', 4, '16k'),
    directive('proxy_busy_buffers_size', '32k'),
    comment("No header of the upstream's steers this nginx; all of them reach the client."),
    directive(
      'proxy_ignore_headers',
      'X-Accel-Redirect',
      'X-Accel-Expires',
      'X-Accel-Limit-Rate',
      'X-Accel-Buffering',
      'X-Accel-Charset',
      'Cache-Control',
      'Expires',
      'Set-Cookie',
      'Vary',
    ),
    ...[
      'Server',
      'Date',
      'X-Pad',
      'X-Accel-Expires',
      'X-Accel-Redirect',
      'X-Accel-Limit-Rate',
      'X-Accel-Buffering',
      'X-Accel-Charset',
    ].map((name) => directive('proxy_pass_header', name)),
    ...['Keep-Alive', 'Proxy-Authenticate', 'Proxy-Connection', 'Trailer', 'Upgrade'].map((name) =>
      directive('proxy_hide_header', name),
    ),
  );
}

/** What a location needs to send the requests of a route class to one upstream, and to look at its answers. */
export function towardsUpstream(
  { timeouts }: Environment,
  placement: Placement,
  routeClass: RouteClass,
  upstream: Upstream,
): string[] {
  return [
    directive('proxy_read_timeout', `${timeouts.upstream.readSeconds[routeClass]}s`),
    comment('Empty, and so not sent, where the answer is a copy.'),
    directive('set', '$causeway_upstream', upstream.id),
    directive('add_header', 'x-causeway-upstream', '$causeway_upstream', 'always'),
    directive('add_header', 'x-causeway-region', placement.region, 'always'),
    block('header_filter_by_lua_block', [phase('header_filter')]),
    block('body_filter_by_lua_block', [phase('body_filter')]),
    directive('include', `upstreams/${upstream.id}.conf`),
  ];
}
