import https from 'node:https';
import { join } from 'node:path';

import { freePort } from '../local/ports';
import { startValkey } from '../local/valkey-process';
import { startCauseway } from './causeway';
import { loadRounds, loadTable, median, type Rounds, type Target } from './rounds';
import { percentile } from './streams';
import type { Bench } from './targets';

/** Connections of every figure here. */
const CONNECTIONS = 32;
/** Identical requests at a time, and how often. */
const FLIGHT = 100;
const FLIGHTS = 10;

/** What a flight of requests saw, in ms. */
export interface Flight {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What the cache and the limits of the fleet cost or save. */
export interface Shared {
  /** Beside a plain nginx that serves a file of the same size. */
  readonly hits: Rounds;
  /** The same gateway with and without limits that are held over a fleet. */
  readonly fleet: Rounds;
  /** {@link FLIGHT} identical requests at once, as a flight and each for itself. */
  readonly flights: Readonly<Record<'one flight' | 'each for itself', Flight>>;
}

/** Measures cache hits, single flight and the limits of the fleet. */
export async function sharedRounds(dir: string, bench: Bench, rounds: number, seconds: number): Promise<Shared> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const valkey = await startValkey({ dir: join(dir, 'valkey') });
    stops.push(() => valkey.stop());
    const start = async (name: string, proxySeconds: number): Promise<Target> => {
      const port = await freePort();
      const { nginx, stdout } = await startCauseway(dir, {
        ...bench.upstream,
        port,
        name,
        valkey,
        keys: [bench.key],
        config: { cache: { ttl: { proxySeconds, sharedSeconds: 3600, edgeSeconds: 0 } } },
      });
      stops.push(() => nginx.stop(2000));
      return { name, url: `https://127.0.0.1:${port}`, pid: nginx.pid, log: stdout };
    };
    // Without a time in the node's own memory each hit comes from Valkey.
    const [l1, l2] = [await start('shared', 3600), await start('shared-l2', 0)];
    const [, plain, alone] = bench.targets;
    const models = { method: 'GET', path: '/v1/models' } as const;
    const message = { cache: 'max-age=3600' };
    await new Promise((settle) => setTimeout(settle, 2000));
    const hits = await loadRounds(
      [
        { ...plain, name: 'static file', shot: { method: 'GET', path: '/static.json' } },
        { ...l1, name: 'hit L1, models', shot: models },
        { ...l1, name: 'hit L1, messages', shot: message },
        { ...l2, name: 'hit L2, messages', shot: message },
      ],
      bench.key,
      rounds,
      seconds,
      [CONNECTIONS],
    );
    const fleet = await loadRounds(
      [
        { ...alone, name: 'one node alone' },
        { ...l1, name: 'limits of the fleet' },
      ],
      bench.key,
      rounds,
      seconds,
      [CONNECTIONS],
    );
    const flights = {
      'one flight': await flight(bench, l1.url, { 'x-causeway-cache': 'max-age=60' }),
      'each for itself': await flight(bench, l1.url, { 'x-causeway-cache': 'no-store' }),
    };
    return { hits, fleet, flights };
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/** The figures as tables. */
export function sharedTables({ hits, fleet, flights }: Shared): string {
  const lines = Object.entries(flights).map(
    ([name, { p50Ms, p99Ms }]) =>
      `${FLIGHT} identical requests at once, ${name}: p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
  );
  return `${loadTable(hits, 'static file')}\n${loadTable(fleet, 'one node alone')}\n${lines.join('\n')}\n`;
}

/** Identical requests at once, again and again with another body, to an upstream that takes 50 ms. */
async function flight(bench: Bench, url: string, headers: Readonly<Record<string, string>>): Promise<Flight> {
  const agent = new https.Agent({ keepAlive: true, maxSockets: FLIGHT, ca: bench.ca });
  const p50: number[] = [];
  const p99: number[] = [];
  try {
    // The first one opens the connections.
    for (let index = 0; index <= FLIGHTS; index += 1) {
      const body = `{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"${Math.random()}"}]}`;
      const times = await Promise.all(
        Array.from({ length: FLIGHT }, () => timed(url, agent, { ...headers, 'x-api-key': bench.key }, body)),
      );
      if (index === 0) continue;
      p50.push(percentile(times, 0.5));
      p99.push(percentile(times, 0.99));
    }
  } finally {
    agent.destroy();
  }
  return { p50Ms: median(p50), p99Ms: median(p99) };
}

function timed(
  url: string,
  agent: https.Agent,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<number> {
  return new Promise((settle, reject) => {
    const started = performance.now();
    const request = https.request(
      `${url}/v1/messages`,
      {
        method: 'POST',
        agent,
        headers: {
          'anthropic-version': '2023-06-01',
          'content-type': 'application/json',
          'x-bench-delay': '0.05',
          ...headers,
        },
      },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`a request was answered with ${response.statusCode ?? 0}`));
        response.resume();
        response.on('end', () => {
          settle(performance.now() - started);
        });
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
