import http from 'node:http';

import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { asking, GATHER_MS } from './support/cacheable';
import { exchange, messageBody, type Received, type Sending } from './support/exchange';
import { begin, readStream, type Exchange } from './support/http-client';
import { expectNothingHeld, freeFlightMemory } from './support/held';

const asked = (name: string, more: Sending = {}, body: Record<string, unknown> = {}): Sending => ({
  headers: [['content-type', 'application/json'], ...asking('max-age=60').headers],
  body: messageBody({ messages: [{ role: 'user', content: name }], ...body }),
  ...more,
});

const streamed = (name: string, script: Sending['script']): Sending =>
  asked(name, script === undefined ? {} : { script }, { stream: true });

function start(gateway: TestGateway, sending: Sending): Exchange {
  return begin(gateway, {
    ...(sending.body === undefined ? {} : { body: sending.body }),
    ...(sending.script === undefined ? {} : { script: sending.script }),
    headers: Object.fromEntries(sending.headers ?? []),
  });
}

async function within(workers: number, use: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const gateway = await startGateway({ workers });
  try {
    await use(gateway);
  } finally {
    await gateway.stop();
  }
}

describe('flights over four workers', () => {
  it('bring each client the answer to its own request, whatever leaves, fails or breaks off', async () => {
    await within(4, async (gateway) => {
      const free = await freeFlightMemory(gateway);
      const round = async (number: number): Promise<void> => {
        const streams = Array.from({ length: 6 }, (_, index) => {
          const text = `answer ${number}.${index} `.repeat(50 + 100 * index);
          return { text, sending: streamed(`${number}.${index}`, { text, deltas: 20, deltaMs: 10 }) };
        });
        await Promise.all(
          Array.from({ length: 90 }, async (_, client) => {
            const stream = streams[client % streams.length];
            if (stream === undefined) throw new Error('unreachable');
            await sleep(client % 30);
            if (client % 7 === 3) {
              await exchange(gateway, { ...stream.sending, leaveAfterBytes: 1000 });
              return;
            }
            const { body } = await exchange(gateway, stream.sending);
            expect(readStream(body.toString())).toEqual({ text: stream.text, complete: true, error: undefined });
          }),
        );
      };
      for (let number = 0; number < 6; number += 1) await round(number);
      expect(gateway.mock.requests()).toHaveLength(36);
      await expectNothingHeld(gateway);
      expect(await freeFlightMemory(gateway)).toBe(free);
    });
  }, 60_000);

  it('that are too large to be held cross workers whole, also to readers that are slow', async () => {
    await within(4, async (gateway) => {
      const sending = streamed('large', { sizeBytes: 8_000_000, delayMs: GATHER_MS });
      const read = (slow: boolean): Promise<number> =>
        new Promise((settle, reject) => {
          const { head } = start(gateway, sending);
          void head.then((response: http.IncomingMessage) => {
            let bytes = 0;
            response.on('data', (chunk: Buffer) => {
              bytes += chunk.length;
              if (!slow) return;
              response.pause();
              setTimeout(() => response.resume(), 2);
            });
            response.on('end', () => {
              settle(bytes);
            });
            response.on('error', reject);
          }, reject);
        });
      const sizes = await Promise.all(Array.from({ length: 24 }, (_, index) => read(index % 8 === 0)));
      expect(new Set(sizes).size).toBe(1);
      expect(sizes[0]).toBeGreaterThanOrEqual(8_000_000);
      expect(gateway.mock.requests()).toHaveLength(1);
      await expectNothingHeld(gateway);
    });
  }, 60_000);
});

describe('a worker that is killed', () => {
  /** Statuses of those that got an answer; undefined where the connection broke. */
  const settled = async (all: readonly Promise<Received>[]): Promise<(number | undefined)[]> =>
    (await Promise.allSettled(all)).map((end) => (end.status === 'fulfilled' ? end.value.status : undefined));

  it('takes its own clients with it; those of others are all answered alike, by one more upstream call at most', async () => {
    await within(2, async (gateway) => {
      const killed = gateway.nginx.workers();
      for (const pid of killed) {
        const name = `killed ${pid}`;
        const sending = asked(name, { script: { delayMs: 1500 } });
        gateway.mock.clear();
        const all = Array.from({ length: 30 }, () => exchange(gateway, sending));
        await eventually(() => (gateway.mock.requests().length === 1 ? true : undefined));
        await sleep(100);
        process.kill(pid, 'SIGKILL');
        const statuses = await settled(all);
        expect(statuses).toContain(undefined);
        // 502 where it held the upstream's connection: the request may have been billed, and is not sent again.
        const others = new Set(statuses.filter((status) => status !== undefined));
        expect(others.size).toBe(1);
        expect([200, 502]).toContain([...others][0]);
        expect(gateway.mock.requests().length).toBeLessThanOrEqual(2);
        await eventually(() => (gateway.nginx.workers().length === 2 ? true : undefined));
        // What it held is nobody's any more.
        const after = await exchange(gateway, asked(name));
        expect(after.status).toBe(200);
      }
      await expectNothingHeld(gateway);
    });
  }, 60_000);

  it('in the middle of a stream cuts it for all who read it, and the next is fetched anew', async () => {
    await within(2, async (gateway) => {
      const [pid] = gateway.nginx.workers();
      const sending = streamed('killed midway', { deltas: 100, deltaMs: 30 });
      const all = Array.from({ length: 20 }, () => start(gateway, sending));
      await eventually(() => (all.every((each) => each.bytes() > 500) ? true : undefined));
      process.kill(pid ?? 0, 'SIGKILL');
      const ends = await Promise.allSettled(all.map(({ answer }) => answer));
      for (const end of ends) {
        // Whole where neither the owner nor the reader's worker was killed.
        if (end.status === 'fulfilled') expect(readStream(end.value.text).complete).toBe(true);
      }
      expect(ends.some(({ status }) => status === 'rejected')).toBe(true);
      const again = await exchange(gateway, streamed('killed midway', undefined));
      expect(readStream(again.body.toString()).complete).toBe(true);
    });
  }, 60_000);
});

describe('a reload', () => {
  it('cuts no flight, and what was begun before it is shared and stored', async () => {
    await within(2, async (gateway) => {
      const text = 'across the reload '.repeat(30);
      const sending = streamed('reload', { text, deltas: 30, deltaMs: 100 });
      const before = Array.from({ length: 20 }, () => start(gateway, sending));
      await eventually(() => (before.every((each) => each.bytes() > 300) ? true : undefined));
      const old = gateway.nginx.workers();
      await gateway.nginx.reload(gateway.resolve({ bodies: { other: 2048 } }));
      await eventually(() => (gateway.nginx.workers().some((pid) => !old.includes(pid)) ? true : undefined));
      const after = Array.from({ length: 20 }, () => start(gateway, sending));
      const texts = await Promise.all([...before, ...after].map(async ({ answer }) => (await answer).text));
      for (const each of texts) expect(readStream(each)).toEqual({ text, complete: true, error: undefined });
      expect(gateway.mock.requests()).toHaveLength(1);
      expect((await exchange(gateway, streamed('reload', undefined))).headers['x-causeway-cache']).toBe('HIT');
    });
  }, 60_000);

  it('under load fails nothing of what is cached', async () => {
    await within(2, async (gateway) => {
      const state = { over: false, served: 0 };
      const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
      const load = Array.from({ length: 16 }, async (_, client) => {
        for (let number = 0; !state.over; number += 1) {
          const path = `/v1/models?client=${client % 4}&number=${number}`;
          const { answer } = begin(gateway, { method: 'GET', path, agent });
          expect((await answer).status).toBe(200);
          state.served += 1;
        }
      });
      for (let reload = 0; reload < 3; reload += 1) {
        const before = state.served;
        await gateway.nginx.reload(gateway.resolve({ bodies: { other: 2048 + reload } }));
        await eventually(() => (state.served > before + 300 ? true : undefined), 20_000);
      }
      state.over = true;
      await Promise.all(load);
      agent.destroy();
      await expectNothingHeld(gateway);
    });
  }, 90_000);
});

test('a graceful stop ends what is shared whole', async () => {
  const gateway = await startGateway({ workers: 2 });
  try {
    const text = 'until the end '.repeat(20);
    const all = Array.from({ length: 20 }, () => start(gateway, streamed('stop', { text, deltas: 20, deltaMs: 100 })));
    await eventually(() => (all.every((each) => each.bytes() > 300) ? true : undefined));
    const stopped = gateway.nginx.stop(20_000);
    for (const { answer } of all)
      expect(readStream((await answer).text)).toEqual({ text, complete: true, error: undefined });
    await stopped;
    expect(gateway.errorLog()).not.toMatch(/\[(error|crit|alert|emerg)\]/);
  } finally {
    await gateway.stop();
  }
}, 60_000);
