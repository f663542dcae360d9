import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { createKey } from '../lib/registry/document';
import { freePort } from '../local/ports';
import { startValkey } from '../local/valkey-process';
import { VALKEY_FAULTS, ValkeySite, type ValkeyFault } from '../test/gateway/support/valkey-site';
import { startCauseway } from './causeway';
import { addedP99, FAULT_GOAL_MS } from './goals';
import { align, median, type Target } from './rounds';
import type { Bench } from './targets';
import { load, type Load, type Shot } from './wrk';

/** So few, and with such pauses, that a request's time is its own and not that of those before it. */
const CONNECTIONS = 8;
const PAUSE_MS = 10;
/** Slow enough to be counted exactly, one call a request; and no request of a fault is refused. */
const LIMITS = { rate: 9, burst: 100_000 };
/** How long a gateway may take to notice that Valkey is back: the looks at it are up to 5 s apart. */
const BACK_MS = 20_000;

/** What is sent: each is a request for which a healthy gateway asks Valkey. */
const SHOTS: Readonly<Record<string, Shot>> = {
  'rate counted exactly': { pauseMs: PAUSE_MS },
  'answer from the shared tier': { pauseMs: PAUSE_MS, cache: 'max-age=3600' },
};

/** One fault under one kind of request. Times in ms. */
export interface FaultFigures {
  readonly fault: string;
  readonly request: string;
  /** The gateway whose Valkey is well, in the same seconds. */
  readonly healthy: readonly Load[];
  /** The one whose Valkey fails, after its first second. */
  readonly faulty: readonly Load[];
  /** The two seconds in which the fault happens. */
  readonly onset: Load;
}

/** What two gateways differ by when nothing is wrong stands first. */
const FAULTS: readonly Pick<ValkeyFault, 'name' | 'begin' | 'end'>[] = [
  { name: 'none', begin: () => Promise.resolve(), end: () => Promise.resolve() },
  ...VALKEY_FAULTS,
];

/** Measures what each fault of Valkey adds to the time of a request. */
export async function faultRounds(
  dir: string,
  bench: Bench,
  rounds: number,
  seconds: number,
): Promise<readonly FaultFigures[]> {
  const stops: (() => Promise<unknown>)[] = [];
  // One a fault, so that none runs out of tokens.
  const keys = FAULTS.map(() => createKey());
  try {
    const well = await startValkey({ dir: join(dir, 'well'), password: 'of-the-one-that-is-well' });
    stops.push(() => well.stop());
    const site = await ValkeySite.start(join(dir, 'site'));
    stops.push(() => site.stop());
    const start = async (name: string, options: Pick<Parameters<typeof startCauseway>[1], 'valkey' | 'resolvers'>) => {
      const port = await freePort();
      const { nginx, stdout } = await startCauseway(dir, {
        ...bench.upstream,
        ...options,
        port,
        name,
        keys,
        consumers: FAULTS.map((_, index) => ({ id: `bench-${index}`, ...LIMITS })),
        // No time in the node's own memory: each hit asks Valkey.
        config: {
          cache: { ttl: { proxySeconds: 0, edgeSeconds: 0, sharedSeconds: 3600 } },
          observability: { gaugeSeconds: 1 },
        },
      });
      stops.push(() => nginx.stop(2000));
      return { target: { name, url: `https://127.0.0.1:${port}`, pid: nginx.pid }, stdout };
    };
    const healthy = await start('healthy', { valkey: well });
    const { user, password } = site.target;
    const faulty = await start('faulty', {
      valkey: { address: site.target, user, password },
      resolvers: site.resolvers,
    });
    await untilUp(healthy.stdout);
    await untilUp(faulty.stdout);
    const figures: FaultFigures[] = [];
    for (const [index, fault] of FAULTS.entries()) {
      const shoot = (target: Target, shot: Shot, duration: number): Promise<Load> =>
        load(target.url, keys[index] ?? '', CONNECTIONS, duration, shot);
      for (const [request, shot] of Object.entries(SHOTS)) {
        for (const { target } of [healthy, faulty]) await shoot(target, shot, 1);
        // With the load on, as it would be: that is how the fault is noticed.
        const loaded = shoot(faulty.target, shot, 2);
        await fault.begin(site);
        const onset = await loaded;
        const all: { healthy: Load[]; faulty: Load[] } = { healthy: [], faulty: [] };
        for (let round = 0; round < rounds; round += 1) {
          all.healthy.push(await shoot(healthy.target, shot, seconds));
          all.faulty.push(await shoot(faulty.target, shot, seconds));
          process.stderr.write('.');
        }
        figures.push({ fault: fault.name, request, ...all, onset });
        await fault.end(site);
        await untilUp(faulty.stdout);
      }
    }
    process.stderr.write('\n');
    return figures;
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/** The figures as a table: what the fault adds to the healthy gateway's times. */
export function faultTable(figures: readonly FaultFigures[]): string {
  const rows = [
    [
      'fault',
      'request',
      'healthy p50 ms',
      'p99 ms',
      'added p50 ms',
      'added p99 ms',
      `within ${FAULT_GOAL_MS} ms`,
      'longest at its onset ms',
      'errors',
    ],
  ];
  for (const each of figures) {
    const { fault, request, healthy, faulty, onset } = each;
    const of = (loads: readonly Load[], pick: (one: Load) => number): number => median(loads.map(pick));
    const [p50, p99] = [of(healthy, (one) => one.p50Ms), of(healthy, (one) => one.p99Ms)];
    const added = addedP99(each);
    rows.push([
      fault,
      request,
      p50.toFixed(3),
      p99.toFixed(2),
      (of(faulty, (one) => one.p50Ms) - p50).toFixed(3),
      added.toFixed(2),
      added <= FAULT_GOAL_MS ? 'yes' : 'no',
      onset.maxMs.toFixed(1),
      String([...faulty, onset].reduce((sum, one) => sum + one.errors, 0)),
    ]);
  }
  return align(rows);
}

/** Waits until a gateway says that it uses its Valkey. No load is on it; what it has said before is thrown away. */
async function untilUp(stdout: string): Promise<void> {
  truncateSync(stdout);
  const end = Date.now() + BACK_MS;
  while (Date.now() < end) {
    const states = readFileSync(stdout, 'utf8').match(/"ValkeyUp":[01]/g);
    if (states?.at(-1)?.endsWith('1') === true) return;
    await pause(100);
  }
  throw new Error('the gateway does not use Valkey again');
}

function pause(ms: number): Promise<void> {
  return new Promise((settle) => {
    setTimeout(settle, ms);
  });
}
