import type { H2Headers } from '../h2-wire';

/** The keys that attacks use, by what they are. */
export interface Keys {
  /** A consumer without policies. */
  readonly open: string;
  /** May use models whose name begins with `claude-haiku-` only. */
  readonly haiku: string;
  /** As `haiku`, and has named its routes, `other` among them. */
  readonly haikuEverywhere: string;
  /** May send 64 bytes. */
  readonly small: string;
  /** May use `models` and `count` only. */
  readonly reader: string;
  /** Revoked: it was in the registry. */
  readonly revoked: string;
  /** Its rotation has come to its end. */
  readonly expired: string;
  /** Of a consumer that is disabled. */
  readonly disabled: string;
}

/** How an attack must end. */
export type Ending =
  /** An error of the gateway's own, in the API's shape. Nothing reaches the upstream. */
  | { readonly status: number; readonly type: string }
  /** The stream is reset or the connection closed without an answer. Nothing reaches the upstream. */
  | { readonly cut: string }
  /** It is no attack here: exactly one request reaches the upstream, as it should be. */
  | { readonly passes: string };

/** One attack: bytes on a connection of their own. */
export interface Attack {
  readonly name: string;
  /** What is written on a plain connection, one character a byte. */
  readonly bytes?: (keys: Keys) => string;
  /** Or what is sent as one HTTP/2 request. */
  readonly http2?: (keys: Keys) => { readonly headers: H2Headers; readonly body?: string };
  readonly ends: Ending;
}

/** Attacks on one part of the gateway. */
export interface AttackTable {
  readonly theme: string;
  readonly attacks: readonly Attack[];
}

export const CRLF = '\r\n';

/** A message that is in order, for a model that is not allowed to everybody. */
export const MESSAGE = '{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}';

/** A body in one chunk. */
export function chunked(body: string): string {
  return `${body.length.toString(16)}${CRLF}${body}${CRLF}0${CRLF}${CRLF}`;
}

/** A request: `lines` stand between the usual headers and the end of the head, without line ends. */
export function request(target: string, key: string | undefined, lines: readonly string[] = [], body = ''): string {
  return [
    target.includes(' ') ? target : `GET ${target} HTTP/1.1`,
    'Host: gateway.test',
    ...(key === undefined ? [] : [`x-api-key: ${key}`]),
    'anthropic-version: 2023-06-01',
    'content-type: application/json',
    ...lines,
    '',
    body,
  ].join(CRLF);
}

/** A message request. */
export function post(key: string | undefined, lines: readonly string[], body: string): string {
  return request('POST /v1/messages HTTP/1.1', key, lines, body);
}

/** A message request with the right length. */
export function sized(key: string | undefined, body: string, lines: readonly string[] = []): string {
  return post(key, [...lines, `Content-Length: ${body.length}`], body);
}

/** What must never be taken for a request of its own. */
export function smuggled(key: string): string {
  return `GET /v1/smuggled HTTP/1.1${CRLF}Host: gateway.test${CRLF}x-api-key: ${key}${CRLF}${CRLF}`;
}

/** nginx itself refuses: not HTTP. */
export const NOT_HTTP: Ending = { status: 400, type: 'invalid_request_error' };
export const UNAUTHENTICATED: Ending = { status: 401, type: 'authentication_error' };
export const FORBIDDEN: Ending = { status: 403, type: 'permission_error' };

/** How an ending is written in docs/security.md. */
export function describeEnding(ending: Ending): string {
  if ('status' in ending) return `${ending.status} \`${ending.type}\``;
  return 'cut' in ending ? `no answer: ${ending.cut}` : `passes: ${ending.passes}`;
}
