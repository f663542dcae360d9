import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { performance } from 'node:perf_hooks';

/** A request, as it goes over the wire. */
export interface Outgoing {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Send the body in pieces and without a length. */
  readonly chunked: boolean;
  readonly timeoutMs: number;
  /** Trusted roots, PEM. @default those of Node */
  readonly ca?: readonly string[];
  /** Leaves when it fires. */
  readonly signal?: AbortSignal;
}

/** An answer, to the byte. */
export interface Incoming {
  readonly status: number;
  /** Names in lower case; lines of one name joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The body's pieces as they came, in ms since the request began. */
  readonly arrivals: readonly { readonly atMs: number; readonly bytes: number }[];
  readonly endMs: number;
  /** Why the answer ended before its end; absent where it is whole. */
  readonly broken?: string;
}

/** No answer at all. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** The system's word, such as ECONNREFUSED. */
  readonly code: string | undefined;

  constructor(error: NodeJS.ErrnoException) {
    // An error that holds several (IPv6 and IPv4 both refused) has an empty message of its own.
    super(error.message || (error.code ?? 'no answer'));
    this.code = error.code;
  }
}

/** Sends one request on a connection of its own. Follows no redirect, decodes nothing, and adds no header but the needed. */
export function exchange(outgoing: Outgoing): Promise<Incoming> {
  const { url, body, signal } = outgoing;
  const began = performance.now();
  const secure = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).request(url, {
      method: outgoing.method,
      agent: false,
      headers: {
        ...outgoing.headers,
        ...(body === undefined ? {} : lengthHeader(body, outgoing.chunked)),
      },
      ...(outgoing.ca === undefined ? {} : { ca: [...outgoing.ca] }),
      ...(signal === undefined ? {} : { signal }),
    });
    const timer = setTimeout(() => {
      request.destroy(new Error(`no whole answer within ${outgoing.timeoutMs / 1000} s`));
    }, outgoing.timeoutMs);
    let answered = false;
    request.on('error', (error) => {
      // A gateway may answer, and close, before it has read a body it does not want: its answer is what counts.
      if (answered) return;
      clearTimeout(timer);
      reject(new NoAnswer(error));
    });
    request.on('response', (response) => {
      answered = true;
      void receive(response, began)
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
          request.destroy();
        });
    });
    write(request, body, outgoing.chunked);
  });
}

function lengthHeader(body: Buffer, chunked: boolean): Record<string, string> {
  return chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(body.length) };
}

function write(request: http.ClientRequest, body: Buffer | undefined, chunked: boolean): void {
  if (body !== undefined && chunked) {
    const third = Math.ceil(body.length / 3);
    for (let at = 0; at < body.length; at += third) request.write(body.subarray(at, at + third));
    request.end();
    return;
  }
  request.end(body);
}

function receive(response: IncomingMessage, began: number): Promise<Incoming> {
  const pieces: Buffer[] = [];
  const arrivals: { atMs: number; bytes: number }[] = [];
  return new Promise((resolve) => {
    const done = (broken?: string): void => {
      resolve({
        status: response.statusCode ?? 0,
        headers: joined(response.rawHeaders),
        body: Buffer.concat(pieces),
        arrivals,
        endMs: performance.now() - began,
        ...(broken === undefined ? {} : { broken }),
      });
    };
    response.on('data', (piece: Buffer) => {
      pieces.push(piece);
      arrivals.push({ atMs: performance.now() - began, bytes: piece.length });
    });
    response.on('end', () => {
      done();
    });
    response.on('error', (error) => {
      done(error.message);
    });
  });
}

function joined(flat: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] ?? '').toLowerCase();
    const value = flat[i + 1] ?? '';
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return headers;
}
