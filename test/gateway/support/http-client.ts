import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

import type { MockScript } from '../../../local/mock-claude/server';
import type { TestGateway } from '../harness';

/** What a client got. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

/** How a request is made. */
export interface RequestOptions {
  readonly path?: string;
  readonly method?: string;
  readonly key?: string;
  readonly body?: string | Buffer;
  readonly script?: MockScript;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: http.Agent | https.Agent;
  /** Over TLS. @default false */
  readonly tls?: boolean;
}

/** A request under way, and the answer as it arrives. */
export interface Exchange {
  readonly request: http.ClientRequest;
  /** The answer's head. */
  readonly head: Promise<http.IncomingMessage>;
  /** Bytes of the answer's body so far. */
  bytes(): number;
  /** The whole answer; rejects where it ends before its end. */
  readonly answer: Promise<Answer>;
}

/** A message as the API takes it. */
export function messageBody(more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    model: 'claude-sonnet-5-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'Hello' }],
    ...more,
  });
}

/** Headers of a request to the gateway. */
export function headersOf(gateway: TestGateway, options: RequestOptions = {}): Record<string, string> {
  return {
    'x-api-key': options.key ?? gateway.key,
    'anthropic-version': '2023-06-01',
    'content-type': 'application/json',
    ...(options.script === undefined ? {} : { 'x-mock-script': JSON.stringify(options.script) }),
    ...options.headers,
  };
}

/** Begins a request; without a body it is left open for the test to write. */
export function begin(gateway: TestGateway, options: RequestOptions & { readonly open?: boolean } = {}): Exchange {
  const base = options.tls === true ? gateway.tlsUrl : gateway.baseUrl;
  const module = options.tls === true ? https : http;
  const request = module.request(`${base}${options.path ?? '/v1/messages'}`, {
    method: options.method ?? 'POST',
    headers: headersOf(gateway, options),
    ...(options.agent === undefined ? { agent: false } : { agent: options.agent }),
    ...(options.tls === true ? { ca: gateway.authority.root } : {}),
  });
  let count = 0;
  const head = new Promise<http.IncomingMessage>((settle, reject) => {
    request.once('response', settle);
    request.once('error', reject);
  });
  const answer = head.then(
    (response) =>
      new Promise<Answer>((settle, reject) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => {
          count += chunk.length;
          chunks.push(chunk);
        });
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          settle({ status: response.statusCode ?? 0, headers: response.headers, text });
        });
      }),
  );
  // A test that only looks at one of them must not fail on the other.
  head.catch(() => undefined);
  answer.catch(() => undefined);
  if (options.open !== true) request.end(options.body ?? (options.method === 'GET' ? undefined : messageBody()));
  return { request, head, answer, bytes: () => count };
}

/** One request and its answer. */
export function send(gateway: TestGateway, options: RequestOptions = {}): Promise<Answer> {
  return begin(gateway, options).answer;
}

/** Begins a stream whose answer is scripted. */
export function beginStream(gateway: TestGateway, script: MockScript, options: RequestOptions = {}): Exchange {
  return begin(gateway, { body: messageBody({ stream: true }), script, ...options });
}

/** The text that a stream's deltas add up to, and whether it came to its end. */
export function readStream(sse: string): { text: string; complete: boolean; error: string | undefined } {
  let text = '';
  let error: string | undefined;
  for (const block of sse.split('\n\n')) {
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data === undefined) continue;
    const event = JSON.parse(data) as { type: string; delta?: { text?: string }; error?: { type: string } };
    text += event.delta?.text ?? '';
    error ??= event.error?.type;
  }
  return { text, complete: /\nevent: message_stop\ndata: .*\n\n$/.test(sse), error };
}

/** SHA-256, hex. */
export function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
