import { eventually, sleep, startGateway, startNodes, type TestGateway } from './harness';
import { fleetIs } from './support/fleet';
import { send } from './support/http-client';
import { pace, total, type Count } from './support/pace';

const SECONDS = process.env['CAUSEWAY_LONG_TESTS'] === '1' ? 60 : 8;
/** Requests per second that the mock announces. */
const ANNOUNCED = 10;
const MESSAGE = { method: 'POST', path: '/v1/messages' };

const rfc3339 = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** Has all answers say that little is left of so many requests a minute, for so long. */
function announceScarcity(gateway: TestGateway, seconds: number): void {
  gateway.mock.script({
    match: { path: '/v1/messages' },
    script: {
      headers: {
        'anthropic-ratelimit-requests-limit': String(ANNOUNCED * 60),
        'anthropic-ratelimit-requests-remaining': '6',
        'anthropic-ratelimit-requests-reset': rfc3339(Date.now() + seconds * 1000),
      },
    },
  });
}

test(
  `two consumers that are guaranteed 80 and 20 get as much of a scarce quota, for ${SECONDS} s at three nodes`,
  async () => {
    const fleet = await startNodes(3, {
      consumers: [{ id: 'large' }, { id: 'small' }],
      config: {
        consumers: {
          reservations: [
            { consumer: 'large', requestsPerSecond: 80 },
            { consumer: 'small', requestsPerSecond: 20 },
          ],
        },
      },
    });
    try {
      await fleetIs(fleet.nodes);
      const [first] = fleet.nodes;
      announceScarcity(first, 300);
      // Both ask for the same: twice what there is for all.
      const offer = async (seconds: number): Promise<{ large: Count; small: Count }> => {
        const ask = async (id: string) =>
          total(
            await Promise.all(
              fleet.nodes.map((node) => pace(node, fleet.keys[id] ?? '', (ANNOUNCED * 2) / 3, seconds, MESSAGE)),
            ),
          );
        const [large, small] = await Promise.all([ask('large'), ask('small')]);
        return { large, small };
      };
      // At first nobody knows who asks for how much.
      await offer(2);
      const { large, small } = await offer(SECONDS);
      expect([large.other, small.other]).toEqual([0, 0]);
      expect(large.accepted / large.seconds).toBeGreaterThan(8 * 0.85);
      expect(large.accepted / large.seconds).toBeLessThan(8 * 1.15);
      expect(small.accepted / small.seconds).toBeGreaterThan(2 * 0.7);
      expect(small.accepted / small.seconds).toBeLessThan(2 * 1.4);
      const refused = await eventually(async () => {
        const answer = await send(first, { key: fleet.keys['small'] ?? '' });
        return answer.status === 429 ? answer : undefined;
      });
      expect(JSON.parse(refused.text)).toMatchObject({ error: { type: 'rate_limit_error' } });
      expect(refused.headers['x-should-retry']).toBe('true');
      expect(Number(refused.headers['retry-after-ms'])).toBeGreaterThan(0);
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(10);
      const line = await first.waitForLine((each) => each['requestId'] === refused.headers['request-id']);
      expect(line).toMatchObject({ refusal: 'scarce', consumer: 'small', RateLimited: 1, ScarcityRefusals: 1 });
      await first.waitForLine((each) => each['Upstream'] === 'mock' && each['UpstreamQuotaLeft'] === 0.01);
    } finally {
      await fleet.stop();
    }
  },
  (SECONDS + 60) * 1000,
);

describe('a quota on one node', () => {
  let gateway: TestGateway;
  const key = (id: string): string => gateway.keys[id] ?? '';
  beforeAll(async () => {
    gateway = await startGateway({ consumers: [{ id: 'a' }, { id: 'b' }] });
  });
  afterAll(() => gateway.stop());
  afterEach(() => {
    gateway.mock.clear();
  });

  test('that is scarce is shared evenly where nobody is guaranteed anything, until it is whole again', async () => {
    announceScarcity(gateway, 6);
    const ask = (id: string, perSecond: number) => pace(gateway, key(id), perSecond, 4, MESSAGE);
    // One asks for ten times as much as the other.
    const [a, b] = await Promise.all([ask('a', 100), ask('b', 10)]);
    expect(b.accepted).toBeGreaterThan(5 * 4 * 0.7);
    expect(a.accepted).toBeGreaterThan(5 * 4 * 0.7);
    expect(a.accepted + b.accepted).toBeLessThan(ANNOUNCED * 4 + 25);
    await sleep(3000);
    const after = await pace(gateway, key('a'), 50, 2, MESSAGE);
    // The mock still says the same, that the quota is whole since: a second at a time it counts as scarce.
    gateway.mock.clear();
    expect(after.other).toBe(0);
    await sleep(1500);
    expect(await pace(gateway, key('a'), 50, 2, MESSAGE)).toMatchObject({ refused: 0, other: 0 });
  }, 30_000);

  test('that is not announced, or plentiful, is nobody’s matter', async () => {
    expect(await pace(gateway, key('a'), 100, 2, MESSAGE)).toMatchObject({ refused: 0, other: 0 });
  });
});

test('a scarce quota is first come first served where the operator says so', async () => {
  const gateway = await startGateway({ config: { quota: { fairness: { scarceShare: 0 } } } });
  try {
    announceScarcity(gateway, 60);
    expect(await pace(gateway, gateway.key, 100, 2, MESSAGE)).toMatchObject({ refused: 0, other: 0 });
  } finally {
    await gateway.stop();
  }
});
