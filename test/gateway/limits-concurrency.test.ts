import { gzipSync } from 'node:zlib';

import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { begin, beginStream, messageBody, send } from './support/http-client';
import { expectPlaces, mostAtOnce } from './support/places';
import { sendBytes } from './support/wire';

const PLACES = 5;
const STREAMS = 2;

describe.each([{ valkey: false }, { valkey: true }])('the places of a consumer (Valkey: $valkey)', ({ valkey }) => {
  let gateway: TestGateway;
  const key = (id: string): string => gateway.keys[id] ?? '';

  beforeAll(async () => {
    gateway = await startGateway({
      ...(valkey ? { valkey } : {}),
      config: { timeouts: { client: { bodySeconds: 1 } } },
      consumers: [
        { id: 'five', concurrency: PLACES },
        { id: 'limited', concurrency: PLACES, models: ['claude-haiku-*'] },
        { id: 'without-credential', concurrency: PLACES, upstreamCredential: 'not-there' },
        { id: 'streams', concurrency: 10, maxStreams: STREAMS },
      ],
    });
  });
  afterAll(() => gateway.stop());
  beforeEach(() => {
    gateway.mock.clear();
  });

  test('are never exceeded, whoever comes, over both workers', async () => {
    const client = async (): Promise<number[]> => {
      const statuses: number[] = [];
      for (let round = 0; round < 8; round += 1) {
        const script = { delayMs: 10 + ((round * 37) % 60) };
        statuses.push((await send(gateway, { key: key('five'), script })).status);
      }
      return statuses;
    };
    const statuses = (await Promise.all(Array.from({ length: 30 }, client))).flat();
    const served = statuses.filter((status) => status === 200).length;
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    await eventually(() => (gateway.mock.requests().every(({ endTime }) => endTime !== undefined) ? true : undefined));
    expect(gateway.mock.requests()).toHaveLength(served);
    expect(mostAtOnce(gateway.mock.requests())).toBe(PLACES);
    await expectPlaces(gateway, 'five', PLACES);
  });

  test('a refusal says so, and when to come again', async () => {
    const held = Array.from({ length: PLACES }, () =>
      beginStream(gateway, { silence: { ms: 30_000 } }, { key: key('five') }),
    );
    await Promise.all(held.map(({ head }) => head));
    const answer = await send(gateway, { key: key('five') });
    expect(answer.status).toBe(429);
    expect(answer.headers).toMatchObject({
      'retry-after': '1',
      'retry-after-ms': '1000',
      'x-should-retry': 'true',
      'anthropic-ratelimit-requests-remaining': '0',
    });
    expect(JSON.parse(answer.text)).toMatchObject({
      error: { type: 'rate_limit_error', message: 'This key exceeds its number of concurrent requests.' },
    });
    const line = await gateway.waitForLine((each) => each['requestId'] === answer.headers['request-id']);
    expect(line).toMatchObject({ refusal: 'concurrency', consumer: 'five' });
    // Another consumer is not concerned.
    expect((await send(gateway, { key: key('streams') })).status).toBe(200);
    for (const { request } of held) request.destroy();
    await expectPlaces(gateway, 'five', PLACES);
  });

  test('come back from whatever becomes of a request', async () => {
    const five = key('five');
    const times = <T>(make: () => T): T[] => Array.from({ length: PLACES + 2 }, make);
    const ended = (promise: Promise<unknown>): Promise<unknown> => promise.catch(() => undefined);
    const kinds: Record<string, () => Promise<unknown>> = {
      'a client that leaves before the answer': async () => {
        const open = times(() => begin(gateway, { key: five, script: { hang: true } }));
        await sleep(150);
        for (const { request } of open) request.destroy();
      },
      'a client that leaves midway in a stream': async () => {
        const open = times(() => beginStream(gateway, { deltas: 100, deltaMs: 20 }, { key: five }));
        await Promise.all(open.map(({ head }) => head));
        for (const { request } of open) request.destroy();
      },
      'a stream that comes to its end': () =>
        Promise.all(times(() => beginStream(gateway, { deltas: 3 }, { key: five }).answer)),
      'a stream that the upstream cuts': () =>
        Promise.all(times(() => ended(beginStream(gateway, { cut: { midEvent: 3 } }, { key: five }).answer))),
      'a 529': () => Promise.all(times(() => send(gateway, { key: five, script: { status: 529 } }))),
      'a 502 for a reset': () => Promise.all(times(() => send(gateway, { key: five, script: { reset: true } }))),
      'a 500 in a stream': () =>
        Promise.all(times(() => beginStream(gateway, { streamError: { atEvent: 1 } }, { key: five }).answer)),
      'a client that leaves while it sends its body': async () => {
        const open = times(() => begin(gateway, { key: five, headers: { 'content-length': '1000' }, open: true }));
        for (const { request } of open) request.write('{"model":');
        await sleep(150);
        for (const { request } of open) request.destroy();
      },
      'a body that comes too slowly': () =>
        Promise.all(
          times(() => {
            const { request, answer } = begin(gateway, {
              key: five,
              headers: { 'content-length': '1000' },
              open: true,
            });
            request.write('{"model":');
            return ended(answer);
          }),
        ),
      'a broken chunk': () =>
        Promise.all(
          times(() =>
            sendBytes(
              gateway.httpPort,
              `POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: ${five}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
            ),
          ),
        ),
    };
    for (const [kind, storm] of Object.entries(kinds)) {
      await storm();
      await expectPlaces(gateway, 'five', PLACES).catch((error: unknown) => {
        throw new Error(`after ${kind}: ${String(error)}`);
      });
    }
  }, 120_000);

  test('come back from a refusal of our own that is made after they were taken', async () => {
    for (let round = 0; round < PLACES + 2; round += 1) {
      expect((await send(gateway, { key: key('limited') })).status).toBe(403);
      expect((await send(gateway, { key: key('limited'), body: '{' })).status).toBe(400);
      expect((await send(gateway, { key: key('without-credential') })).status).toBe(503);
    }
    await expectPlaces(gateway, 'limited', PLACES);
    const statuses = await Promise.all(
      Array.from({ length: PLACES }, async () => (await send(gateway, { key: key('without-credential') })).status),
    );
    expect(statuses).toEqual(statuses.map(() => 503));
  });

  test('are free again within seconds of a worker being killed', async () => {
    const held = Array.from({ length: PLACES }, () =>
      beginStream(gateway, { silence: { ms: 60_000 } }, { key: key('five') }),
    );
    await Promise.all(held.map(({ head }) => head));
    expect((await send(gateway, { key: key('five') })).status).toBe(429);
    const killed = gateway.nginx.workers();
    for (const pid of killed) process.kill(pid, 'SIGKILL');
    const begun = Date.now();
    await eventually(
      async () => ((await send(gateway, { key: key('five') })).status === 200 ? true : undefined),
      15_000,
    );
    // A sweep each second finds the dead; the rest is the machine's.
    expect(Date.now() - begun).toBeLessThan(8000);
    await expectPlaces(gateway, 'five', PLACES);
    expect(gateway.nginx.workers().filter((pid) => killed.includes(pid))).toEqual([]);
    await gateway.waitForLog('died holding');
    await Promise.all(held.map(({ answer }) => expect(answer).rejects.toThrow()));
  });

  test('are fewer for streams, where the registry says so', async () => {
    const streams = key('streams');
    const open = Array.from({ length: STREAMS }, () =>
      beginStream(gateway, { silence: { ms: 60_000 } }, { key: streams }),
    );
    await Promise.all(open.map(({ head }) => head));
    const third = await beginStream(gateway, {}, { key: streams }).answer;
    expect(third.status).toBe(429);
    expect(third.text).toContain('concurrent streams');
    // A body that cannot be read may ask for a stream: it counts as one.
    const compressed = { body: gzipSync(messageBody({ stream: true })), headers: { 'content-encoding': 'gzip' } };
    expect((await send(gateway, { key: streams, ...compressed })).status).toBe(429);
    expect((await send(gateway, { key: streams, body: messageBody({ stream: false }) })).status).toBe(200);
    for (const { request } of open) request.destroy();
    await eventually(async () =>
      (await beginStream(gateway, {}, { key: streams }).answer).status === 200 ? true : undefined,
    );
    // It is not refused for being compressed: no policy on models asks for that.
    const record = await eventually(async () => {
      await send(gateway, { key: streams, ...compressed });
      return gateway.mock.requests().find(({ headers }) => headers['content-encoding'] === 'gzip');
    });
    expect(record.bodyBytes).toBe(compressed.body.length);
    await expectPlaces(gateway, 'streams', 10);
  });
});
