import http from 'node:http';
import https from 'node:https';

import type { TestGateway } from '../harness';
import { headersOf, messageBody, send, type Answer, type RequestOptions } from './http-client';

/** Load that runs until it is stopped. */
export interface Load {
  /** Requests answered as they should be, so far. */
  succeeded(): number;
  /** What went wrong, so far: `Error: socket hang up`, `status 502`. */
  failures(): string[];
  /** Lets each client end its request, and ends. */
  stop(): Promise<void>;
}

/** How load is made. */
export interface LoadOptions extends Omit<RequestOptions, 'agent'> {
  /** Clients that send one request after the other. @default 8 */
  readonly clients?: number;
  /** @default true */
  readonly keepAlive?: boolean;
  /** Milliseconds that each client waits between two requests. @default 0 */
  readonly pauseMs?: number;
  /** Whether an answer is what it should be. @default its status is 200 */
  readonly good?: (answer: Answer) => boolean;
  /** @default by node:http, over the agent's connections */
  readonly sender?: (gateway: TestGateway, options: RequestOptions) => Promise<Answer>;
}

/** One request by `fetch`, which keeps connections in a pool of its own (undici): what the official SDK uses. */
export async function sendByFetch(gateway: TestGateway, options: RequestOptions): Promise<Answer> {
  const response = await fetch(`${gateway.baseUrl}${options.path ?? '/v1/messages'}`, {
    method: 'POST',
    headers: headersOf(gateway, options),
    body: messageBody(),
  });
  return { status: response.status, headers: {}, text: await response.text() };
}

/** Clients that send one small request after the other. */
export function startLoad(gateway: TestGateway, options: LoadOptions = {}): Load {
  const {
    clients = 8,
    keepAlive = true,
    pauseMs = 0,
    good = (answer: Answer) => answer.status === 200,
    sender = send,
  } = options;
  const failures: string[] = [];
  let succeeded = 0;
  let running = true;
  const settings = { keepAlive, maxSockets: clients };
  const agent =
    options.tls === true
      ? new https.Agent({ ...settings, ca: gateway.authority.root, maxCachedSessions: keepAlive ? 100 : 0 })
      : new http.Agent(settings);
  const client = async (): Promise<void> => {
    while (running) {
      try {
        const answer = await sender(gateway, { ...options, agent });
        if (good(answer)) succeeded += 1;
        else failures.push(`status ${answer.status}: ${answer.text.slice(0, 200)}`);
      } catch (error) {
        failures.push(String(error));
      }
      if (pauseMs > 0) await new Promise((done) => setTimeout(done, pauseMs));
    }
  };
  const all = Promise.all(Array.from({ length: clients }, client));
  return {
    succeeded: () => succeeded,
    failures: () => failures,
    stop: async () => {
      running = false;
      await all;
      agent.destroy();
    },
  };
}
