import type { ValkeyProcess } from '../../local/valkey-process';
import { sleep, startNodes, type TestGateway, type TestNodes } from './harness';
import { fleetIs, gaugeSays, revive, roundTrips } from './support/fleet';
import { send } from './support/http-client';
import { pace, total } from './support/pace';

/** Done-when 7 of the issue is measured over 60 s; an ordinary run takes less. */
const LONG = process.env['CAUSEWAY_LONG_TESTS'] === '1';
const SECONDS = LONG ? 60 : 8;

const FAST = { rate: 30, burst: 30 };
const SLOW = { rate: 5, burst: 10 };

describe('the rate of a consumer over three nodes', () => {
  let fleet: TestNodes;
  const key = (id: string): string => fleet.keys[id] ?? '';

  beforeAll(async () => {
    fleet = await startNodes(3, {
      consumers: [
        { id: 'fast', ...FAST },
        { id: 'slow', ...SLOW },
        { id: 'alone', rate: 30, burst: 0 },
      ],
    });
    await fleetIs(fleet.nodes);
  }, 60_000);
  afterAll(() => fleet.stop());

  const spread = (shares: readonly number[], id: string, perSecond: number, seconds: number) =>
    Promise.all(fleet.nodes.map((node, index) => pace(node, key(id), perSecond * (shares[index] ?? 0), seconds)));

  test(
    `one that asks ten times as much for ${SECONDS} s, 90 % of it of one node, gets it within 3 %, at few round trips`,
    async () => {
      const before = await roundTrips(fleet.valkey);
      const counts = await spread([0.9, 0.05, 0.05], 'fast', FAST.rate * 10, SECONDS);
      const calls = (await roundTrips(fleet.valkey)) - before;
      const { accepted, refused, other, asked, seconds } = total(counts);
      expect(other).toBe(0);
      expect(refused).toBeGreaterThan(accepted * 3);
      // What the bucket held at the start, and the rate from then on; the last leases may not be used up.
      const sustained = accepted - FAST.burst - 1;
      expect(sustained).toBeGreaterThanOrEqual(FAST.rate * asked * 0.97 - 6);
      expect(sustained).toBeLessThanOrEqual(FAST.rate * seconds * 1.03 + 1);
      // All that nodes say to Valkey, that they live included. While the burst lasts, leases are small.
      expect(calls / accepted).toBeLessThan(LONG ? 0.2 : 0.4);
    },
    (SECONDS + 30) * 1000,
  );

  test(
    `one that keeps to 5 a second, with bursts of 10 wherever they go, sees no 429 for ${SECONDS} s`,
    async () => {
      const end = Date.now() + SECONDS * 1000;
      const statuses = new Map<number, number>();
      let index = 0;
      while (Date.now() < end) {
        const answers = await Promise.all(
          Array.from({ length: 11 }, () => {
            index += 1;
            const node = fleet.nodes[index % 3] ?? fleet.nodes[0];
            return send(node, { key: key('slow'), method: 'GET', path: '/v1/models?limit=1' });
          }),
        );
        for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
        // Since the last of them was counted, at the latest.
        await sleep((11 / SLOW.rate) * 1000);
      }
      expect([...statuses.keys()]).toEqual([200]);
    },
    (SECONDS + 30) * 1000,
  );

  test('a refusal says what it says without a fleet', async () => {
    const ask = (node: TestGateway) => send(node, { key: key('alone'), method: 'GET', path: '/v1/models?limit=1' });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask(fleet.nodes[index % 3] ?? fleet.nodes[0])),
    );
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers).toMatchObject({
      'retry-after': '1',
      'x-should-retry': 'true',
      'anthropic-ratelimit-requests-limit': '1800',
      'anthropic-ratelimit-requests-remaining': '0',
    });
    const wait = Number(refused?.headers['retry-after-ms']);
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThan(2000);
  });
});

describe('without Valkey', () => {
  let fleet: TestNodes;
  let revived: ValkeyProcess | undefined;
  beforeAll(async () => {
    fleet = await startNodes(3, { consumers: [{ id: 'thirty', rate: 30, burst: 6 }] });
    await fleetIs(fleet.nodes);
  }, 60_000);
  afterAll(async () => {
    await fleet.stop();
    await revived?.stop();
  });

  const offer = async (seconds: number) => {
    const key = fleet.keys['thirty'] ?? '';
    return Promise.all(fleet.nodes.map((node) => pace(node, key, 60, seconds)));
  };

  test('each node keeps a third of the rate, however it is away, and all have the whole again when it is back', async () => {
    for (const away of ['hung', 'killed'] as const) {
      if (away === 'hung') fleet.valkey.pause();
      else await fleet.valkey.kill();
      await Promise.all(fleet.nodes.map((node) => gaugeSays(node, { FleetNodes: 3, FleetDegraded: 1, ValkeyUp: 0 })));
      for (const { accepted, refused, other, asked, seconds } of await offer(4)) {
        expect(other).toBe(0);
        expect(refused).toBeGreaterThan(accepted);
        expect(accepted).toBeGreaterThanOrEqual(10 * asked * 0.9);
        expect(accepted).toBeLessThanOrEqual(2 + 1 + 10 * seconds + 1);
      }
      if (away === 'hung') fleet.valkey.resume();
      else revived = await revive(fleet.valkey);
      await fleetIs(fleet.nodes);
      const { accepted, other, asked, seconds } = total(await offer(4));
      expect(other).toBe(0);
      expect(accepted).toBeGreaterThanOrEqual(30 * asked * 0.9);
      expect(accepted).toBeLessThanOrEqual(6 + 1 + 30 * seconds * 1.03 + 1);
    }
  }, 120_000);
});
