import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

/** What a gateway may do wrong. */
export type Breakage =
  | 'drops anthropic-beta'
  | 'drops a beta of several'
  | 'drops unknown anthropic-* headers'
  | 'pins anthropic-version'
  | 'drops the query'
  | 're-serialises request bodies'
  | 'refuses chunked bodies'
  | 'refuses bodies over 1 MB'
  | 'answers 403 to code in prompts'
  | 're-serialises answers'
  | 'compresses answers'
  | 'strips request-id'
  | 'makes its own request-id'
  | 'strips rate-limit headers'
  | 'strips other anthropic-* response headers'
  | 'follows redirects'
  | 're-wraps errors'
  | 'rewrites 529 to 503'
  | 'strips retry-after'
  | 'strips x-should-retry'
  | 'buffers event streams'
  | 'buffers event streams by 4 kB'
  | 'writes events anew'
  | 'swallows pings'
  | 'swallows comments'
  | 'swallows unknown events'
  | 'alters in-band errors'
  | 'cuts silent streams'
  | 'ends broken streams cleanly'
  | 'reads on when the client has left'
  | 'forwards the Admin API'
  | 'takes x-api-key only'
  | 'takes Authorization only'
  | 'refuses both headers'
  | 'lets anybody in'
  | 'answers 403 to wrong keys'
  | 'has no count_tokens'
  | 'has no models'
  | 'limits requests';

/** A proxy that does nothing wrong but what it is told to. */
export interface BrokenProxy {
  readonly url: URL;
  close(): Promise<void>;
}

/** How long a stream may be silent before it is cut, where it is. */
export const CUT_AFTER_MS = 2500;

const KNOWN_EVENTS = /^(message_(start|delta|stop)|content_block_(start|delta|stop)|ping|error|message|session\..*|)$/;
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host'];

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Starts a proxy in front of a mock. `key` is what the mock accepts. */
export async function startBrokenProxy(
  upstream: URL,
  key: string,
  breakages: readonly Breakage[],
): Promise<BrokenProxy> {
  const is = (breakage: Breakage): boolean => breakages.includes(breakage);
  let served = 0;

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const request: Request = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    };
    served += 1;
    const limited = is('limits requests') && served % 2 === 0;
    const refusal: Refusal | undefined = limited ? [429, 'rate_limit_error', 'slowly'] : refusalOf(request, is);
    if (refusal === undefined) forward(upstream, changed(request, is, key), response, is);
    else refuse(response, refusal, is);
  };
  const server = http.createServer({ maxHeaderSize: 64 * 1024 }, (incoming, response) => {
    serve(incoming, response).catch(() => {
      response.destroy();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    close: () =>
      new Promise((done) => {
        server.close(() => {
          done();
        });
        server.closeAllConnections();
      }),
  };
}

type Is = (breakage: Breakage) => boolean;
type Refusal = readonly [status: number, type: string, message: string];

function refusalOf({ path, headers, body }: Request, is: Is): Refusal | undefined {
  const both = headers['x-api-key'] !== undefined && headers.authorization !== undefined;
  if (path.startsWith('/v1/organizations') && !is('forwards the Admin API')) {
    return [403, 'permission_error', 'not through this gateway'];
  }
  if (is('refuses bodies over 1 MB') && body.length > 1_000_000) return [413, 'request_too_large', 'too large'];
  if (is('answers 403 to code in prompts') && /<script|UNION SELECT/.test(body.toString())) {
    return [403, 'permission_error', 'Forbidden'];
  }
  if (is('refuses chunked bodies') && headers['transfer-encoding'] !== undefined) {
    return [411, 'invalid_request_error', 'length required'];
  }
  if (is('takes x-api-key only') && headers['x-api-key'] === undefined) return [401, 'authentication_error', 'no key'];
  if (is('takes Authorization only') && headers.authorization === undefined) {
    return [401, 'authentication_error', 'no bearer token'];
  }
  if (is('refuses both headers') && both) return [401, 'authentication_error', 'two credentials'];
  if (is('answers 403 to wrong keys') && headers['x-api-key']?.includes('wrong') === true) {
    return [403, 'permission_error', 'wrong key'];
  }
  const absent =
    (is('has no count_tokens') && path.startsWith('/v1/messages/count_tokens')) ||
    (is('has no models') && /^\/v1\/models($|[/?])/.test(path));
  return absent ? [404, 'not_found_error', 'no such route'] : undefined;
}

function refuse(response: ServerResponse, [status, type, message]: Refusal, is: Is): void {
  const plain = JSON.stringify({ type: 'error', error: { type, message }, request_id: null });
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_own', 'retry-after-ms': '10' });
  response.end(is('re-wraps errors') ? rewrapped(plain) : plain);
}

function rewrapped(text: string): string {
  return JSON.stringify({ error: { message: `upstream error: ${text}`, type: 'None', param: null, code: '400' } });
}

function changed(request: Request, is: Is, key: string): Request {
  const headers = { ...request.headers };
  for (const name of HOP_BY_HOP) Reflect.deleteProperty(headers, name);
  const drop = (matches: (name: string) => boolean): void => {
    for (const name of Object.keys(headers).filter(matches)) Reflect.deleteProperty(headers, name);
  };
  if (is('drops anthropic-beta')) drop((name) => name === 'anthropic-beta');
  if (is('drops a beta of several'))
    headers['anthropic-beta'] = String(headers['anthropic-beta'] ?? '').replace(/^[^,]*,/, '');
  if (is('drops unknown anthropic-* headers')) {
    drop((name) => name.startsWith('anthropic-') && !['anthropic-version', 'anthropic-beta'].includes(name));
  }
  if (is('pins anthropic-version')) headers['anthropic-version'] = '2023-06-01';
  if (is('lets anybody in')) {
    drop((name) => name === 'authorization');
    headers['x-api-key'] = key;
  }
  let { body, path } = request;
  if (is('re-serialises request bodies') && body.length > 0) body = reserialised(body);
  if (is('drops the query')) path = path.split('?', 1)[0] ?? path;
  return { ...request, path, headers, body };
}

function reserialised(body: Buffer): Buffer {
  try {
    return Buffer.from(JSON.stringify(JSON.parse(body.toString())));
  } catch {
    return body;
  }
}

function forward(upstream: URL, request: Request, response: ServerResponse, is: Is): void {
  const outgoing = http.request(new URL(request.path, upstream), {
    method: request.method,
    agent: false,
    headers: { ...request.headers, ...(request.body.length > 0 ? { 'content-length': request.body.length } : {}) },
  });
  response.on('close', () => {
    if (!response.writableFinished && !is('reads on when the client has left')) outgoing.destroy();
  });
  outgoing.on('error', () => {
    response.destroy();
  });
  outgoing.on('response', (incoming) => {
    const { location } = incoming.headers;
    if (location !== undefined && is('follows redirects')) {
      incoming.resume();
      forward(upstream, { ...request, path: location }, response, is);
      return;
    }
    deliver(incoming, request, response, is);
  });
  outgoing.end(request.body);
}

function deliver(incoming: IncomingMessage, request: Request, response: ServerResponse, is: Is): void {
  const status = incoming.statusCode ?? 502;
  const isStream = incoming.headers['content-type']?.startsWith('text/event-stream') === true;
  const compress =
    is('compresses answers') &&
    !isStream &&
    incoming.headers['content-encoding'] === undefined &&
    /gzip/.test(request.headers['accept-encoding'] ?? '');
  const headers = answerHeaders(incoming.headers, is);
  if (compress) headers['content-encoding'] = 'gzip';
  const sentStatus = is('rewrites 529 to 503') && status === 529 ? 503 : status;
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(sentStatus, headers).flushHeaders();
  };
  const whole = is('buffers event streams') || !isStream;
  let held = Buffer.alloc(0);
  let pending = '';
  let idle: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(idle);
    if (is('cuts silent streams') && isStream) idle = setTimeout(() => response.destroy(), CUT_AFTER_MS);
  };
  if (!whole) begin();
  watch();
  incoming.on('data', (chunk: Buffer) => {
    watch();
    if (whole) {
      held = Buffer.concat([held, chunk]);
    } else if (is('buffers event streams by 4 kB')) {
      held = Buffer.concat([held, chunk]);
      if (held.length < 4096) return;
      response.write(held);
      held = Buffer.alloc(0);
    } else {
      pending += chunk.toString('latin1');
      const blocks = pending.split(/(?<=\r?\n\r?\n)/);
      pending = /\n\r?\n$/.test(blocks.at(-1) ?? '') ? '' : (blocks.pop() ?? '');
      for (const block of blocks) response.write(filtered(block, is), 'latin1');
    }
  });
  incoming.on('end', () => {
    clearTimeout(idle);
    begin();
    response.end(
      Buffer.concat([
        whole && !isStream ? rewritten(held, status, compress, is) : held,
        Buffer.from(pending, 'latin1'),
      ]),
    );
  });
  incoming.on('error', () => {
    clearTimeout(idle);
    if (is('ends broken streams cleanly')) response.end();
    else response.destroy();
  });
}

function answerHeaders(from: IncomingHttpHeaders, is: Is): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(from)) {
    const strip =
      HOP_BY_HOP.includes(name) ||
      (is('strips request-id') && name === 'request-id') ||
      (is('strips retry-after') && name.startsWith('retry-after')) ||
      (is('strips x-should-retry') && name === 'x-should-retry') ||
      (is('strips rate-limit headers') && name.startsWith('anthropic-ratelimit-')) ||
      (is('strips other anthropic-* response headers') &&
        name.startsWith('anthropic-') &&
        !name.startsWith('anthropic-ratelimit-'));
    if (!strip && value !== undefined) headers[name] = value;
  }
  if (is('makes its own request-id')) headers['request-id'] = 'req_of_the_gateway';
  return headers;
}

function rewritten(body: Buffer, status: number, compress: boolean, is: Is): Buffer {
  if (is('re-wraps errors') && status >= 400) return Buffer.from(rewrapped(body.toString()));
  if (is('re-serialises answers') && status < 400) return reserialised(body);
  return compress ? gzipSync(body) : body;
}

function filtered(block: string, is: Is): string {
  const name = /^event: ?([^\r\n]*)/m.exec(block)?.[1] ?? '';
  const isComment = block.startsWith(':');
  if (is('swallows pings') && name === 'ping') return '';
  if (is('swallows comments') && isComment) return '';
  if (is('swallows unknown events') && !isComment && !KNOWN_EVENTS.test(name)) return '';
  if (is('alters in-band errors') && name === 'error') return 'event: error\ndata: {"error":"Internal"}\n\n';
  // Only what is not written so already: the values themselves stay.
  return is('writes events anew') ? block.replaceAll('\r\n', '\n').replace(/^(event|data):(?! )/gm, '$1: ') : block;
}
