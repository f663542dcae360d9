import { setTimeout as sleep } from 'node:timers/promises';

import type { MockScript, RecordedRequest } from '../local/mock-claude/server';
import { exchange, type Incoming } from './client';
import type { MockAdmin } from './mock-admin';
import { addUsage, noUsage, type Usage } from './usage';

/** Which header carries the key. */
export type CredentialHeader = 'x-api-key' | 'authorization' | 'both';

/** A gateway, and how to talk to it. */
export interface TargetOptions {
  readonly baseUrl: URL;
  readonly key: string;
  readonly header: CredentialHeader;
  readonly model: string;
  /** For a whole answer. */
  readonly timeoutMs: number;
  /** How long a stream is kept silent. */
  readonly silenceMs: number;
  /** Trusted roots, PEM. @default those of Node */
  readonly ca?: readonly string[];
  /** The mock behind the gateway. @default none: the upstream may be any */
  readonly mock?: MockAdmin;
}

/** A request of a check. */
export interface Sending {
  /** @default POST with a body, else GET */
  readonly method?: string;
  /** Path and query. @default /v1/messages */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Headers to authenticate with. @default the target's key in the target's header */
  readonly credential?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly chunked?: boolean;
  /** How the mock is to answer this request; ignored where there is none. */
  readonly script?: MockScript;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** An answer, and the request as the mock received it. */
export interface Answer extends Incoming {
  /** Absent where there is no mock, or where nothing reached it. */
  readonly seen?: RecordedRequest;
}

/** The gateway's own limits are no failure: so often they are waited for. */
const LIMITED_ATTEMPTS = 6;
const LONGEST_WAIT_MS = 15_000;

/** A gateway under test. */
export class Target {
  /** Requests that were sent. */
  requests = 0;
  /** Requests that reached the mock. */
  seen = 0;
  /** Tokens that the answers reported. */
  readonly usage: Usage = noUsage();

  constructor(readonly options: TargetOptions) {}

  get mock(): MockAdmin | undefined {
    return this.options.mock;
  }

  /** Sends a request. A 429 that the upstream does not know of is the gateway's own limit: waited for, and sent again. */
  async send(sending: Sending): Promise<Answer> {
    const { mock } = this;
    const path = sending.path ?? '/v1/messages';
    const bare = path.split('?', 1)[0] ?? path;
    const rules = sending.script === undefined ? [] : [{ match: { path: bare }, script: sending.script }];
    for (let attempt = 1; ; attempt += 1) {
      await mock?.script(rules);
      let records: readonly RecordedRequest[] = [];
      const answer = await this.sendBeside(sending).finally(async () => {
        records = (await mock?.newRequests()) ?? [];
      });
      // A gateway may map its paths below another one of its upstream.
      const seen = records.find((record) => record.url.split('?', 1)[0]?.endsWith(bare) === true);
      if (seen !== undefined) this.seen += 1;
      addUsage(this.usage, answer);
      if (answer.status !== 429 || seen !== undefined || attempt >= LIMITED_ATTEMPTS) {
        return seen === undefined ? answer : { ...answer, seen };
      }
      await sleep(Math.min(waitOf(answer), LONGEST_WAIT_MS));
    }
  }

  /** The body of a short message request. */
  message(more: Readonly<Record<string, unknown>> = {}): string {
    return JSON.stringify({
      model: this.options.model,
      max_tokens: 1,
      messages: [{ role: 'user', content: 'Say hello.' }],
      ...more,
    });
  }

  /** Headers that authenticate. */
  credential(header: CredentialHeader = this.options.header, key = this.options.key): Record<string, string> {
    return {
      ...(header === 'authorization' ? {} : { 'x-api-key': key }),
      ...(header === 'x-api-key' ? {} : { authorization: `Bearer ${key}` }),
    };
  }

  /** Sends a request as it is, once, and asks the mock nothing: other requests may be under way. */
  sendBeside(sending: Sending): Promise<Incoming> {
    const { baseUrl, ca, timeoutMs } = this.options;
    const path = sending.path ?? '/v1/messages';
    this.requests += 1;
    return exchange({
      method: sending.method ?? (sending.body === undefined ? 'GET' : 'POST'),
      url: new URL(`${baseUrl.href.replace(/\/+$/, '')}${path}`),
      headers: {
        'anthropic-version': '2023-06-01',
        ...(sending.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(sending.credential ?? this.credential()),
        ...sending.headers,
      },
      chunked: sending.chunked ?? false,
      timeoutMs: sending.timeoutMs ?? timeoutMs,
      ...(sending.body === undefined ? {} : { body: Buffer.from(sending.body) }),
      ...(ca === undefined ? {} : { ca }),
      ...(sending.signal === undefined ? {} : { signal: sending.signal }),
    });
  }
}

function waitOf({ headers }: Incoming): number {
  const ms = Number(headers['retry-after-ms'] ?? NaN);
  if (Number.isFinite(ms)) return ms;
  const seconds = Number(headers['retry-after'] ?? NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : 1000;
}
