import { eventually, sleep, startNodes, type TestGateway, type TestNodes } from './harness';
import { fleetIs, gaugeSays, roundTrips } from './support/fleet';
import { beginStream, send, type Exchange } from './support/http-client';
import { mostAtOnce } from './support/places';

const PLACES = 10;

describe('the places of a consumer over three nodes', () => {
  let fleet: TestNodes;
  const key = (id: string): string => fleet.keys[id] ?? '';
  const node = (index: number): TestGateway => fleet.nodes[index % 3] ?? fleet.nodes[0];

  beforeAll(async () => {
    fleet = await startNodes(3, {
      consumers: [
        { id: 'ten', concurrency: PLACES },
        { id: 'streams', concurrency: 100, maxStreams: 4 },
        { id: 'far', concurrency: 1000 },
        { id: 'sudden', concurrency: 1000 },
        { id: 'killed', concurrency: PLACES },
        { id: 'stopped', concurrency: 2 },
      ],
    });
    await fleetIs(fleet.nodes);
  }, 60_000);
  afterAll(() => fleet.stop());
  beforeEach(async () => {
    fleet.mock.clear();
    // On a busy machine a node may have gone by itself for a moment, after the storm of the test before.
    await fleetIs(fleet.nodes);
  });

  /** Streams that stay open, each at the node of its number; those that were let in. */
  async function hold(id: string, at: readonly number[]): Promise<{ open: Exchange[]; refused: number }> {
    const all = at.map((index) => beginStream(node(index), { silence: { ms: 60_000 } }, { key: key(id) }));
    const statuses = await Promise.all(all.map(async ({ head }) => (await head).statusCode));
    if (statuses.some((status) => status !== 200 && status !== 429)) throw new Error(statuses.join(' '));
    return {
      open: all.filter((_, index) => statuses[index] === 200),
      refused: statuses.filter((status) => status === 429).length,
    };
  }

  const letGo = ({ open }: { readonly open: readonly Exchange[] }): void => {
    for (const { request } of open) request.destroy();
  };

  /**
   * Streams that stay open, once all of them find a place: those that a test before let go are noticed by their nodes a
   * moment later, and by whoever asks those nodes after that.
   */
  function take(id: string, at: readonly number[], withinMs?: number): Promise<{ open: Exchange[] }> {
    return eventually(async () => {
      const held = await hold(id, at);
      if (held.refused === 0) return held;
      letGo(held);
      return undefined;
    }, withinMs);
  }

  /** Waits until `places` of three more requests than that find one, wherever they go; never more. */
  async function expectPlaces(id: string, places: number, at: (index: number) => number = (index) => index) {
    await eventually(async () => {
      const held = await hold(
        id,
        Array.from({ length: places + 3 }, (_, index) => at(index)),
      );
      letGo(held);
      expect(held.open.length).toBeLessThanOrEqual(places);
      return held.open.length === places ? true : undefined;
    }, 15_000);
  }

  test('are all given and none more, however unevenly requests come', async () => {
    for (const at of [(index: number) => index, () => 0, (index: number) => (index % 10 === 0 ? 1 : 2)]) {
      await expectPlaces('ten', PLACES, at);
    }
  });

  test('are never exceeded under a storm, and all used', async () => {
    const client = async (number: number): Promise<number[]> => {
      const statuses: number[] = [];
      for (let round = 0; round < 12; round += 1) {
        const script = { delayMs: 20 + ((round * 37 + number * 13) % 80) };
        // Nine of ten clients are at the first node.
        statuses.push((await send(node(number % 10 === 0 ? 1 + (number % 3) : 0), { key: key('ten'), script })).status);
      }
      return statuses;
    };
    const statuses = (await Promise.all(Array.from({ length: 40 }, (_, number) => client(number)))).flat();
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    await eventually(() => (fleet.mock.requests().every(({ endTime }) => endTime !== undefined) ? true : undefined));
    expect(mostAtOnce(fleet.mock.requests())).toBe(PLACES);
    await expectPlaces('ten', PLACES);
  }, 60_000);

  test('are found at once where another node has let them go', async () => {
    const first = await take('ten', Array<number>(PLACES).fill(0));
    const answer = await send(node(1), { key: key('ten') });
    expect(answer.status).toBe(429);
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'x-should-retry': 'true' });
    letGo(first);
    // Not by a timer: the places that the first node still counts as its own are asked of it.
    await eventually(async () => ((await send(node(1), { key: key('ten') })).status === 200 ? true : undefined), 2000);
    letGo(await take('ten', Array<number>(PLACES).fill(2), 2000));
  });

  test('are enough for many requests that come at once where nobody was', async () => {
    const script = { delayMs: 300 };
    const answers = await Promise.all(Array.from({ length: 120 }, () => send(node(0), { key: key('sudden'), script })));
    // The mock's own handshakes may be too many at once for a busy machine.
    expect(answers.map(({ status }) => status)).not.toContain(429);
  });

  test('of streams are as many as the registry says', async () => {
    await expectPlaces('streams', 4);
    expect((await send(node(0), { key: key('streams') })).status).toBe(200);
  });

  test('cost nothing where the limit is far away', async () => {
    const load = async (): Promise<void> => {
      await Promise.all(
        Array.from({ length: 30 }, async (_, number) => {
          for (let round = 0; round < 20; round += 1) {
            expect((await send(node(number), { key: key('far') })).status).toBe(200);
          }
        }),
      );
    };
    await load();
    const before = await roundTrips(fleet.valkey);
    const begun = Date.now();
    await load();
    const perSecond = ((await roundTrips(fleet.valkey)) - before) / ((Date.now() - begun) / 1000);
    // 600 requests: leases of the rate, and that nodes live.
    expect(perSecond).toBeLessThan(40);
  }, 60_000);

  test('outlive a reload and a worker that is killed, and are all free afterwards', async () => {
    const one = node(1);
    const held = await take('ten', [1, 1, 1, 1, 1]);
    await one.nginx.reload(one.environment);
    const others = await hold('ten', [0, 0, 0, 0, 2, 2, 2, 2]);
    expect(others).toMatchObject({ refused: 3 });
    letGo(others);
    letGo(held);
    await expectPlaces('ten', PLACES);
    await take('ten', [1, 1, 1, 1, 1, 1, 1]);
    for (const pid of one.nginx.workers()) process.kill(pid, 'SIGKILL');
    await expectPlaces('ten', PLACES, (index) => (index === 0 ? 1 : 2));
  }, 60_000);

  test('of a node that is stopped stay taken as long as its last request lasts', async () => {
    const held = await take('stopped', [2, 2]);
    process.kill(node(2).nginx.pid, 'SIGQUIT');
    // Longer than a node counts as living without a word.
    const end = Date.now() + 9000;
    while (Date.now() < end) {
      expect((await send(node(0), { key: key('stopped') })).status).toBe(429);
      await sleep(500);
    }
    letGo(held);
    await eventually(
      async () => ((await send(node(0), { key: key('stopped') })).status === 200 ? true : undefined),
      12_000,
    );
  }, 60_000);

  test('of a node that is killed are free within seconds', async () => {
    await take('killed', [1, 1, 1, 1, 1, 1]);
    const begun = Date.now();
    for (const pid of [node(1).nginx.pid, ...node(1).nginx.workers()]) process.kill(pid, 'SIGKILL');
    await expectPlaces('killed', PLACES, () => 0);
    // A node counts as living for six seconds; the rest is the machine's.
    expect(Date.now() - begun).toBeLessThan(14_000);
    await gaugeSays(node(0), { FleetNodes: 1 });
  }, 60_000);
});

describe('without Valkey', () => {
  test('each node keeps its part of the places, and what is open is known again when Valkey is back', async () => {
    const fleet = await startNodes(2, { consumers: [{ id: 'eight', concurrency: 8 }] });
    try {
      await fleetIs(fleet.nodes);
      const key = fleet.keys['eight'] ?? '';
      const open = async (index: number, count: number): Promise<Exchange[]> => {
        const all = Array.from({ length: count }, () =>
          beginStream(fleet.nodes[index] ?? fleet.nodes[0], { silence: { ms: 120_000 } }, { key }),
        );
        const statuses = await Promise.all(all.map(async ({ head }) => (await head).statusCode));
        return all.filter((_, number) => statuses[number] === 200);
      };
      const held = await open(0, 3);
      expect(held).toHaveLength(3);
      fleet.valkey.pause();
      await Promise.all(fleet.nodes.map((node) => gaugeSays(node, { FleetNodes: 2, FleetDegraded: 1 })));
      held.push(...(await open(0, 6)), ...(await open(1, 6)));
      expect(held).toHaveLength(8);
      // A Valkey that forgot everything while it was away.
      fleet.valkey.resume();
      await fleet.valkey.command('FLUSHALL');
      await fleetIs(fleet.nodes);
      expect(await open(0, 1)).toHaveLength(0);
      expect(await open(1, 1)).toHaveLength(0);
      for (const { request } of held) request.destroy();
      await eventually(async () => {
        const all = await open(1, 10);
        for (const { request } of all) request.destroy();
        expect(all.length).toBeLessThanOrEqual(8);
        return all.length === 8 ? true : undefined;
      }, 10_000);
    } finally {
      await fleet.stop();
    }
  }, 90_000);
});
