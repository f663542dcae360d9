import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startValkey, type ValkeyProcess } from '../../local/valkey-process';
import { random } from './support/json-text';

const lua = join(__dirname, '..', '..', 'gateway', 'lua', '?.lua');
const source = execFileSync('luajit', [
  '-e',
  `package.path = '${lua};' .. package.path; io.write(require('causeway.core.cache_books').ENTER.source)`,
]).toString();

const [ORDER, FACTS, TOTALS] = ['{b}order', '{b}facts', '{b}totals'];
const [SHARE, LIMIT, TTL_MS] = [20_000, 60_000, 3_600_000];
const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);

let valkey: ValkeyProcess;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-books-'));
  valkey = await startValkey({ dir: directory });
});
afterAll(async () => {
  await valkey.stop();
  rmSync(directory, { recursive: true });
});
beforeEach(async () => {
  await valkey.command('FLUSHALL');
});

async function enter(consumer: string, key: string, size: number, ttlMs = TTL_MS): Promise<string[]> {
  const words = [consumer, key, size, ttlMs, SHARE, LIMIT].map(String);
  return (await valkey.command('EVAL', source, '3', ORDER, FACTS, TOTALS, ...words)) as string[];
}

/** The same books, kept in TypeScript. */
class Books {
  readonly #copies: { consumer: string; key: string; size: number }[] = [];

  held(consumer?: string): number {
    const own = this.#copies.filter((copy) => consumer === undefined || copy.consumer === consumer);
    return own.reduce((sum, { size }) => sum + size, 0);
  }

  #evict(consumer: string): string {
    const [oldest] = this.#copies.splice(
      this.#copies.findIndex((copy) => copy.consumer === consumer),
      1,
    );
    return oldest?.key ?? '';
  }

  #biggest(): string {
    const consumers = [...new Set(this.#copies.map(({ consumer }) => consumer))].sort();
    return consumers.reduce((most, each) => (this.held(each) >= this.held(most) ? each : most));
  }

  enter(consumer: string, key: string, size: number): string[] {
    const before = this.#copies.findIndex((copy) => copy.key === key);
    if (before >= 0) this.#copies.splice(before, 1);
    this.#copies.push({ consumer, key, size });
    const gone: string[] = [];
    while (this.held(consumer) > SHARE) gone.push(this.#evict(consumer));
    while (this.held() > LIMIT) gone.push(this.#evict(this.#biggest()));
    return gone;
  }
}

test('Valkey keeps the books of the shared tier as they are meant', async () => {
  const pick = random(seed);
  const books = new Books();
  const consumers = ['a', 'a-b', 'ab', 'credential-0123456789abcdef', 'z'];
  const mistakes: unknown[] = [];
  let evictions = 0;
  for (let step = 0; step < 1500; step += 1) {
    // One of them writes most.
    const consumer = pick(3) === 0 ? (consumers[pick(consumers.length)] ?? 'a') : 'a-b';
    const [key, size] = [`${consumer}:${String(pick(60))}`, 100 + pick(4000)];
    // Two of one millisecond would stand in the order of their keys: each its own.
    const gone = await enter(consumer, key, size, TTL_MS + step * 1000);
    const expected = books.enter(consumer, key, size);
    evictions += gone.length;
    if (JSON.stringify(gone) !== JSON.stringify(expected)) mistakes.push({ step, gone, expected });
  }
  if (mistakes.length > 0) throw new Error(`seed ${seed}: ${JSON.stringify(mistakes[0])}`);
  expect(evictions).toBeGreaterThan(300);
  for (const consumer of consumers) {
    expect(Number((await valkey.command('ZSCORE', TOTALS, consumer)) ?? 0)).toBe(books.held(consumer));
  }
  expect(Number(await valkey.command('HGET', FACTS, '#'))).toBe(books.held());
  expect(Number(await valkey.command('PTTL', ORDER))).toBeGreaterThan(TTL_MS);
});

test('books of which Valkey has lost a part are begun anew', async () => {
  for (const lost of [ORDER, FACTS, TOTALS]) {
    for (const key of ['1', '2', '3']) await enter('a', key, 5000);
    await valkey.command('DEL', lost);
    expect(await enter('a', '4', SHARE)).toEqual([]);
    expect(Number(await valkey.command('HGET', FACTS, '#'))).toBe(SHARE);
  }
});

test('what has expired gives its room back', async () => {
  const gone: string[] = [];
  for (const key of ['1', '2', '3']) gone.push(...(await enter('a', key, 6000, 1)));
  // Valkey's own clock has moved on by then.
  const began = Date.now();
  while (Date.now() < began + 5) await valkey.command('PING');
  gone.push(...(await enter('a', '4', SHARE)));
  expect(gone).toEqual(['1', '2', '3']);
});
