import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';

import type { MockScript, RecordedRequest } from '../../../local/mock-claude/server';
import type { TestGateway } from '../harness';

/** Header lines in order, names in the case they have on the wire. */
export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** A request, to the byte. */
export interface Sending {
  /** @default POST */
  readonly method?: string;
  /** Request target as it goes over the wire. @default /v1/messages */
  readonly target?: string;
  /** Further header lines, sent as they are. `anthropic-version` is added where it is not among them. */
  readonly headers?: HeaderLines;
  /** What the client authenticates with; none: nothing. @default x-api-key with the gateway's first key */
  readonly credential?: HeaderLines;
  readonly body?: Buffer | string;
  /** Send the body in these pieces, chunked, instead of with a content-length. */
  readonly chunks?: readonly Buffer[];
  readonly script?: MockScript;
  /** Leave after so many bytes of the answer's body. */
  readonly leaveAfterBytes?: number;
}

/** An answer, to the byte. */
export interface Received {
  readonly status: number;
  readonly rawHeaders: HeaderLines;
  /** Names in lower case; lines of one name joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The pieces of the body as they came. */
  readonly pieces: readonly { readonly time: number; readonly bytes: Buffer }[];
}

/** SHA-256, hex. */
export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A message request's body. */
export function messageBody(more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    model: 'claude-sonnet-5-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'Hello' }],
    ...more,
  });
}

/** A script as the header that carries it. */
export function scriptHeader(script: MockScript): readonly [string, string] {
  return ['x-mock-script', asciiJson(script)];
}

/** JSON for a header's value, which holds ASCII only. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Sends one request through the gateway on a connection of its own. Rejects when the answer breaks off. */
export function exchange(gateway: TestGateway, sending: Sending = {}): Promise<Received> {
  const { target = '/v1/messages', script, chunks } = sending;
  const body = Buffer.from(sending.body ?? '');
  const lines: HeaderLines = [
    ['Host', `127.0.0.1:${gateway.httpPort}`],
    ...(sending.headers?.some(([name]) => name.toLowerCase() === 'anthropic-version') === true
      ? []
      : ([['anthropic-version', '2023-06-01']] as const)),
    ...(sending.credential ?? ([['x-api-key', gateway.key]] as const)),
    ...(script === undefined ? [] : [scriptHeader(script)]),
    ...(sending.headers ?? []),
    ...(chunks === undefined
      ? body.length > 0 || sending.body !== undefined
        ? ([['Content-Length', String(body.length)]] as const)
        : []
      : ([['Transfer-Encoding', 'chunked']] as const)),
  ];
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: '127.0.0.1',
      port: gateway.httpPort,
      method: sending.method ?? 'POST',
      path: target,
      agent: false,
      // Types say objects only; Node takes the flat list of rawHeaders too (documented at http.request).
      headers: lines.flat() as unknown as http.OutgoingHttpHeaders,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      void receive(response, sending.leaveAfterBytes).then(resolve, reject);
    });
    for (const chunk of chunks ?? []) request.write(chunk);
    request.end(chunks === undefined && body.length > 0 ? body : undefined);
  });
}

function receive(response: IncomingMessage, leaveAfterBytes = Infinity): Promise<Received> {
  const pieces: { time: number; bytes: Buffer }[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    const done = (): void => {
      resolve({
        status: response.statusCode ?? 0,
        rawHeaders: pairs(response.rawHeaders),
        headers: joined(pairs(response.rawHeaders)),
        body: Buffer.concat(pieces.map((piece) => piece.bytes)),
        pieces,
      });
    };
    response.on('data', (piece: Buffer) => {
      pieces.push({ time: Date.now(), bytes: piece });
      bytes += piece.length;
      if (bytes < leaveAfterBytes) return;
      response.removeAllListeners('error');
      response.on('error', () => undefined);
      response.destroy();
      done();
    });
    response.on('end', done);
    response.on('error', reject);
  });
}

/** A flat list of names and values as lines. */
export function pairs(flat: readonly string[]): (readonly [string, string])[] {
  const lines: (readonly [string, string])[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) lines.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return lines;
}

function joined(lines: HeaderLines): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of lines) {
    const lower = name.toLowerCase();
    headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`;
  }
  return headers;
}

/** The values of every line of one name, in order. */
export function valuesOf(lines: HeaderLines, name: string): string[] {
  return lines.filter(([each]) => each.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}

/** What the mock received last. */
export function lastRequest(gateway: TestGateway): RecordedRequest {
  const record = gateway.mock.requests().at(-1);
  if (record === undefined) throw new Error('the mock received nothing');
  return record;
}
