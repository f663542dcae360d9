import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { MockScript } from '../../local/mock-claude/server';
import { eventually, startGateway, type TestGateway } from './harness';
import { exchange, messageBody, type Sending } from './support/exchange';
import { random } from './support/json-text';

const CONSUMERS = Array.from({ length: 5 }, (_, index) => `team-${index}`);
const MIB = 1024 * 1024;
const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);

// In place of what answers outside /v1/: what the three dictionaries of core/cache_ledger hold.
const DRIVER = `
local cjson = require('cjson.safe')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local M = {}
function M.run()
  context.begin(clock.monotonic_ms())
  local values, index, shares = ngx.shared.causeway_cache, ngx.shared.causeway_cache_index, ngx.shared.causeway_cache_shares
  local seen = { shares = {}, charged = 0, noted = 0, voided = 0, pieces = 0, locks = 0, queued = 0, copies = 0, nodes = 0 }
  for _, name in ipairs(shares:get_keys(0)) do
    seen.shares[name] = shares:get(name)
  end
  for _, key in ipairs(index:get_keys(0)) do
    local kind = key:sub(1, 1)
    if kind == 'n' then
      local charge, _, count = index:get(key):match('^(%d+) (%d+) (%d+)$')
      seen.charged, seen.pieces = seen.charged + charge, seen.pieces + count
      local what = charge == '0' and 'voided' or 'noted'
      seen[what] = seen[what] + 1
    elseif kind == 'q' then
      seen.queued = seen.queued + index:llen(key)
    elseif kind == 'l' then
      seen.locks = seen.locks + 1
    end
  end
  for _, key in ipairs(values:get_keys(0)) do
    seen.nodes = seen.nodes + 1
    seen.copies = seen.copies + (#key == 64 and 1 or 0)
  end
  local text = cjson.encode(seen)
  ngx.header['content-length'] = #text
  ngx.print(text)
end
return M
`;

interface Ledger {
  readonly shares: Readonly<Record<string, number>>;
  /** Of all copies: what they are charged with, how many there are, and their further pieces. */
  readonly charged: number;
  readonly noted: number;
  /** Keys in line whose newer copy found no room: they stand there with nothing. */
  readonly voided: number;
  readonly pieces: number;
  readonly locks: number;
  /** Places in lines. */
  readonly queued: number;
  /** First pieces in memory, and all pieces. */
  readonly copies: number;
  readonly nodes: number;
}

let lua: string;
let gateway: TestGateway;
beforeAll(async () => {
  lua = mkdtempSync(join(tmpdir(), 'causeway-lua-'));
  cpSync(join(__dirname, '..', '..', 'gateway', 'lua'), lua, { recursive: true });
  writeFileSync(join(lua, 'causeway', 'phase', 'probe.lua'), DRIVER);
  gateway = await startGateway({
    workers: 4,
    consumers: CONSUMERS.map((id) => ({ id })),
    config: {
      cache: { nodeBytes: MIB, maxItemBytes: 128 * 1024, maxConsumerShare: 0.3 },
      limits: { perAddress: { exempt: ['127.0.0.0/8'] } },
    },
    placement: { luaDirectory: lua },
  });
});
afterAll(async () => {
  await gateway.stop();
  rmSync(lua, { recursive: true });
});

async function ledger(): Promise<Ledger> {
  return (await (await fetch(`${gateway.baseUrl}/`)).json()) as Ledger;
}

test('what is never stored leaves nothing in memory', async () => {
  const message = (more: Record<string, unknown>): string =>
    messageBody({ messages: [{ role: 'user', content: JSON.stringify(more) }], ...more });
  const failing: MockScript[] = [
    { status: 500 },
    { status: 529 },
    { sizeBytes: 128 * 1024 + 1 },
    { cut: { midEvent: 1 } },
    { body: '{"type":"message",' },
    { body: '{"type":"error","error":{"type":"overloaded_error"}}' },
  ];
  const breaking: MockScript[] = [
    { cut: { midEvent: 4 } },
    { cut: { afterEvents: 6, reset: true } },
    { streamError: { atEvent: 1 } },
    { streamError: { atEvent: 5 } },
    { sizeBytes: 300_000 },
  ];
  const asked: Sending[] = [
    ...failing.map((script) => ({ body: message({}), script })),
    ...breaking.map((script) => ({ body: message({ stream: true }), script })),
    { body: message({ container: 'container_1' }) },
    { body: message({ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }) },
    { body: messageBody({ messages: [{ role: 'user', content: [{ source: { type: 'file', file_id: 'f' } }] }] }) },
  ];
  for (const words of ['max-age=60', 'outage']) {
    for (const one of asked) {
      // Some of them break off.
      await exchange(gateway, { ...one, headers: [['x-causeway-cache', words]] }).catch(() => undefined);
    }
  }
  expect(gateway.mock.requests()).toHaveLength(2 * asked.length);
  const nothing = { charged: 0, noted: 0, voided: 0, pieces: 0, locks: 0, queued: 0, copies: 0, nodes: 0 };
  expect(await ledger()).toMatchObject(nothing);
});

test(`four workers keep one ledger, whatever they store at once (seed ${seed})`, async () => {
  const pick = random(seed);
  const ask = async (): Promise<void> => {
    const consumer = CONSUMERS[pick(CONSUMERS.length)] ?? '';
    // Few questions, each answered anew: copies are replaced by larger and smaller ones all the time.
    const answer = await exchange(gateway, {
      credential: [['x-api-key', gateway.keys[consumer] ?? '']],
      headers: [['x-causeway-cache', pick(3) === 0 ? 'max-age=60' : 'max-age=0']],
      body: messageBody({ messages: [{ role: 'user', content: `question ${pick(40)}` }] }),
      script: { sizeBytes: pick(4) === 0 ? 1000 + pick(120_000) : 600 + pick(6000) },
    });
    expect(answer.status).toBe(200);
  };
  for (let round = 0; round < 60; round += 1) await Promise.all(Array.from({ length: 25 }, ask));

  // A store ends a little after its answer.
  const found = await eventually(async () => {
    const now = await ledger();
    return now.locks === 0 && now.noted === now.copies ? now : undefined;
  });
  const { '#total': total, ...shares } = found.shares;
  expect(total).toBe(found.charged);
  expect(Object.values(shares).reduce((sum, bytes) => sum + bytes, 0)).toBe(total);
  expect(found.nodes).toBe(found.copies + found.pieces);
  expect(found.queued).toBe(found.copies + found.voided);
  // Full, and no fuller than it may be.
  expect(total).toBeLessThanOrEqual(0.95 * MIB);
  expect(total).toBeGreaterThan(0.7 * MIB);
  for (const bytes of Object.values(shares)) expect(bytes).toBeLessThanOrEqual(0.95 * MIB * 0.3);
}, 120_000);
