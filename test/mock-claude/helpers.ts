import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import * as x509 from '@peculiar/x509';
import type { MockScript } from '../../local/mock-claude/server';

/** Headers that the mock wants of every request. */
export const CALLER = { 'x-api-key': 'sk-test', 'anthropic-version': '2023-06-01' } as const;

/** A self-signed certificate for localhost and 127.0.0.1, good for an hour. */
export async function testCertificate(): Promise<{ key: string; cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  x509.cryptoProvider.set(webcrypto);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=mock-claude test',
    keys: keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
  return { key, cert: certificate.toString('pem') };
}

/** How an exchange went, errors included. */
export interface Outcome {
  status: number | undefined;
  headers: IncomingMessage['headers'];
  rawHeaders: string[];
  body: Buffer;
  /** Each piece of the body, with when it came, ms since the request. */
  pieces: { ms: number; bytes: Buffer }[];
  /** When the headers came, ms since the request. */
  headersMs: number | undefined;
  /** The error's code, when the exchange did not end well. */
  error: string | undefined;
  /** Sum of the body's bytes (also where `keep` is false). */
  bytes: number;
}

/** What to send. */
export interface Sending {
  path?: string;
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
  script?: MockScript;
  /** Give up after this many ms. */
  giveUpMs?: number;
  /** Give up once this many bytes have come. */
  giveUpBytes?: number;
  /** False: count the body, do not hold it. */
  keep?: boolean;
}

/** Sends one request on a connection of its own, and never rejects. */
export function send(baseUrl: string, sending: Sending): Promise<Outcome> {
  const begun = Date.now();
  const outcome: Outcome = {
    status: undefined,
    headers: {},
    rawHeaders: [],
    body: Buffer.alloc(0),
    pieces: [],
    headersMs: undefined,
    error: undefined,
    bytes: 0,
  };
  return new Promise((resolve) => {
    const done = (error?: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      outcome.error ??= error === undefined ? undefined : (error.code ?? error.message);
      outcome.body = Buffer.concat(outcome.pieces.map((piece) => piece.bytes));
      resolve(outcome);
    };
    const scriptHeader = sending.script === undefined ? {} : { 'x-mock-script': JSON.stringify(sending.script) };
    const req = http.request(
      `${baseUrl}${sending.path ?? '/v1/messages'}`,
      {
        method: sending.method ?? 'POST',
        agent: false,
        headers: { ...CALLER, ...scriptHeader, ...sending.headers },
      },
      (res) => {
        outcome.status = res.statusCode;
        outcome.headers = res.headers;
        outcome.rawHeaders = res.rawHeaders;
        outcome.headersMs = Date.now() - begun;
        res.on('data', (bytes: Buffer) => {
          outcome.bytes += bytes.length;
          if (sending.keep !== false) outcome.pieces.push({ ms: Date.now() - begun, bytes });
          if (sending.giveUpBytes !== undefined && outcome.bytes >= sending.giveUpBytes) req.destroy();
        });
        res.on('end', () => {
          done();
        });
        res.on('error', done);
        res.on('close', () => {
          done();
        });
      },
    );
    const timer = setTimeout(() => {
      outcome.error = 'gave up';
      req.destroy();
    }, sending.giveUpMs ?? 30_000);
    req.on('error', done);
    req.end(sending.body);
  });
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

/** A parsed SSE event. */
export interface ParsedEvent {
  event: string;
  data: Record<string, unknown>;
}

/** The events of a stream; comments, and what does not parse, are left out. */
export function parseEvents(body: Buffer): ParsedEvent[] {
  return body
    .toString('utf8')
    .split('\n\n')
    .flatMap((block) => {
      const match = /^event: (.*)\ndata: (.*)$/s.exec(block);
      return match === null
        ? []
        : [{ event: match[1] ?? '', data: JSON.parse(match[2] ?? '') as Record<string, unknown> }];
    });
}

/** The names of a stream's events. */
export function eventNames(body: Buffer): string[] {
  return parseEvents(body).map((event) => event.event);
}

/** Waits until `check` holds; fails after 5 s. */
export async function until(check: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!check()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
