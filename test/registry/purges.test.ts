import fc from 'fast-check';
import type { Purges, RegistryDocument } from '../../lib/registry/document';
import { assertPurgeable, createWord, mergePurges, purgeAll, purgeConsumer, timeOf } from '../../lib/registry/purges';
import { checkRegistry, MAX_PURGED_CONSUMERS } from '../../lib/registry/schema';

const NOW = Date.parse('2026-11-23T18:00:00.123Z');
const DAY = 86_400_000;
const EMPTY: RegistryDocument = { version: 1, consumers: [] };

test('a word tells when it was made, and is no other', () => {
  const word = createWord(NOW);
  expect(word).toMatch(/^2026-11-23T18:00:00\.123Z-[0-9a-f]{8}$/);
  expect(timeOf(word)).toBe(NOW);
  expect(createWord(NOW)).not.toBe(word);
});

test('a purge of all takes the place of every other, a purge of one leaves the others', () => {
  const [one, two, three] = [createWord(NOW), createWord(NOW + 1), createWord(NOW + 2)];
  const all = purgeAll(purgeConsumer(EMPTY, { id: 'a', word: one }), two);
  expect(all.purges).toEqual({ all: two });
  expect(purgeConsumer(purgeConsumer(all, { id: 'a', word: two }), { id: 'b', word: three }).purges).toEqual({
    all: two,
    consumers: { a: two, b: three },
  });
});

test('words are forgotten only when nothing from before them can be served', () => {
  const old = createWord(NOW);
  const held = purgeConsumer(purgeAll(EMPTY, old), { id: 'a', word: old });
  const after = (days: number): Purges | undefined =>
    purgeConsumer(held, { id: 'b', word: createWord(NOW + days * DAY) }).purges;
  // cache.ttl.outageSeconds is 7 days at most.
  expect(after(7.99)?.consumers).toHaveProperty('a', old);
  expect(after(8.01)?.consumers).not.toHaveProperty('a');
  expect(after(300)?.all).toBe(old);
});

test('where more consumers than are remembered are purged, all are, and the registry stays good', () => {
  let document = EMPTY;
  for (let index = 0; index < MAX_PURGED_CONSUMERS; index += 1) {
    document = purgeConsumer(document, { id: `team-${index}`, word: createWord(NOW + index) });
  }
  expect(Object.keys(document.purges?.consumers ?? {})).toHaveLength(MAX_PURGED_CONSUMERS);
  expect(checkRegistry(document, 'it')).toEqual(document);
  const word = createWord(NOW + DAY);
  expect(purgeConsumer(document, { id: 'team-0', word }).purges?.all).toBeUndefined();
  expect(purgeConsumer(document, { id: 'one-more', word }).purges).toEqual({ all: word });
});

test('a clock that is behind does not make a purge the earlier one', () => {
  const [late, early] = [createWord(NOW + 5 * 60_000), createWord(NOW)];
  const all = purgeAll(purgeAll(EMPTY, late), early).purges?.all ?? '';
  expect(all > late).toBe(true);
  expect(all.slice(-8)).toBe(early.slice(-8));
  const one = purgeConsumer(purgeConsumer(EMPTY, { id: 'a', word: late }), { id: 'a', word: early });
  expect((one.purges?.consumers?.['a'] ?? '') > late).toBe(true);
  expect(checkRegistry(one, 'it')).toEqual(one);
});

test('places that are made the same keep the later purge of each', () => {
  const [one, two, three] = [createWord(NOW), createWord(NOW + 1), createWord(NOW + 2)];
  expect(mergePurges([undefined, undefined])).toBeUndefined();
  expect(mergePurges([undefined, { all: one }])).toEqual({ all: one });
  expect(
    mergePurges([
      { all: three, consumers: { a: one } },
      { all: two, consumers: { a: two, b: one } },
    ]),
  ).toEqual({ all: three, consumers: { a: two, b: one } });
});

test('who is not registered cannot be purged by a slip; a client’s own credential can', () => {
  const document: RegistryDocument = {
    version: 1,
    consumers: [{ id: 'team-a', keys: [{ id: 'k', sha256: 'a'.repeat(64) }] }],
  };
  for (const id of ['team-a', 'credential-0123456789abcdef']) assertPurgeable(document, id);
  for (const id of ['team-b', 'credential-0123', 'credential-0123456789ABCDEF']) {
    expect(() => {
      assertPurgeable(document, id);
    }).toThrow(`there is no consumer "${id}": \`npm run keys -- list\` shows those that are there`);
  }
});

/** What a gateway's keys hold of the purges. */
const epoch = ({ purges = {} }: RegistryDocument, id: string): string =>
  `${purges.all ?? ''}|${purges.consumers?.[id] ?? ''}`;

test('whatever is purged when, and wherever regions are made the same: no key comes back that led to an answer from before a purge and young enough to be served', () => {
  const command = fc.record({
    what: fc.constantFrom('all', 'one', 'one', 'one', 'wait', 'sync'),
    id: fc.constantFrom('a', 'b'),
    places: fc.constantFrom<readonly (0 | 1)[]>([0], [1], [0, 1], [0, 1]),
    // Clocks of operators are this much off.
    offMs: fc.integer({ min: -300_000, max: 300_000 }),
    passMs: fc.constantFrom(0, 1, 1000, 3_600_000, DAY, 3 * DAY, 8.5 * DAY),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const regions: [RegistryDocument, RegistryDocument] = [EMPTY, EMPTY];
      // Region → consumer → key → when it last led to an answer that was stored; answers are stored all the time.
      const stored = [new Map<string, number>(), new Map<string, number>()] as const;
      const purged = [new Map<string, number>(), new Map<string, number>()] as const;
      let now = NOW;
      const look = (): void => {
        for (const region of [0, 1] as const) {
          for (const id of ['a', 'b']) stored[region].set(`${id} ${epoch(regions[region], id)}`, now);
        }
      };
      for (const { what, id, places, offMs, passMs } of commands) {
        look();
        now += passMs;
        look();
        now += 1;
        const word = createWord(now + offMs);
        if (what === 'sync') {
          const purges = mergePurges(regions.map((each) => each.purges));
          for (const place of [0, 1] as const) {
            regions[place] = { ...EMPTY, ...(purges === undefined ? {} : { purges }) };
          }
        } else if (what !== 'wait') {
          for (const place of places) {
            regions[place] =
              what === 'all' ? purgeAll(regions[place], word) : purgeConsumer(regions[place], { id, word });
            for (const each of what === 'all' ? ['a', 'b'] : [id]) purged[place].set(each, now);
          }
        }
        for (const place of [0, 1] as const) {
          for (const each of ['a', 'b']) {
            const last = stored[place].get(`${each} ${epoch(regions[place], each)}`) ?? -Infinity;
            const purge = purged[place].get(each) ?? -Infinity;
            // An answer from before the purge would be found: it must be too old.
            if (last < purge) expect(now - last).toBeGreaterThan(7 * DAY);
          }
        }
      }
    }),
    { numRuns: 2000 },
  );
});
