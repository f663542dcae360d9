import { block, directive, file } from '../lib/nginx/directives';

/** Files of one TLS server. */
export interface ServerFiles {
  readonly chainFile: string;
  readonly keyFile: string;
}

/** One answer of the API, 1 KB: what most requests of a benchmark are. */
export const ANSWER = JSON.stringify({
  id: 'msg_01AbCdEfGhIjKlMnOpQrStUv',
  type: 'message',
  role: 'assistant',
  model: 'claude-sonnet-4-5',
  content: [{ type: 'text', text: 'x'.repeat(640) }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: {
    input_tokens: 321,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: 160,
    service_tier: 'standard',
  },
});

function main(runtime: string, workers: number, http: readonly string[], modules = ''): string {
  return file(
    modules,
    directive('daemon', 'off'),
    directive('worker_processes', workers),
    directive('error_log', 'stderr', 'warn'),
    directive('pid', `${runtime}/nginx.pid`),
    ...(process.getuid?.() === 0 ? [directive('user', 'root')] : []),
    block('events', [directive('worker_connections', 8192)]),
    block('http', [
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) =>
        directive(`${kind}_temp_path`, `${runtime}/${kind}`),
      ),
      directive('keepalive_requests', 10_000_000),
      directive('keepalive_timeout', '300s'),
      ...http,
    ]),
  );
}

/**
 * The upstream of a benchmark: an nginx that answers from memory, and so is no bottleneck. `/v1/messages` gives JSON;
 * with the header `x-bench-stream: <chunks>,<seconds between>` it gives a stream whose events hold the monotonic time at
 * which each was written, in nanoseconds; with `x-bench-delay: <seconds>` the answer takes that long.
 */
export function upstreamConf(port: number, tls: ServerFiles, runtime: string): string {
  const stream = `
    local chunks, pause = ngx.var.http_x_bench_stream:match('^(%d+),([%d.]+)$')
    ngx.header['content-type'] = 'text/event-stream; charset=utf-8'
    local ffi = require('ffi')
    local now = ffi.new('bench_time')
    for i = 1, tonumber(chunks) do
      if i > 1 then ngx.sleep(tonumber(pause)) end
      ffi.C.clock_gettime(1, now)
      ngx.print('event: content_block_delta\\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
        .. string.format('%d%09d', tonumber(now.sec), tonumber(now.nsec)) .. '"}}\\n\\n')
      ngx.flush(true)
    end
    ngx.print('event: message_stop\\ndata: {"type":"message_stop"}\\n\\n')`;
  return main(
    runtime,
    1,
    [
      directive('access_log', 'off'),
      block('init_by_lua_block', [
        `require('ffi').cdef('typedef struct { long sec; long nsec; } bench_time; int clock_gettime(int, bench_time *);')`,
      ]),
      block('server', [
        directive('listen', `127.0.0.1:${port}`, 'ssl', 'backlog=8192'),
        directive('ssl_certificate', tls.chainFile),
        directive('ssl_certificate_key', tls.keyFile),
        directive('client_max_body_size', '64m'),
        block('location = /v1/messages', [
          block('if ($http_x_bench_stream)', [directive('rewrite', '^', '/stream', 'last')]),
          block('if ($http_x_bench_delay)', [directive('rewrite', '^', '/slow', 'last')]),
          directive('default_type', 'application/json'),
          `return 200 '${ANSWER}';`,
        ]),
        block('location = /v1/models', [directive('default_type', 'application/json'), `return 200 '${ANSWER}';`]),
        block('location = /stream', [directive('internal'), block('content_by_lua_block', [stream])]),
        block('location = /slow', [
          directive('internal'),
          directive('default_type', 'application/json'),
          block('content_by_lua_block', [`ngx.sleep(tonumber(ngx.var.http_x_bench_delay)) ngx.print('${ANSWER}')`]),
        ]),
      ]),
    ],
    'load_module /usr/lib/nginx/modules/ndk_http_module.so;\nload_module /usr/lib/nginx/modules/ngx_http_lua_module.so;',
  );
}

/**
 * What Causeway is measured against: a reverse proxy that anybody would write, with keep-alive and an access log; and a
 * server of `/static.json`, a file that holds {@link ANSWER}.
 */
export function plainConf(
  port: number,
  upstreamPort: number,
  upstreamHost: string,
  caFile: string,
  tls: ServerFiles,
  runtime: string,
): string {
  return main(runtime, 2, [
    directive('access_log', `${runtime}/access.log`, 'combined'),
    block('upstream upstream', [
      directive('server', `127.0.0.1:${upstreamPort}`),
      directive('keepalive', 64),
      directive('keepalive_requests', 10_000_000),
    ]),
    block('server', [
      directive('listen', `127.0.0.1:${port}`, 'ssl', 'backlog=8192'),
      directive('ssl_certificate', tls.chainFile),
      directive('ssl_certificate_key', tls.keyFile),
      directive('client_max_body_size', '64m'),
      block('location = /static.json', [directive('root', runtime)]),
      block('location /', [
        directive('proxy_pass', 'https://upstream'),
        directive('proxy_http_version', '1.1'),
        directive('proxy_set_header', 'Connection', ''),
        directive('proxy_set_header', 'Host', upstreamHost),
        directive('proxy_ssl_server_name', 'on'),
        directive('proxy_ssl_name', upstreamHost),
        directive('proxy_ssl_verify', 'on'),
        directive('proxy_ssl_verify_depth', 5),
        directive('proxy_ssl_trusted_certificate', caFile),
        directive('proxy_buffering', 'off'),
        directive('proxy_read_timeout', '900s'),
      ]),
    ]),
  ]);
}
