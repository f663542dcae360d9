import type { Environment } from '../../config';
import { block, comment, directive, file } from '../directives';
import { mostFetches } from '../fetch';
import { phase } from '../phase';
import type { Placement } from '../placement';
import { DEBIAN_CA_FILE } from '../settings';

/** nginx.conf itself: the processes, and which concern stands in which include. */
export function nginxConf(environment: Environment, placement: Placement): string {
  const modules = placement.modulesDirectory ?? '/usr/lib/nginx/modules';
  return file(
    comment('Rendered from causeway.config.ts: edits here are lost. One concern an include.'),
    comment('Exactly two modules, by name: the distribution would load about twenty.'),
    directive('load_module', `${modules}/ndk_http_module.so`),
    directive('load_module', `${modules}/ngx_http_lua_module.so`),
    '',
    directive('daemon', 'off'),
    directive('pid', `${placement.runtimeDirectory}/nginx.pid`),
    directive('error_log', 'stderr', 'notice'),
    ...(placement.user === undefined ? [] : [directive('user', placement.user)]),
    directive('worker_processes', placement.workers ?? 'auto'),
    comment('A graceful stop waits for streams, but not for ever.'),
    directive('worker_shutdown_timeout', `${environment.timeouts.maxStreamSeconds + 10}s`),
    '',
    block('events', [
      comment('Client and upstream side of every request; of fetches, both ends and what their timer takes.'),
      directive('worker_connections', environment.limits.workerConnections * 2 + fetchesOf(environment) * 3),
    ]),
    '',
    block('http', [
      directive('include', 'http/core.conf'),
      directive('include', 'http/client-address.conf'),
      directive('include', 'http/address-limit.conf'),
      directive('include', 'http/lua.conf'),
      directive('include', 'http/facts.conf'),
      directive('include', 'http/log.conf'),
      directive('include', 'http/upstreams.conf'),
      '',
      block('server', [
        directive('include', 'server/listen.conf'),
        directive('include', 'server/errors.conf'),
        directive('include', 'server/health.conf'),
        directive('include', 'server/routes.conf'),
        directive('include', 'server/attempts.conf'),
        ...(environment.cache.enabled ? [directive('include', 'server/cached.conf')] : []),
      ]),
      ...(environment.cache.enabled ? [block('server', [directive('include', 'server/fetch.conf')])] : []),
    ]),
  );
}

/** How many answers a worker may fetch for several clients. */
function fetchesOf(environment: Environment): number {
  return environment.cache.enabled ? mostFetches(environment) : 0;
}

/** Times, sizes and manners towards clients. */
export function coreConf({ timeouts }: Environment, placement: Placement): string {
  const { client } = timeouts;
  return file(
    comment('Say as little about ourselves as nginx allows.'),
    directive('server_tokens', 'off'),
    directive('default_type', 'application/octet-stream'),
    '',
    comment('Slow clients are cut; silent streams are not: nginx only counts the time between two writes.'),
    directive('client_header_timeout', `${client.headerSeconds}s`),
    directive('client_body_timeout', `${client.bodySeconds}s`),
    directive('send_timeout', `${client.sendSeconds}s`),
    comment("Longer than the load balancer's idle timeout, or it reuses connections that are being closed."),
    directive('keepalive_timeout', `${client.keepaliveSeconds}s`),
    directive('keepalive_requests', 100_000),
    directive('reset_timedout_connection', 'on'),
    '',
    comment('One header line of up to 16 KB, 64 KB in all: what an ALB lets through (AWS: ALB quotas).'),
    directive('client_header_buffer_size', '4k'),
    directive('large_client_header_buffers', 4, '16k'),
    comment(
      'Unknown header names pass unchanged. nginx calls a dot in them invalid, which it is not (RFC 9110, 5.6.2); spaces and',
      'control characters are refused either way.',
    ),
    directive('underscores_in_headers', 'on'),
    directive('ignore_invalid_headers', 'off'),
    '',
    comment('Bodies above this go to a file: four prompts of 30 MB cost 70 MB of memory, not 190 (measured).'),
    directive('client_body_buffer_size', '128k'),
    directive('client_body_temp_path', `${placement.runtimeDirectory}/body`),
    directive('proxy_temp_path', `${placement.runtimeDirectory}/proxy`),
    directive('fastcgi_temp_path', `${placement.runtimeDirectory}/fastcgi`),
    directive('uwsgi_temp_path', `${placement.runtimeDirectory}/uwsgi`),
    directive('scgi_temp_path', `${placement.runtimeDirectory}/scgi`),
    '',
    directive('tcp_nodelay', 'on'),
    directive('http2_max_concurrent_streams', 256),
    directive('merge_slashes', 'on'),
    directive('absolute_redirect', 'off'),
    directive('types_hash_max_size', 1024),
    directive('variables_hash_max_size', 2048),
  );
}

/** Whose word on the client's address is believed. */
export function clientAddressConf({ clientAddress }: Environment, placement: Placement): string {
  if (clientAddress.trustedHops.length === 0) {
    return file(comment("No trusted hop: the peer's own address is the client's, whatever a header says."));
  }
  return file(
    comment('Only these hops are believed; a client that forges X-Forwarded-For is seen at its own address.'),
    ...clientAddress.trustedHops.map((hop) => directive('set_real_ip_from', hop)),
    directive('real_ip_header', 'X-Forwarded-For'),
    directive('real_ip_recursive', placement.singleHop === true ? 'off' : 'on'),
  );
}

/**
 * The leaky bucket for requests without a good credential, by address. Its key is empty, and the request not counted, for
 * everybody else: a whole company may share one address.
 */
export function addressLimitConf({ limits }: Environment): string {
  const { rate, exempt } = limits.perAddress;
  return file(
    block('geo $causeway_exempt', [directive('default', 0), ...exempt.map((network) => directive(network, 1))]),
    comment('nginx knows whole numbers only: by the minute, a rate below one a second can be told.'),
    directive(
      'limit_req_zone',
      '$causeway_address_key',
      'zone=causeway_address:10m',
      `rate=${Math.round(rate * 60)}r/m`,
    ),
    directive('limit_req_status', 429),
    directive('limit_req_log_level', 'info'),
  );
}

/** The data plane: where its code is, its shared memory, its phases that belong to no location. */
export function luaConf(environment: Environment, placement: Placement): string {
  return file(
    directive('lua_package_path', `${placement.luaDirectory}/?.lua;;`),
    comment('State that workers share and a reload keeps: addresses, the certificate, gauges, who works.'),
    directive('lua_shared_dict', 'causeway_state', '2m'),
    comment('The last good registry and credentials, for workers that start while their source is broken or unread.'),
    directive('lua_shared_dict', 'causeway_documents', '40m'),
    comment('The rates of consumers; nginx counts client addresses in a zone of its own.'),
    directive('lua_shared_dict', 'causeway_limits', '16m'),
    comment('Places that consumers hold: apart, so that nothing can crowd a count out.'),
    directive('lua_shared_dict', 'causeway_inflight', '8m'),
    comment('What this node has of the limits that hold over all nodes of a region.'),
    directive('lua_shared_dict', 'causeway_fleet', '8m'),
    comment('Who asks for how much of a quota that is running low.'),
    directive('lua_shared_dict', 'causeway_fairness', '2m'),
    comment('Credentials that the upstream accepted lately, in passthrough.'),
    directive('lua_shared_dict', 'causeway_proven', '4m'),
    comment('Breakers: what failed and succeeded lately, and which are open.'),
    directive('lua_shared_dict', 'causeway_breaker', '4m'),
    ...cacheMemory(environment.cache),
    directive('lua_code_cache', 'on'),
    comment('Timers of each worker: DNS, registry, credentials, certificate, gauges; and one for each fetch.'),
    directive('lua_max_running_timers', 256 + fetchesOf(environment)),
    directive('lua_max_pending_timers', 256 + fetchesOf(environment)),
    comment('A client that closes mid-handshake is no error of ours.'),
    directive('lua_socket_log_errors', 'off'),
    comment('Names of headers reach clients as the upstream wrote them, also those of copies.'),
    directive('lua_transform_underscores_in_response_headers', 'off'),
    ...valkeyTls(placement),
    block('init_by_lua_block', [`require('causeway.phase.init').run('${placement.prefix}/settings.json')`]),
    block('init_worker_by_lua_block', [phase('init_worker')]),
    block('log_by_lua_block', [phase('log')]),
  );
}

/** The node's own cache tier, and beside it who holds how much of it (core/cache_share.lua: 256 bytes for each 2048). */
function cacheMemory({ enabled, nodeBytes }: Environment['cache']): string[] {
  if (!enabled) return [];
  const kib = Math.floor(nodeBytes / 1024);
  return [
    comment('Stored answers, the index of their accounts, and what each consumer holds.'),
    directive('lua_shared_dict', 'causeway_cache', `${kib}k`),
    directive('lua_shared_dict', 'causeway_cache_index', `${Math.ceil(kib / 8) + 1024}k`),
    directive('lua_shared_dict', 'causeway_cache_shares', '1m'),
    comment('Who fetches what, and answers on their way from one worker to another.'),
    directive('lua_shared_dict', 'causeway_flights', '16m'),
  ];
}

function valkeyTls({ valkey, systemCaFile }: Placement): string[] {
  if (valkey?.tls !== true) return [];
  return [
    comment('Who may sign for Valkey.'),
    directive('lua_ssl_trusted_certificate', valkey.caFile ?? systemCaFile ?? DEBIAN_CA_FILE),
    directive('lua_ssl_verify_depth', 5),
    directive('lua_ssl_protocols', 'TLSv1.2', 'TLSv1.3'),
  ];
}

/** One line a request, built and written in Lua: a plain log_format is invalid JSON as soon as a variable is empty or a list. */
export function logConf(): string {
  return file(directive('access_log', 'off'), block('exit_worker_by_lua_block', [phase('exit_worker')]));
}
