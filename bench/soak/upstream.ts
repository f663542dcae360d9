import { block, directive, file } from '../../lib/nginx/directives';
import { ANSWER, type ServerFiles } from '../upstream-conf';

/**
 * The upstream of the soak test: an nginx that answers as the header `x-soak` asks. `json` (the default), `stream`,
 * `cut` (a stream that breaks off), `in-band` (one with an error inside), `large` (2 MB of JSON), or a status.
 */
export function soakUpstreamConf(port: number, tls: ServerFiles, runtime: string): string {
  const lua = `
    ngx.req.read_body()
    local kind = ngx.var.http_x_soak or 'json'
    ngx.header['request-id'] = 'req_soak_' .. ngx.var.connection .. '_' .. ngx.var.connection_requests
    ngx.header['anthropic-ratelimit-requests-limit'] = 1000000
    ngx.header['anthropic-ratelimit-requests-remaining'] = 900000
    local status = tonumber(kind)
    if status then
      ngx.status = status
      ngx.header['content-type'] = 'application/json'
      ngx.print('{"type":"error","error":{"type":"api_error","message":"soak"}}')
      return
    end
    local function event(name, rest)
      ngx.print('event: ', name, '\\ndata: {"type":"', name, '"', rest, '}\\n\\n')
      ngx.flush(true)
    end
    if kind == 'stream' or kind == 'cut' or kind == 'in-band' then
      ngx.header['content-type'] = 'text/event-stream; charset=utf-8'
      event('message_start', ',"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",'
        .. '"content":[],"usage":{"input_tokens":25,"output_tokens":1}}')
      for i = 1, 8 do
        event('content_block_delta', ',"index":0,"delta":{"type":"text_delta","text":"some words of an answer"}')
        ngx.sleep(0.002)
      end
      if kind == 'cut' then ngx.exit(444) return end
      if kind == 'in-band' then event('error', ',"error":{"type":"overloaded_error","message":"soak"}') return end
      event('message_delta', ',"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":40}')
      event('message_stop', '')
      return
    end
    ngx.header['content-type'] = 'application/json'
    if ngx.var.uri == '/v1/messages/count_tokens' then
      ngx.print('{"input_tokens":321}')
    elseif ngx.var.uri == '/v1/models' then
      ngx.print('{"data":[{"type":"model","id":"claude-sonnet-4-5"}],"has_more":false}')
    elseif kind == 'large' then
      ngx.print('{"type":"message","model":"claude-sonnet-4-5","content":[{"type":"text","text":"', ('x'):rep(2000000),
        '"}],"usage":{"input_tokens":1,"output_tokens":2}}')
    else
      ngx.print([==[${ANSWER}]==])
    end`;
  return file(
    'load_module /usr/lib/nginx/modules/ndk_http_module.so;',
    'load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;',
    directive('daemon', 'off'),
    directive('worker_processes', 1),
    directive('error_log', 'stderr', 'crit'),
    directive('pid', `${runtime}/nginx.pid`),
    ...(process.getuid?.() === 0 ? [directive('user', 'root')] : []),
    block('events', [directive('worker_connections', 8192)]),
    block('http', [
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) =>
        directive(`${kind}_temp_path`, `${runtime}/${kind}`),
      ),
      directive('access_log', 'off'),
      directive('keepalive_requests', 10_000_000),
      directive('keepalive_timeout', '300s'),
      directive('client_max_body_size', '64m'),
      block('server', [
        directive('listen', `127.0.0.1:${port}`, 'ssl', 'backlog=8192'),
        directive('ssl_certificate', tls.chainFile),
        directive('ssl_certificate_key', tls.keyFile),
        block('location /', [block('content_by_lua_block', [lua])]),
      ]),
    ]),
  );
}
