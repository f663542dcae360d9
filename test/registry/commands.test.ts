import fc from 'fast-check';
import { diff, parseRecord, toDescription, type AuditRecord } from '../../lib/registry/audit';
import {
  addConsumer,
  addKey,
  revokeConsumer,
  revokeKey,
  rotateKey,
  setPolicies,
  type NewKey,
} from '../../lib/registry/commands';
import { createKey, hashKey, type RegistryDocument } from '../../lib/registry/document';
import { createWord } from '../../lib/registry/purges';
import { readPolicies } from '../../lib/registry/policies';
import { checkRegistry } from '../../lib/registry/schema';
import { hasEnded, parseDuration, parseEnd, timestamp } from '../../lib/registry/time';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const EMPTY: RegistryDocument = { version: 1, consumers: [] };
const NO_POLICIES = readPolicies({}, []);

function newKey(secret: string, more: Partial<NewKey> = {}): NewKey {
  return { sha256: hashKey(secret), ...more };
}

const oneConsumer = addConsumer(EMPTY, {
  id: 'team-a',
  key: newKey('one', { id: 'k1' }),
  policies: readPolicies({ rate: '5', burst: '10' }, []),
}).document;

describe('policies', () => {
  test('are read from the command line into the members of the document', () => {
    const policies = readPolicies(
      {
        rate: '0.5',
        burst: '0',
        concurrency: '3',
        'max-streams': '4',
        'max-body': '10MiB',
        models: 'claude-*, other',
        routes: 'generate,count',
        'input-tokens-per-minute': '1000',
        'output-tokens-per-minute': '2000',
        cache: 'outage',
        'cache-max-age': '60',
        'upstream-credential': 'second',
        disabled: 'true',
      },
      [],
    );
    const { consumer } = setPolicies(oneConsumer, { id: 'team-a', policies });
    expect(consumer).toEqual({
      id: 'team-a',
      keys: oneConsumer.consumers[0]?.keys,
      rate: 0.5,
      burst: 0,
      concurrency: 3,
      maxStreams: 4,
      maxBodyBytes: 10 * 1024 * 1024,
      models: ['claude-*', 'other'],
      routes: ['generate', 'count'],
      tokenBudget: { inputPerMinute: 1000, outputPerMinute: 2000 },
      cache: { mode: 'outage', maxAgeSeconds: 60 },
      upstreamCredential: 'second',
      disabled: true,
    });
  });

  test('go back to the default one by one, and leave nothing empty behind', () => {
    const both = setPolicies(oneConsumer, {
      id: 'team-a',
      policies: readPolicies({ 'input-tokens-per-minute': '1', 'output-tokens-per-minute': '2' }, []),
    }).document;
    const one = setPolicies(both, { id: 'team-a', policies: readPolicies({}, ['input-tokens-per-minute', 'rate']) });
    expect(one.consumer).toMatchObject({ burst: 10, tokenBudget: { outputPerMinute: 2 } });
    expect(one.consumer).not.toHaveProperty('rate');
    const none = setPolicies(one.document, {
      id: 'team-a',
      policies: readPolicies({}, ['output-tokens-per-minute']),
    });
    expect(none.consumer).not.toHaveProperty('tokenBudget');
  });

  test.each([
    [{ rate: '0' }, '--rate is "0"; must be a number above 0 and at most 100000'],
    [{ rate: '5/s' }, '--rate is "5/s"; must be a number above 0 and at most 100000'],
    [{ rate: '0x10' }, '--rate is "0x10"; must be a number above 0 and at most 100000'],
    [{ burst: '1.5' }, '--burst is "1.5"; must be a whole number from 0 to 100000'],
    [{ burst: '' }, '--burst is ""; must be a whole number from 0 to 100000'],
    [{ 'max-body': '10MB' }, '--max-body is "10MB"; must be a whole number from 1 to 1073741824, or such as 10MiB'],
    [{ 'max-body': '2GiB' }, '--max-body is "2GiB"; must be a whole number from 1 to 1073741824'],
    [{ models: '*x' }, '--models is "*x"; must be a list of model names, each of which may end with *'],
    [{ routes: 'chat' }, '--routes is "chat"; must be a list of generate, count, models, batches, files, other, admin'],
    [{ cache: 'on' }, '--cache is "on"; must be "off", "fresh" or "outage"'],
    [{ disabled: 'yes' }, '--disabled is "yes"; must be true or false'],
    [
      { 'upstream-credential': 'sk-ant-SECRET' },
      '--upstream-credential must be 1 to 63 of a-z, 0-9 and -, not beginning with -',
    ],
  ])('%j: says what is allowed', (given, problem) => {
    expect(() => readPolicies(given as unknown as Record<string, string>, [])).toThrow(problem);
  });

  test('cannot be set and unset at once, nor unset by a name that is none', () => {
    expect(() => readPolicies({ rate: '1' }, ['rate'])).toThrow('--rate is both set and unset; give one of the two');
    expect(() => readPolicies({}, ['speed'])).toThrow(/^--unset is "speed"; must be one of rate, burst, /);
  });
});

describe('keys', () => {
  test('get an id that whoever has the key can find', () => {
    const { key } = addKey(oneConsumer, { id: 'team-a', key: newKey('two') });
    expect(key).toEqual({ id: `k-${hashKey('two').slice(0, 8)}`, sha256: hashKey('two') });
  });

  test('get a longer id where that one is taken', () => {
    const id = `k-${hashKey('two').slice(0, 8)}`;
    const taken = addKey(oneConsumer, { id: 'team-a', key: newKey('three', { id }) }).document;
    expect(addKey(taken, { id: 'team-a', key: newKey('two') }).key?.id).toBe(`k-${hashKey('two').slice(0, 16)}`);
  });

  test('are made with 256 random bits', () => {
    const keys = Array.from({ length: 1000 }, createKey);
    expect(new Set(keys).size).toBe(1000);
    for (const key of keys) expect(key).toMatch(/^cwk_[A-Za-z0-9_-]{43}$/);
  });
});

describe('rotate', () => {
  const rotate = (document: RegistryDocument, more: object = {}) =>
    rotateKey(document, { id: 'team-a', key: newKey('two', { id: 'k2' }), keepSeconds: 3600, now: NOW, ...more });

  test('leaves both keys valid until the end of the old one', () => {
    const { document, key, replaced } = rotate(oneConsumer);
    expect(document.consumers[0]?.keys).toEqual([
      { id: 'k1', sha256: hashKey('one'), notAfter: '2026-11-23T13:00:00Z' },
      { id: 'k2', sha256: hashKey('two') },
    ]);
    expect([key?.id, replaced?.id]).toEqual(['k2', 'k1']);
  });

  test('takes the old key away at once where it is not to be kept', () => {
    expect(rotate(oneConsumer, { keepSeconds: 0 }).document.consumers[0]?.keys.map(({ id }) => id)).toEqual(['k2']);
  });

  test('never makes a key last longer', () => {
    const ending = addConsumer(EMPTY, {
      id: 'team-a',
      key: newKey('one', { id: 'k1', notAfter: '2026-11-23T12:10:00Z' }),
      policies: NO_POLICIES,
    }).document;
    expect(rotate(ending).replaced?.notAfter).toBe('2026-11-23T12:10:00Z');
  });

  test('takes the key that has not been told to end, and asks where there are more', () => {
    const once = rotate(oneConsumer).document;
    const twice = rotate(once, { key: newKey('three', { id: 'k3' }) });
    expect(twice.replaced?.id).toBe('k2');
    const more = addKey(once, { id: 'team-a', key: newKey('four', { id: 'k4' }) }).document;
    expect(() => rotate(more, { key: newKey('three') })).toThrow('say which by --key: k1, k2, k4');
    expect(rotate(more, { key: newKey('three'), keyId: 'k4' }).replaced?.id).toBe('k4');
  });

  test('refuses a key that has ended, and forgets those that ended a month ago', () => {
    const once = rotate(oneConsumer).document;
    const later = NOW + 2 * 3_600_000;
    expect(() => rotate(once, { keyId: 'k1', now: later })).toThrow(/^key "k1" .* has ended at 2026-11-23T13:00:00Z/);
    const third = { key: newKey('three', { id: 'k3' }) };
    expect(rotate(once, { ...third, now: later }).document.consumers[0]?.keys).toHaveLength(3);
    const muchLater = NOW + 31 * 86_400_000;
    expect(rotate(once, { ...third, now: muchLater }).document.consumers[0]?.keys.map(({ id }) => id)).toEqual([
      'k2',
      'k3',
    ]);
  });
});

test.each([
  [
    'add one that is there',
    () => addConsumer(oneConsumer, { id: 'team-a', key: newKey('x'), policies: NO_POLICIES }),
    'consumer "team-a" is there already: `add-key team-a` gives it another key, `set team-a` changes its policies',
  ],
  [
    'set one that is not',
    () => setPolicies(oneConsumer, { id: 'b', policies: NO_POLICIES }),
    'there is no consumer "b": `list` shows those that are there',
  ],
  [
    'revoke one that is not',
    () => revokeConsumer(oneConsumer, { id: 'b', word: createWord(NOW) }),
    'there is no consumer "b": `list` shows those that are there',
  ],
  [
    'revoke a key that is not',
    () => revokeKey(oneConsumer, { id: 'team-a', keyId: 'k9' }),
    'consumer "team-a" has no key "k9"; it has k1',
  ],
  [
    'revoke the only key',
    () => revokeKey(oneConsumer, { id: 'team-a', keyId: 'k1' }),
    'key "k1" is the only one of consumer "team-a": `rotate team-a --keep-for 0s` replaces it at once, `revoke team-a` takes the whole consumer away',
  ],
  [
    'add a key of an id that is there',
    () => addKey(oneConsumer, { id: 'team-a', key: newKey('x', { id: 'k1' }) }),
    'the consumer has a key "k1" already: choose another --key-id, or leave it out',
  ],
])('%s: says the way out', (_, command, problem) => {
  expect(command).toThrow(problem);
});

test.each([
  ['90s', 90],
  ['30m', 1800],
  ['24h', 86_400],
  ['7d', 604_800],
  ['2w', 1_209_600],
  ['0s', 0],
])('%s are %d seconds', (text, seconds) => {
  expect(parseDuration(text, '--keep-for')).toBe(seconds);
});

test('an end is a duration from now or a time that exists, in the future', () => {
  expect(timestamp(parseEnd('90d', '--not-after', NOW))).toBe('2027-02-21T12:00:00Z');
  expect(timestamp(parseEnd('2026-12-01T00:00:00Z', '--not-after', NOW))).toBe('2026-12-01T00:00:00Z');
  expect(() => parseEnd('2026-02-30T00:00:00Z', '--not-after', NOW)).toThrow('there is no such time');
  expect(() => parseEnd('2026-11-23T12:00:00Z', '--not-after', NOW)).toThrow('must lie in the future');
  for (const text of ['', '24', 'h', '1.5h', '-1h', '99999d', '2026-12-01'])
    expect(() => parseEnd(text, '--not-after', NOW)).toThrow(`--not-after is "${text}"; must be a duration`);
});

/** Commands by a person who mistypes now and then, and a clock that goes on. */
const step = fc.record({
  command: fc.constantFrom('add', 'add-key', 'rotate', 'revoke', 'revoke-key', 'set'),
  id: fc.constantFrom('a', 'b', 'c'),
  which: fc.nat(3),
  keepSeconds: fc.constantFrom(0, 60, 86_400),
  passSeconds: fc.constantFrom(0, 30, 3600, 40 * 86_400),
  rate: fc.integer({ min: 1, max: 9 }),
});

test('whatever is done in whatever order: the registry stays good, no key comes back, each change is recorded', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let document = EMPTY;
      let now = NOW;
      const revoked = new Set<string>();
      const ends = new Map<string, number>();
      for (const [index, { command, id, which, keepSeconds, passSeconds, rate }] of steps.entries()) {
        now += passSeconds * 1000;
        const key = newKey(`secret ${index}`);
        const keys = document.consumers.find((consumer) => consumer.id === id)?.keys ?? [];
        const keyId = keys[which]?.id ?? 'k-none';
        let next: RegistryDocument;
        try {
          next = {
            add: () => addConsumer(document, { id, key, policies: NO_POLICIES }),
            'add-key': () => addKey(document, { id, key }),
            rotate: () => rotateKey(document, { id, keyId, key, keepSeconds, now }),
            revoke: () => revokeConsumer(document, { id, word: createWord(now) }),
            'revoke-key': () => revokeKey(document, { id, keyId }),
            set: () => setPolicies(document, { id, policies: readPolicies({ rate: String(rate) }, []) }),
          }[command]().document;
        } catch {
          continue;
        }
        checkRegistry(JSON.parse(JSON.stringify(next)), 'it');
        const before = all(document);
        const after = all(next);
        // At most one key comes, and what comes is new.
        const come = after.filter(({ sha256 }) => !before.some((each) => each.sha256 === sha256));
        expect(come.map(({ sha256 }) => sha256)).toEqual(
          ['add', 'add-key', 'rotate'].includes(command) ? [key.sha256] : [],
        );
        for (const { sha256 } of before) if (!after.some((each) => each.sha256 === sha256)) revoked.add(sha256);
        for (const each of after) {
          expect(revoked.has(each.sha256)).toBe(false);
          // An end that is set may come nearer, and never goes away.
          const end = each.notAfter === undefined ? Infinity : Date.parse(each.notAfter);
          expect(end).toBeLessThanOrEqual(ends.get(each.sha256) ?? Infinity);
          ends.set(each.sha256, end);
        }
        // Nobody else's keys or policies are touched.
        const others = ({ consumers }: RegistryDocument) => consumers.filter((consumer) => consumer.id !== id);
        expect(others(next)).toEqual(others(document));
        // After a rotation the consumer is not locked out.
        if (command === 'rotate') {
          const kept = next.consumers
            .find((consumer) => consumer.id === id)
            ?.keys.filter((each) => !hasEnded(each, now));
          expect(kept?.length).toBeGreaterThanOrEqual(keepSeconds === 0 ? 1 : 2);
        }
        const changes = diff(document, next);
        expect(changes.length > 0).toBe(JSON.stringify(document) !== JSON.stringify(next));
        for (const { sha256 } of [...before, ...after]) expect(JSON.stringify(changes)).not.toContain(sha256);
        document = next;
      }
    }),
    { numRuns: 500 },
  );
});

function all({ consumers }: RegistryDocument) {
  return consumers.flatMap(({ keys }) => keys);
}

describe('an audit record', () => {
  const record: AuditRecord = {
    when: '2026-11-23T12:00:00Z',
    who: 'zoë@machine',
    what: 'rotate team-a',
    changes: [{ member: 'team-a.rate', from: null, to: 5 }],
  };

  test('says what changed, with no more of a key than the beginning of its hash', () => {
    const rotated = rotateKey(oneConsumer, {
      id: 'team-a',
      key: newKey('two', { id: 'k2' }),
      keepSeconds: 60,
      now: NOW,
    }).document;
    const hash = (secret: string) => `sha256 ${hashKey(secret).slice(0, 8)}…`;
    expect(diff(oneConsumer, rotated)).toEqual([
      { member: 'team-a.keys.k1', from: hash('one'), to: `${hash('one')} until 2026-11-23T12:01:00Z` },
      { member: 'team-a.keys.k2', from: null, to: hash('two') },
    ]);
    const word = createWord(NOW);
    expect(diff(oneConsumer, revokeConsumer(oneConsumer, { id: 'team-a', word }).document)).toEqual([
      { member: 'team-a.purged', from: null, to: word },
      { member: 'team-a.keys.k1', from: hash('one'), to: null },
      { member: 'team-a.rate', from: 5, to: null },
      { member: 'team-a.burst', from: 10, to: null },
    ]);
  });

  test('comes back from the description that it is stored in, which is ASCII', () => {
    const description = toDescription(record);
    expect(description).toMatch(/^[\x20-\x7e]+$/);
    expect(parseRecord(description)).toEqual(record);
  });

  test('always fits: what has no room is counted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ member: fc.string({ maxLength: 80 }), to: fc.string({ unit: 'binary' }) })),
        fc.string({ maxLength: 128, unit: 'binary' }),
        (changes, who) => {
          const plain = JSON.parse(
            JSON.stringify(changes.map(({ member, to }) => ({ member, from: null, to }))),
          ) as AuditRecord['changes'];
          const description = toDescription({ ...record, who, changes: plain });
          expect(description).toMatch(/^[\x20-\x7e]{1,1024}$/);
          const parsed = parseRecord(description);
          expect((parsed?.changes.length ?? 0) + (parsed?.omitted ?? 0)).toBe(plain.length);
        },
      ),
    );
  });

  test('is none where the text is not', () => {
    for (const text of ['', 'Initial', '{}', '[1]', '{"when":1}']) expect(parseRecord(text)).toBeUndefined();
  });
});
