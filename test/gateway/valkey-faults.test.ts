import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { messageBody, send, type Answer, type RequestOptions } from './support/http-client';
import { startLoad } from './support/load';
import { VALKEY_FAULTS, ValkeySite } from './support/valkey-site';

/** Longer than any request takes otherwise, also on a busy machine: who waited for Valkey is told by it. */
const TIMEOUT_MS = 4000;
const CLIENTS = 8;

const dir = mkdtempSync(join(tmpdir(), 'causeway-faults-'));
let site: ValkeySite;
let gateway: TestGateway;

beforeAll(async () => {
  site = await ValkeySite.start(dir);
  gateway = await startGateway({
    valkey: site.target,
    placement: { resolvers: [...site.resolvers] },
    config: { valkey: { timeoutMs: TIMEOUT_MS } },
    consumers: [
      // Asks Valkey for each request.
      { id: 'exact', rate: 9, burst: 100_000 },
      // Now and then.
      { id: 'leased', rate: 10_000, burst: 10_000 },
      { id: 'budget', tokenBudget: { inputPerMinute: 1e12, outputPerMinute: 1e12 } },
    ],
  });
});
afterAll(async () => {
  await gateway.stop();
  await site.stop();
  rmSync(dir, { recursive: true });
});

/** Every use that requests make of Valkey, in turn. */
function requests(): () => RequestOptions {
  let count = 0;
  return () => {
    count += 1;
    const key = gateway.keys[['exact', 'leased', 'budget'][count % 3] ?? ''] ?? '';
    switch (Math.floor(count / 3) % 5) {
      case 0:
        return { key };
      case 1: // Seen before, and not.
        return { key, headers: { 'x-causeway-cache': 'max-age=60' } };
      case 2:
        return {
          key,
          headers: { 'x-causeway-cache': 'max-age=60' },
          body: messageBody({ messages: [{ role: 'user', content: `number ${count}` }] }),
        };
      case 3:
        return { key, path: '/v1/messages/count_tokens' };
      default:
        return { key, method: 'GET', path: '/v1/models' };
    }
  };
}

/** Waits until the gateway says so in a line that comes from now on. */
async function valkeyUp(up: 0 | 1): Promise<void> {
  const told = gateway.lines().length;
  await eventually(
    () =>
      gateway
        .lines()
        .slice(told)
        .some((line) => line['ValkeyUp'] === up) || undefined,
    20_000,
  );
}

test.each(VALKEY_FAULTS)('Valkey $name: no request fails, and none waits but those of that moment', async (fault) => {
  await valkeyUp(1);
  const next = requests();
  const times: number[] = [];
  const sender = async (to: TestGateway, { agent }: RequestOptions): Promise<Answer> => {
    const started = performance.now();
    const answer = await send(to, { ...next(), ...(agent === undefined ? {} : { agent }) });
    times.push(performance.now() - started);
    return answer;
  };
  const load = startLoad(gateway, { clients: CLIENTS, pauseMs: 5, sender });
  const progress = (count: number): Promise<true> => {
    const before = load.succeeded();
    return eventually(() => (load.succeeded() >= before + count ? true : undefined), 30_000);
  };
  await progress(100);
  await fault.begin(site);
  if (fault.down) await valkeyUp(0);
  await progress(200);
  // Looks at a Valkey that is away must cost no request anything, and some have come by then.
  await sleep(3000);
  await progress(200);
  await fault.end(site);
  await valkeyUp(1);
  await progress(100);
  await load.stop();
  expect(load.failures()).toEqual([]);
  // Each client was in one request when the fault came, and when a connection from before was used.
  expect(times.filter((ms) => ms >= TIMEOUT_MS).length).toBeLessThanOrEqual(CLIENTS);
});
