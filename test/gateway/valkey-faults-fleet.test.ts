import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { eventually, startGateway, type TestGateway } from './harness';
import { fleetIs } from './support/fleet';
import { messageBody, send } from './support/http-client';
import { pace, total, type Count } from './support/pace';
import { VALKEY_FAULTS, ValkeySite } from './support/valkey-site';

const RATE = 30;
const BURST = 6;
/** What each of two nodes is asked for: more than all of it. */
const OFFERED = 60;

const dir = mkdtempSync(join(tmpdir(), 'causeway-faults-'));
let site: ValkeySite;
let nodes: readonly [TestGateway, TestGateway];

beforeAll(async () => {
  site = await ValkeySite.start(dir);
  const options = {
    valkey: site.target,
    placement: { resolvers: [...site.resolvers] },
    config: { valkey: { timeoutMs: 300 } },
    consumers: [{ id: 'thirty', rate: RATE, burst: BURST }, { id: 'reader' }],
  };
  const first = await startGateway(options);
  nodes = [first, await startGateway({ ...options, beside: first })];
  await fleetIs(nodes);
}, 60_000);
afterAll(async () => {
  for (const node of [...nodes].reverse()) await node.stop();
  await site.stop();
  rmSync(dir, { recursive: true });
});

const offer = async (seconds: number): Promise<Count> =>
  total(await Promise.all(nodes.map((node) => pace(node, node.keys['thirty'] ?? '', OFFERED, seconds))));

/** Whether a node counts alone, as it said last. */
const degraded = (index: 0 | 1): unknown =>
  nodes[index].lines().findLast((line) => 'FleetDegraded' in line)?.['FleetDegraded'];

let bodies = 0;
/** What the cache says to a request that no node has had, at the nodes in turn. */
async function cacheOf(...order: readonly (0 | 1)[]): Promise<unknown[]> {
  const body = messageBody({ messages: [{ role: 'user', content: `number ${bodies++}` }] });
  const found: unknown[] = [];
  for (const index of order) {
    const key = nodes[index].keys['reader'] ?? '';
    const answer = await send(nodes[index], { key, body, headers: { 'x-causeway-cache': 'max-age=60' } });
    expect(answer.status).toBe(200);
    found.push(answer.headers['x-causeway-cache']);
  }
  return found;
}

test.each(VALKEY_FAULTS)(
  'Valkey $name: a rate is neither open nor closed, nodes keep their own copies, and share both again afterwards',
  async (fault) => {
    try {
      await fault.begin(site);
      // A node that counts alone beside one that has all of Valkey's bucket: half as much again, for moments. Without
      // any limit it would be four times as much, with one for each node twice. And each bucket may be full, Valkey's
      // own after a new start too.
      const onset = await offer(4);
      expect(onset.other).toBe(0);
      expect(onset.accepted).toBeGreaterThanOrEqual(RATE * onset.asked * 0.7);
      expect(onset.accepted).toBeLessThanOrEqual(4 * (BURST + 2) + RATE * 1.5 * onset.seconds);
      // Both notice in their own time, as they do below that all is well.
      await eventually(async () => {
        expect(degraded(0)).toBe(degraded(1));
        const later = await offer(3);
        expect(later.other).toBe(0);
        expect(later.accepted).toBeGreaterThanOrEqual(RATE * later.asked * 0.7);
        expect(later.accepted).toBeLessThanOrEqual(2 * (BURST + 2) + RATE * 1.1 * later.seconds);
        return true;
      }, 20_000);
      const found = await cacheOf(0, 0, 1, 1);
      expect(found).toEqual(['MISS', 'HIT', fault.down ? 'MISS' : expect.stringMatching(/^(MISS|HIT)$/), 'HIT']);
    } finally {
      await fault.end(site);
    }
    await eventually(async () => {
      await fleetIs(nodes);
      const after = await offer(3);
      expect(after.other).toBe(0);
      expect(after.accepted).toBeGreaterThanOrEqual(RATE * after.asked * 0.9);
      expect(after.accepted).toBeLessThanOrEqual(BURST + 2 + RATE * 1.05 * after.seconds);
      return true;
    }, 30_000);
    await eventually(async () => ((await cacheOf(0, 1))[1] === 'HIT' ? true : undefined));
  },
  90_000,
);
