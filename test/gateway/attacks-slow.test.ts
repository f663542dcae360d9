import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { send } from './support/http-client';
import { expectPlaces } from './support/places';
import { connectRaw, type RawClient } from './support/raw-client';

const MANY = 300;
const PLACES = 4;

const HEAD = 'POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nanthropic-version: 2023-06-01\r\n';

/** Writes a byte at a time until the connection is gone; tells how long that took, in milliseconds. */
async function drip(client: RawClient, text: string, everyMs: number): Promise<number> {
  const begun = Date.now();
  let at = 0;
  const timer = setInterval(() => {
    client.socket.write(text.charAt(at % text.length));
    at += 1;
  }, everyMs);
  // A reset is an end as good as any.
  await client.closed.catch(() => undefined);
  clearInterval(timer);
  return Date.now() - begun;
}

describe('clients that are slow on purpose', () => {
  let gateway: TestGateway;
  const key = (id: string): string => gateway.keys[id] ?? '';

  beforeAll(async () => {
    gateway = await startGateway({
      config: { timeouts: { client: { headerSeconds: 2, bodySeconds: 2 } } },
      consumers: [{ id: 'slow', concurrency: PLACES }, { id: 'other' }],
    });
  });
  afterAll(() => gateway.stop());

  /** Requests of another consumer, one after the other; tells the slowest of them, in milliseconds. */
  async function serveOthers(until: Promise<unknown>): Promise<number> {
    const state = { over: false };
    void until.then(() => (state.over = true));
    let slowest = 0;
    do {
      const begun = Date.now();
      const { status } = await send(gateway, { key: key('other'), method: 'GET', path: '/v1/models?limit=1' });
      expect(status).toBe(200);
      slowest = Math.max(slowest, Date.now() - begun);
      await sleep(20);
    } while (!state.over);
    return slowest;
  }

  test(`${MANY} that drip their headers are cut when the time for headers is over, and others are served meanwhile`, async () => {
    const clients = await Promise.all(Array.from({ length: MANY }, () => connectRaw(gateway.httpPort)));
    for (const client of clients) client.write(HEAD);
    const all = Promise.all(clients.map((client) => drip(client, 'x-a: b\r\n', 100)));
    const slowest = await serveOthers(all);
    const times = await all;
    // However often something came: the time counts from the first byte.
    expect(Math.min(...times)).toBeGreaterThan(1500);
    expect(Math.max(...times)).toBeLessThan(15_000);
    expect(slowest).toBeLessThan(1900);
    for (const client of clients) expect(client.received()).not.toContain('200 OK');
  });

  test('connections that say nothing at all are cut too', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectRaw(gateway.httpPort)));
    await Promise.all(clients.map(({ closed }) => closed));
  });

  test('a body that stops is cut, counted as a client that left, and its place is free again', async () => {
    const client = await connectRaw(gateway.httpPort);
    client.write(`${HEAD}x-api-key: ${key('slow')}\r\nContent-Length: 1000\r\n\r\n{"model":`);
    expect(await client.closed.catch(() => '')).toBe('');
    const line = await gateway.waitForLine((each) => each['consumer'] === 'slow' && each['path'] === '/v1/messages');
    expect(line).toMatchObject({ status: 499, aborted: true, ClientAborts: 1 });
    expect(gateway.mock.requests().filter(({ url }) => url === '/v1/messages')).toEqual([]);
    await expectPlaces(gateway, 'slow', PLACES);
  });

  test('bodies that drip hold the places of their own key, and of nobody else', async () => {
    const clients: RawClient[] = [];
    const dripping: Promise<number>[] = [];
    const holds = ({ received, socket }: RawClient): boolean => !socket.destroyed && received() === '';
    const limited = async (): Promise<true | undefined> => {
      // Places of the test before may still be on their way back: who was refused for that tries again.
      while (clients.filter(holds).length < PLACES) {
        const client = await connectRaw(gateway.httpPort);
        client.write(`${HEAD}x-api-key: ${key('slow')}\r\nContent-Length: 100000\r\n\r\n{`);
        clients.push(client);
        dripping.push(drip(client, ' ', 200));
      }
      const { status } = await send(gateway, { key: key('slow') });
      return status === 429 && clients.filter(holds).length === PLACES ? true : undefined;
    };
    await eventually(limited, 20_000);
    // As long as something comes, nginx waits: the bound is the key's number of places.
    expect(await serveOthers(sleep(3000))).toBeLessThan(1900);
    for (const client of clients) client.socket.destroy();
    await Promise.all(dripping);
    await expectPlaces(gateway, 'slow', PLACES);
  });

  test('without a key nobody’s body is waited for', async () => {
    const client = await connectRaw(gateway.httpPort);
    client.write(`${HEAD}Content-Length: 100000\r\n\r\n{`);
    await eventually(() => (client.received().startsWith('HTTP/1.1 401') ? true : undefined), 1500);
    client.socket.destroy();
  });
});
