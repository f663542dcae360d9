import { sleep, startGateway, startNodes, type TestGateway, type TestNodes } from './harness';
import { fleetIs, gaugeSays } from './support/fleet';
import { beginStream, send, type Answer } from './support/http-client';

const LONG = process.env['CAUSEWAY_LONG_TESTS'] === '1';

/** Waits for the next minute where this one is too far gone: budgets begin anew with it. */
async function untilThereAre(seconds: number): Promise<void> {
  const left = 60_000 - (Date.now() % 60_000);
  if (left < seconds * 1000) await sleep(left + 50);
}

/** One message that costs this. */
const spend = (
  node: TestGateway,
  key: string,
  usage: { input?: number; output?: number; cacheRead?: number; cacheCreation5m?: number; cacheCreation1h?: number },
): Promise<Answer> => send(node, { key, script: { usage: { input: 0, output: 0, ...usage } } });

describe('a token budget on one node', () => {
  let gateway: TestGateway;
  const key = (id: string): string => gateway.keys[id] ?? '';

  beforeAll(async () => {
    gateway = await startGateway({
      consumers: [
        { id: 'input', tokenBudget: { inputPerMinute: 1000 } },
        { id: 'output', tokenBudget: { outputPerMinute: 500 } },
        { id: 'both', tokenBudget: { inputPerMinute: 1000, outputPerMinute: 100_000 } },
        { id: 'stream', tokenBudget: { outputPerMinute: 20 } },
      ],
    });
  });
  afterAll(() => gateway.stop());

  test('holds input and what is written to the cache, and nothing that is read from it', async () => {
    await untilThereAre(10);
    const cost = { input: 100, cacheCreation5m: 200, cacheCreation1h: 100, cacheRead: 50_000 };
    const first = await spend(gateway, key('input'), cost);
    expect(first.status).toBe(200);
    expect(first.headers).not.toHaveProperty('x-causeway-token-budget-input-limit');
    expect((await spend(gateway, key('input'), cost)).status).toBe(200);
    // 800 of 1000: told from four fifths on.
    const third = await spend(gateway, key('input'), cost);
    expect(third.status).toBe(200);
    expect(third.headers).toMatchObject({
      'x-causeway-token-budget-input-limit': '1000',
      'x-causeway-token-budget-input-remaining': '200',
    });
    expect(third.headers).not.toHaveProperty('x-causeway-token-budget-output-limit');
    const refused = await spend(gateway, key('input'), cost);
    expect(refused.status).toBe(429);
    const seconds = Number(refused.headers['retry-after']);
    expect(Math.abs(seconds - (60 - ((Date.now() / 1000) % 60)))).toBeLessThan(2.5);
    expect(refused.headers).toMatchObject({
      'anthropic-ratelimit-input-tokens-limit': '1000',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'x-causeway-token-budget-input-remaining': '0',
    });
    expect(Date.parse(String(refused.headers['anthropic-ratelimit-input-tokens-reset'])) % 60_000).toBeLessThan(2000);
    expect(JSON.parse(refused.text)).toMatchObject({
      type: 'error',
      error: {
        type: 'rate_limit_error',
        message: 'This key has used all input tokens that it may use in a minute.',
      },
    });
    const line = await gateway.waitForLine((each) => each['requestId'] === refused.headers['request-id']);
    expect(line).toMatchObject({ refusal: 'token_budget', consumer: 'input', RateLimited: 1, status: 429 });
    // What costs no tokens is not refused.
    expect((await send(gateway, { key: key('input'), method: 'GET', path: '/v1/models' })).status).toBe(200);
    expect((await send(gateway, { key: key('input'), path: '/v1/messages/count_tokens' })).status).toBe(200);
    // Nor is anybody else.
    expect((await spend(gateway, key('both'), { input: 1 })).status).toBe(200);
  }, 90_000);

  test('holds output, that of streams that a client left included', async () => {
    await untilThereAre(10);
    expect((await spend(gateway, key('output'), { output: 499 })).status).toBe(200);
    expect((await spend(gateway, key('output'), { output: 1 })).status).toBe(200);
    expect((await spend(gateway, key('output'), { output: 1 })).status).toBe(429);
    const left = beginStream(gateway, { deltas: 200, deltaMs: 5, text: 'word '.repeat(200) }, { key: key('stream') });
    await left.head;
    await sleep(600);
    left.request.destroy();
    const line = await gateway.waitForLine((each) => each['consumer'] === 'stream' && each['aborted'] === true);
    expect(line['OutputTokens']).toBeGreaterThan(20);
    const refused = await send(gateway, { key: key('stream') });
    expect(refused.status).toBe(429);
    expect(refused.text).toContain('all output tokens');
  }, 90_000);

  (LONG ? test : test.skip)(
    'begins anew with the minute',
    async () => {
      await untilThereAre(10);
      expect((await spend(gateway, key('both'), { input: 1000 })).status).toBe(200);
      const refused = await spend(gateway, key('both'), { input: 1 });
      expect(refused.status).toBe(429);
      await sleep(Number(refused.headers['retry-after-ms']) + 100);
      const answer = await spend(gateway, key('both'), { input: 1 });
      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty('x-causeway-token-budget-input-limit');
    },
    150_000,
  );
});

describe('a token budget over three nodes', () => {
  let fleet: TestNodes;
  const key = (id: string): string => fleet.keys[id] ?? '';

  beforeAll(async () => {
    fleet = await startNodes(3, {
      consumers: [
        { id: 'quick', tokenBudget: { inputPerMinute: 20_000 } },
        { id: 'steps', tokenBudget: { inputPerMinute: 3000, outputPerMinute: 100_000 } },
        { id: 'alone', tokenBudget: { inputPerMinute: 3000 } },
      ],
    });
    await fleetIs(fleet.nodes);
  }, 60_000);
  afterAll(() => fleet.stop());

  /** One request after the other at each node, until each refuses. */
  async function spendAll(id: string, cost: number): Promise<number[]> {
    return Promise.all(
      fleet.nodes.map(async (node) => {
        for (let spent = 0; ; spent += cost) {
          const { status } = await spend(node, key(id), { input: cost });
          if (status === 429) return spent;
          expect(status).toBe(200);
        }
      }),
    );
  }

  const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

  test('ends within one request of each node, however fast they come', async () => {
    await untilThereAre(20);
    const spent = await spendAll('quick', 97);
    expect(sum(spent)).toBeGreaterThanOrEqual(20_000);
    expect(sum(spent)).toBeLessThanOrEqual(20_000 + 3 * 97);
    // All of them had a part in it.
    expect(Math.min(...spent)).toBeGreaterThan(0);
  }, 90_000);

  test('is known at the other nodes within a third of a second', async () => {
    await untilThereAre(10);
    const [one, two, three] = fleet.nodes as [TestGateway, TestGateway, TestGateway];
    expect((await spend(one, key('steps'), { input: 2500, output: 5 })).status).toBe(200);
    await sleep(400);
    const answer = await spend(two, key('steps'), { input: 500 });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'x-causeway-token-budget-input-remaining': '500',
      'x-causeway-token-budget-output-remaining': '99995',
    });
    await sleep(400);
    expect((await spend(three, key('steps'), { input: 1 })).status).toBe(429);
    expect((await spend(one, key('steps'), { input: 1 })).status).toBe(429);
  }, 90_000);

  test('is a third of it for each while Valkey is away', async () => {
    fleet.valkey.pause();
    await Promise.all(fleet.nodes.map((node) => gaugeSays(node, { FleetNodes: 3, FleetDegraded: 1 })));
    await untilThereAre(10);
    // 1000 each: the fourth request begins below that.
    expect(await spendAll('alone', 300)).toEqual([1200, 1200, 1200]);
    fleet.valkey.resume();
    await fleetIs(fleet.nodes);
    for (const node of fleet.nodes) expect((await spend(node, key('alone'), { input: 1 })).status).toBe(429);
  }, 120_000);
});
