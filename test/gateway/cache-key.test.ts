import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';

import { random } from './support/json-text';
import { driveLua } from './support/lua-driver';

/** A request as the key sees it, its header lines in the order in which they came. */
interface KeyedRequest {
  readonly environment: string;
  readonly consumer: string;
  /** The client's own, in `passthrough`. */
  readonly credential: string | null;
  readonly upstream_credential: string | null;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | null;
  readonly purges: { readonly all: string | null; readonly own: string | null };
}

const REQUESTS = 20_000;
const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** Short texts of few letters, so that many are equal, with what a careless way of writing would trip over. */
const sly = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '1', ':', '-', ',', ' ', '\u00e9'), maxLength: 4 }),
  fc.constantFrom('1:a', '-', '2:1:', 'a17:anthropic-version1:1', '1:', '', '0:', 'null'),
);
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null, freq: 2 });
const word = fc.constantFrom('a', 'b', 'ab', 'a-b', '20261123T1800Z-a');

const COUNTED = [
  'anthropic-version',
  'anthropic-beta',
  'anthropic-workspace-id',
  'anthropic-',
  'anthropic-a',
  'anthropic-what-comes-next',
  'accept',
  'content-type',
  'content-encoding',
];
/** What says where a call comes from, or is the gateway's own business. */
const IGNORED = [
  'user-agent',
  'x-claude-code-session-id',
  'x-claude-code-agent-id',
  'x-stainless-os',
  'x-causeway-cache',
  'if-none-match',
  'authorization',
  'x-api-key',
  'anthropic',
  'x-anthropic-beta',
  'accept-encoding',
];

const request: fc.Arbitrary<KeyedRequest> = fc.record({
  environment: fc.constantFrom('prod', 'prod2'),
  consumer: word,
  credential: optional(sly),
  upstream_credential: optional(word),
  method: fc.constantFrom('GET', 'POST'),
  target: fc.constantFrom(
    '/v1/messages',
    '/v1/messages?beta=true',
    '/v1/messages?',
    '/v1/models',
    '/v1/models?limit=1',
  ),
  headers: fc.array(fc.tuple(fc.constantFrom(...COUNTED, ...IGNORED), sly), { maxLength: 5 }),
  body: optional(sly),
  purges: fc.record({ all: optional(word), own: optional(word) }),
});

/** What a request is, in TypeScript's words: two are the same if and only if these are. */
function identity({ headers, purges, ...rest }: KeyedRequest): unknown {
  const counted = headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => COUNTED.includes(name));
  const names = [...new Set(counted.map(([name]) => name))].sort();
  return {
    ...rest,
    purges: { all: purges.all ?? '', own: purges.own ?? '' },
    headers: names.map((name) => [name, counted.filter(([each]) => each === name).map(([, value]) => value)]),
  };
}

function oddCase(name: string, pick: (below: number) => number): string {
  return name.replace(/[a-z]/g, (letter) => (pick(2) === 0 ? letter.toUpperCase() : letter));
}

/** The same request as another client would write it: cases of names, order of headers, headers that do not count. */
function respelled(one: KeyedRequest, pick: (below: number) => number): KeyedRequest {
  const ignored = IGNORED.map((name): [string, string] => [name, String(pick(1000))]).filter(() => pick(3) === 0);
  const lines = one.headers.filter(([name]) => COUNTED.includes(name));
  // Lines of one name stay in their order; all others may change places.
  const places = [...lines, ...ignored].map((line) => ({ line, at: pick(1000) }));
  const order = places.sort((a, b) => a.at - b.at).map(({ line }) => line);
  const queues = new Map<string, string[]>();
  for (const [name, value] of lines) queues.set(name, [...(queues.get(name) ?? []), value]);
  const headers = order.map(([name, value]): [string, string] => [
    oddCase(name, pick),
    queues.get(name)?.shift() ?? value,
  ]);
  return { ...one, headers };
}

/** The same request but for one thing. */
function changed(one: KeyedRequest, other: KeyedRequest, pick: (below: number) => number): KeyedRequest {
  const names = Object.keys(one) as (keyof KeyedRequest)[];
  const name = names[pick(names.length)] ?? 'body';
  return { ...one, [name]: other[name] };
}

async function keysOf(requests: readonly KeyedRequest[]): Promise<string[]> {
  return driveLua(
    'key_cli.lua',
    requests.map((one) => Buffer.from(JSON.stringify(one))),
  );
}

/** Two requests that share a key and are not the same, or are the same and do not; undefined where there are none. */
function disagreement(identities: readonly string[], keys: readonly string[]): [string, number, number] | undefined {
  const [withKey, withIdentity] = [new Map<string, number>(), new Map<string, number>()];
  for (const [index, own] of identities.entries()) {
    const key = keys[index] ?? '';
    const [likeKey, likeIdentity] = [withKey.get(key) ?? index, withIdentity.get(own) ?? index];
    if (identities[likeKey] !== own) return ['different, and share a key', likeKey, index];
    if (keys[likeIdentity] !== key) return ['the same, and do not share a key', likeIdentity, index];
    withKey.set(key, likeKey);
    withIdentity.set(own, likeIdentity);
  }
  return undefined;
}

describe(`keys of stored answers (seed ${seed}: CAUSEWAY_TEST_SEED repeats it)`, () => {
  let requests: KeyedRequest[];
  let identities: string[];

  beforeAll(() => {
    const pick = random(seed);
    const drawn = fc.sample(request, { numRuns: REQUESTS, seed });
    requests = drawn.flatMap((one, index) => [
      one,
      respelled(one, pick),
      changed(one, drawn[(index + 1) % drawn.length] ?? one, pick),
    ]);
    identities = requests.map((one) => JSON.stringify(identity(one)));
  });

  test(`no two of ${3 * REQUESTS} requests of different identity share one, and those of the same identity do`, async () => {
    const keys = await keysOf(requests);
    expect(keys.filter((key) => !/^[0-9a-f]{64}$/.test(key))).toEqual([]);
    const found = disagreement(identities, keys);
    if (found !== undefined) {
      const [how, ...pair] = found;
      throw new Error(`seed ${seed}: ${how}:\n${pair.map((index) => JSON.stringify(requests[index])).join('\n')}`);
    }
    // They are no empty exercise: many are the same and written otherwise, many differ by one thing only.
    const distinct = new Set(identities).size;
    expect(distinct).toBeGreaterThan(REQUESTS / 4);
    expect(distinct).toBeLessThan(2 * REQUESTS);
    const otherwise = requests.filter((one, index) => index % 3 === 1 && !isDeepStrictEqual(one, requests[index - 1]));
    expect(otherwise.length).toBeGreaterThan(REQUESTS / 2);
  });

  test.each<[string, (one: KeyedRequest) => unknown, string]>([
    ['runs its fields together', (one) => JSON.stringify(identity(one)).replace(/[^a-z\d/]/g, ''), 'different'],
    ['leaves the order of headers in', (one) => [identity(one), one.headers.map(([name]) => name)], 'the same'],
    [
      'forgets a header',
      (one) => identity({ ...one, headers: one.headers.filter(([name]) => !/^accept$/i.test(name)) }),
      'different',
    ],
    ['forgets the credential', (one) => identity({ ...one, credential: null }), 'different'],
    ['forgets the query', (one) => identity({ ...one, target: one.target.replace(/\?.*/, '') }), 'different'],
    ['takes nothing for an empty body', (one) => identity({ ...one, body: one.body ?? '' }), 'different'],
    ['forgets purges', (one) => identity({ ...one, purges: { all: null, own: null } }), 'different'],
  ])('finds it out when a key %s', (_, keyOf, how) => {
    const keys = requests.map((one) => JSON.stringify(keyOf(one)));
    expect(disagreement(identities, keys)?.[0]).toContain(how);
  });

  test('a purge of one consumer is a purge of none other, and of all is one of each', async () => {
    const one = fc.sample(request, { numRuns: 1, seed })[0];
    if (one === undefined) throw new Error('nothing was drawn');
    const words: readonly (string | null)[] = [null, 'a', 'b'];
    const purged = words.flatMap((all) => words.map((own) => ({ ...one, purges: { all, own } })));
    expect(new Set(await keysOf(purged)).size).toBe(9);
  });
});
