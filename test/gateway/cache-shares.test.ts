import { startNodes, type TestGateway, type TestNodes } from './harness';
import { exchange, messageBody, type Received } from './support/exchange';
import { requestLines } from './support/metering';

const GREEDY = Array.from({ length: 6 }, (_, index) => `greedy-${index}`);
const MIB = 1024 * 1024;

let region: TestNodes;
beforeAll(async () => {
  region = await startNodes(2, {
    consumers: ['quiet', ...GREEDY].map((id) => ({ id })),
    config: { cache: { nodeBytes: MIB, sharedBytes: 2 * MIB, maxItemBytes: 64 * 1024, maxConsumerShare: 0.25 } },
  });
});
afterAll(() => region.stop());

function ask(node: TestGateway, consumer: string, number: number, sizeBytes: number): Promise<Received> {
  return exchange(node, {
    credential: [['x-api-key', region.keys[consumer] ?? '']],
    headers: [['x-causeway-cache', 'max-age=3600']],
    body: messageBody({ stream: number % 2 === 0, messages: [{ role: 'user', content: `question ${number}` }] }),
    script: { sizeBytes },
  });
}

const stateOf = (answer: Received): string | undefined => answer.headers['x-causeway-cache'];

test('consumers that store without end take no copy from one that holds less than an equal part', async () => {
  const [first, second] = region.nodes as unknown as [TestGateway, TestGateway];
  const quiet = [];
  for (let number = 0; number < 10; number += 1) quiet.push(await ask(first, 'quiet', number, 5000));
  expect(new Set(quiet.map(stateOf))).toEqual(new Set(['MISS']));

  // 24 MB into a node of 1 MiB and a shared tier of 2.
  const size = (number: number): number => 1000 + (number % 20) * 2000;
  for (let number = 0; number < 200; number += 1) {
    await Promise.all(GREEDY.map((consumer) => ask(first, consumer, number, size(number))));
  }

  const again = [];
  for (let number = 0; number < 10; number += 1) again.push(await ask(first, 'quiet', number, 5000));
  expect(again.map(stateOf)).toEqual(quiet.map(() => 'HIT'));
  const elsewhere = [];
  for (let number = 0; number < 10; number += 1) elsewhere.push(await ask(second, 'quiet', number, 5000));
  expect(elsewhere.map(stateOf)).toEqual(quiet.map(() => 'HIT'));
  for (const answers of [again, elsewhere]) {
    expect(answers.map(({ headers }) => headers['request-id'])).toEqual(
      quiet.map(({ headers }) => headers['request-id']),
    );
  }
  for (const [node, tier] of [
    [first, 'l1'],
    [second, 'l2'],
  ] as const) {
    // Reading lines asks for models, as the first consumer.
    const asked = { consumer: 'quiet', RouteClass: 'generate', cache: 'HIT' };
    const lines = await requestLines(node, 10, (line) =>
      Object.entries(asked).every(([name, value]) => line[name] === value),
    );
    expect(lines).toHaveLength(10);
    expect(lines.map((line) => line['cacheTier'])).toEqual(lines.map(() => tier));
  }

  // They pushed out their own: the last is there, the first is not.
  for (const consumer of GREEDY) {
    expect([consumer, stateOf(await ask(first, consumer, 199, size(199)))]).toEqual([consumer, 'HIT']);
    expect([consumer, stateOf(await ask(first, consumer, 0, size(0)))]).toEqual([consumer, 'MISS']);
  }
  // Valkey keeps the books of what it holds, and no more than it should.
  const keys = (await region.valkey.command('KEYS', 'cw:test:cache:*')) as string[];
  const held = Number(await region.valkey.command('HGET', 'cw:test:{cache-books}:facts', '#'));
  expect(held).toBeLessThanOrEqual(2 * MIB);
  let bytes = 0;
  for (const key of keys) bytes += Number(await region.valkey.command('STRLEN', key));
  expect(bytes).toBeLessThanOrEqual(held);
  expect(bytes).toBeGreaterThan(MIB);
}, 120_000);
