import { randomBytes } from 'node:crypto';
import { readFileSync, truncateSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { eventually, startGateway, UPSTREAM_SECRET, type GatewayOptions, type TestGateway } from './harness';
import { send } from './support/http-client';

/** Done-when 4 of the issue names a million; an ordinary run takes fewer. */
const LONG = process.env['CAUSEWAY_LONG_TESTS'] === '1';
const CREDENTIALS = { keys: LONG ? 1_000_000 : 100_000, passthrough: LONG ? 1_000_000 : 30_000 };
const MIB = 1024 * 1024;
/** Workers reach the size at which their collector holds them (32 MB, measured) by then, on a fast machine too. */
const WARM_UP = 40_000;
/** What a worker's memory may do by itself: half of what that size is above an idle worker's. */
const NOISE_BYTES = 10 * MIB;

const WIDE: GatewayOptions = {
  config: { limits: { perAddress: { rate: 100_000, burst: 100_000 } } },
  mock: { keepRequests: 100 },
};

const CONNECTIONS = 8;
const PIPELINED = 50;

/** Sends requests, each with a credential that nobody has seen, and counts the answers by status. */
async function flood(gateway: TestGateway, count: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  let left = count;
  const client = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port: gateway.httpPort, host: '127.0.0.1', noDelay: true });
      let awaited = 0;
      let tail = '';
      const write = (): void => {
        awaited = Math.min(PIPELINED, left);
        left -= awaited;
        if (awaited === 0) {
          socket.destroy();
          resolve();
          return;
        }
        const requests = Array.from({ length: awaited }, (_, index) => {
          const credential = `cwk_${randomBytes(32).toString('base64url')}`;
          // Both headers, in turns.
          const line = index % 2 === 0 ? `x-api-key: ${credential}` : `Authorization: Bearer ${credential}`;
          return `GET /v1/models HTTP/1.1\r\nHost: gateway\r\nanthropic-version: 2023-06-01\r\n${line}\r\n\r\n`;
        });
        socket.write(requests.join(''));
      };
      socket.on('data', (data: Buffer) => {
        tail += data.toString('latin1');
        for (let at = tail.indexOf('HTTP/1.1 '); at >= 0 && at + 12 <= tail.length; at = tail.indexOf('HTTP/1.1 ')) {
          const status = Number(tail.slice(at + 9, at + 12));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          tail = tail.slice(at + 12);
          awaited -= 1;
        }
        tail = tail.slice(-16);
        if (awaited === 0) write();
      });
      socket.once('connect', write);
      socket.once('error', reject);
      socket.once('close', () => {
        if (awaited > 0) reject(new Error(`the gateway closed with ${awaited} answers to come`));
      });
    });
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  return statuses;
}

/** The same in portions, the log cut between them: a million lines are a gigabyte. */
async function floodInPortions(gateway: TestGateway, count: number): Promise<Map<number, number>> {
  const sum = new Map<number, number>();
  for (let done = 0; done < count; done += 20_000) {
    for (const [status, times] of await flood(gateway, Math.min(20_000, count - done))) {
      sum.set(status, (sum.get(status) ?? 0) + times);
    }
    truncateSync(join(gateway.dir, 'log', 'stdout.jsonl'));
  }
  return sum;
}

interface State {
  /** Resident bytes of each worker. */
  readonly memory: number[];
  /** Free bytes of each shared dictionary. */
  readonly free: Record<string, number>;
  readonly dimensions: number;
}

/** What the node holds now: its workers' memory, and the dictionaries as its own gauges tell. */
async function stateOf(gateway: TestGateway): Promise<State> {
  truncateSync(join(gateway.dir, 'log', 'stdout.jsonl'));
  const free: Record<string, number> = {};
  await eventually(() => {
    for (const line of gateway.lines()) {
      if (typeof line['Dict'] === 'string') free[line['Dict']] = Number(line['DictFreeBytes']);
    }
    return Object.keys(free).length >= 4 ? true : undefined;
  }, 15_000);
  const memory = gateway.nginx.workers().map((pid) => {
    const pages = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(pages) * 1024;
  });
  const dimensions = gateway.lines().filter((line) => line['Consumer'] !== undefined).length;
  return { memory, free, dimensions };
}

async function expectFlat(gateway: TestGateway, count: number, expected: number): Promise<void> {
  await floodInPortions(gateway, WARM_UP);
  const before = await stateOf(gateway);
  const statuses = await floodInPortions(gateway, count);
  expect([...statuses]).toEqual([[expected, count]]);
  const after = await stateOf(gateway);
  expect(after.memory).toHaveLength(before.memory.length);
  after.memory.forEach((bytes, worker) => {
    expect(bytes - (before.memory[worker] ?? 0)).toBeLessThan(NOISE_BYTES);
  });
  expect(after.free).toEqual(before.free);
  expect(after.dimensions).toBe(0);
}

describe('credentials that nobody has', () => {
  let gateway: TestGateway | undefined;
  const start = async (options: GatewayOptions): Promise<TestGateway> => (gateway = await startGateway(options));
  afterEach(async () => {
    await gateway?.stop();
    gateway = undefined;
  });

  test(
    `${CREDENTIALS.keys} of them leave memory and dictionaries as they were (keys)`,
    async () => {
      const running = await start(WIDE);
      await expectFlat(running, CREDENTIALS.keys, 401);
      expect(running.mock.requests()).toEqual([]);
      expect((await send(running, { method: 'GET', path: '/v1/models' })).status).toBe(200);
    },
    LONG ? 1_800_000 : 120_000,
  );

  test(
    `${CREDENTIALS.passthrough} of them leave memory and dictionaries as they were (passthrough)`,
    async () => {
      const running = await start({ ...WIDE, config: { ...WIDE.config, auth: { mode: 'passthrough' } } });
      // They are the upstream's to refuse.
      await expectFlat(running, CREDENTIALS.passthrough, 401);
      expect(running.mock.requests().length).toBeGreaterThan(0);
    },
    LONG ? 3_600_000 : 180_000,
  );

  test('are limited by address in passthrough too, and one that the upstream accepts is not', async () => {
    const running = await start({
      ...WIDE,
      config: {
        auth: { mode: 'passthrough' },
        consumers: { defaults: { rate: 1000, burst: 1000 } },
        limits: { perAddress: { rate: 0.1, burst: 5 } },
      },
    });
    const good = UPSTREAM_SECRET;
    const ask = (key: string, method = 'GET') => send(running, { key, method, path: '/v1/models?limit=1' });
    expect((await ask(good)).status).toBe(200);
    // Known from its first answer on.
    expect((await Promise.all(Array.from({ length: 40 }, () => ask(good)))).map(({ status }) => status)).toEqual(
      Array.from({ length: 40 }, () => 200),
    );
    const statuses = await Promise.all(Array.from({ length: 20 }, async (_, i) => (await ask(`sk-ant-${i}`)).status));
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(7);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect((await ask(good)).status).toBe(200);
  });

  test('are not proven by an answer that no credential is needed for', async () => {
    const running = await start({
      ...WIDE,
      config: { auth: { mode: 'passthrough' }, limits: { perAddress: { rate: 0.1, burst: 5 } } },
    });
    running.mock.script({ match: { method: 'OPTIONS' }, script: { status: 204 } });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => send(running, { key: UPSTREAM_SECRET, method: 'OPTIONS', body: '' })),
    );
    expect(answers.filter(({ status }) => status === 204).length).toBeLessThanOrEqual(7);
    const line = await running.waitForLine((each) => each['method'] === 'OPTIONS' && each['status'] === 204);
    expect(line['Consumer']).toBeUndefined();
  });
});
