import { readFileSync } from 'node:fs';

import { eventually, startGateway, type TestGateway } from './harness';
import { beginStream, messageBody, send } from './support/http-client';

/** Longer than a test: what is written was written for another reason than that it was time. */
const LATER_MS = 600_000;

let gateway: TestGateway;
afterEach(async () => {
  await gateway.stop();
});

const lines = (): number => gateway.lines().filter((line) => line['RouteClass'] === 'generate').length;

describe('lines that wait to be made with others', () => {
  test('are written as their worker begins to end, though a request of it goes on', async () => {
    gateway = await startGateway({ placement: { workers: 1, logFlushMs: LATER_MS } });
    for (let index = 0; index < 3; index += 1) expect((await send(gateway)).status).toBe(200);
    const stream = beginStream(gateway, { text: 'goes on', deltas: 100, deltaMs: 100 });
    let ended = false;
    void stream.answer.finally(() => (ended = true)).catch(() => undefined);
    await stream.head;
    expect(lines()).toBe(0);
    process.kill(gateway.nginx.pid, 'SIGQUIT');
    await eventually(() => (lines() === 3 ? true : undefined), 5000);
    expect(ended).toBe(false);
    stream.request.destroy();
  });

  test('keep no copies of what the cache has given', async () => {
    const MIB = 1024 * 1024;
    gateway = await startGateway({
      placement: { workers: 1, logFlushMs: LATER_MS },
      config: { cache: { nodeBytes: 256 * MIB, maxItemBytes: 8 * MIB } },
      consumers: [{ id: 'team-a', rate: 1000, burst: 1000 }],
    });
    gateway.mock.script({ script: { text: 'x'.repeat(6 * MIB) } });
    const [pid] = gateway.nginx.workers();
    const anonymousMib = (): number =>
      Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid ?? 0}/status`, 'utf8'))?.[1]) / 1024;
    const ask = async (number: number): Promise<unknown> => {
      const body = messageBody({ messages: [{ role: 'user', content: `copy ${number}` }] });
      return (await send(gateway, { body, headers: { 'x-causeway-cache': 'max-age=600' } })).headers[
        'x-causeway-cache'
      ];
    };
    const before = anonymousMib();
    for (let number = 0; number < 24; number += 1) {
      expect(await ask(number)).toBe('MISS');
      await eventually(async () => ((await ask(number)) === 'HIT' ? true : undefined));
    }
    // All of them are 144 MiB; what the collector has not come to yet is some.
    expect(anonymousMib() - before).toBeLessThan(90);
  }, 60_000);
});
