import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { parseRegistry, registryJsonSchema, registrySchema } from '../../lib/registry/schema';

const ROOT = join(__dirname, '..', '..');
const HASH = 'a1'.repeat(32);
const OTHER = 'b2'.repeat(32);

/** What the data plane's own reader says of documents: undefined where it takes them. */
function luaProblems(texts: readonly string[]): (string | undefined)[] {
  const script = `
    package.path = 'gateway/lua/?.lua;' .. package.path
    local registry = require('causeway.core.registry')
    for line in io.lines() do
      local parsed, problem = registry.parse((line:gsub('%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)))
      print(parsed and 'good' or ('bad ' .. problem:gsub('%s', ' ')))
    end`;
  const input = texts.map((text) => `${encodeURIComponent(text)}\n`).join('');
  return execFileSync('luajit', ['-e', script], { cwd: ROOT, encoding: 'utf8', input, maxBuffer: 2 ** 28 })
    .trimEnd()
    .split('\n')
    .map((line) => (line === 'good' ? undefined : line));
}

function problemOf(text: string): string | undefined {
  try {
    parseRegistry(text, 'registry.json');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const key = (more: object = {}): object => ({ id: 'k1', sha256: HASH, ...more });
const consumer = (more: object = {}): object => ({ id: 'team-a', keys: [key()], ...more });
const registry = (...consumers: readonly unknown[]): string => JSON.stringify({ version: 1, consumers });
const WORD = '2026-11-23T18:00:00.000Z-1a2b3c4d';
const withPurges = (...values: readonly unknown[]): string[] =>
  values.map((purges) => JSON.stringify({ version: 1, consumers: [], purges }));
const purgedConsumers = (count: number): object => ({
  consumers: Object.fromEntries(Array.from({ length: count }, (_, index) => [`team-${index}`, WORD])),
});
const withMember = (name: string, ...values: readonly unknown[]): string[] =>
  values.map((value) => registry(consumer({ [name]: value })));

const GOOD: readonly string[] = [
  registry(),
  '{"version":1.0,"consumers":[]}',
  ' {"consumers" : [ ] , "version":1e0 } ',
  registry(consumer()),
  registry(consumer(), { id: 'b', keys: [key({ sha256: OTHER })] }),
  registry(consumer({ id: 'a-' }), { id: '0', keys: [key({ sha256: OTHER })] }),
  registry(consumer({ id: 'a'.repeat(63) })),
  registry(consumer({ keys: [key({ sha256: HASH.toUpperCase() })] })),
  registry(consumer({ keys: [key(), key({ id: 'k2', sha256: OTHER, notAfter: '2028-02-29T23:59:59Z' })] })),
  registry(consumer({ keys: [key({ notAfter: '0001-01-01T00:00:00Z' })] })),
  registry(consumer({ keys: [key({ notAfter: '9999-12-31T23:59:59Z' })] })),
  ...withMember('rate', 1e-9, 0.5, 5, 100_000),
  ...withMember('burst', 0, -0, 100_000, 3.0),
  ...withMember('concurrency', 1, 100_000),
  ...withMember('maxStreams', 1, 100_000),
  ...withMember('maxBodyBytes', 1, 1_073_741_824),
  ...withMember('models', [], ['*'], ['claude-*', 'a', 'a'], ['anthropic.claude-x:0/y@z_1*'], ['a'.repeat(128)]),
  ...withMember(
    'routes',
    [],
    ['generate', 'count', 'batches', 'models', 'files', 'other', 'admin'],
    ['count', 'count'],
  ),
  ...withMember('tokenBudget', {}, { inputPerMinute: 1 }, { inputPerMinute: 1e12, outputPerMinute: 5 }),
  ...withMember(
    'cache',
    {},
    { mode: 'off' },
    { mode: 'fresh', maxAgeSeconds: 0 },
    { mode: 'outage', maxAgeSeconds: 31_536_000 },
  ),
  ...withMember('upstreamCredential', 'main', '0-'),
  ...withMember('disabled', true, false),
  ...withPurges(
    {},
    { all: WORD },
    { consumers: {} },
    // Nobody need be there to be purged: in passthrough nobody is.
    { all: WORD, consumers: { 'team-a': WORD, 'credential-0123456789abcdef': WORD, constructor: WORD, '0': WORD } },
    { all: '2028-02-29T23:59:59.999Z-00000000' },
    { all: '0001-01-01T00:00:00.000Z-ffffffff' },
    purgedConsumers(1000),
  ),
  '{"version":2,"version":1,"consumers":[]}',
];

const BAD: readonly string[] = [
  '',
  '[]',
  'null',
  '1',
  '"x"',
  '{',
  '{}',
  '\ufeff{"version":1,"consumers":[]}',
  '{"version":1}',
  '{"version":"1","consumers":[]}',
  '{"version":2,"consumers":[]}',
  '{"version":null,"consumers":[]}',
  '{"version":1,"consumers":null}',
  '{"version":1,"consumers":{"a":1}}',
  '{"version":1,"consumers":[],"comment":""}',
  '{"version":1,"consumers":[],"__proto__":{}}',
  '{"version":1,"consumers":[],}',
  registry(null),
  registry(1),
  registry([]),
  registry({}),
  registry({ id: 'a' }),
  registry({ keys: [key()] }),
  registry(consumer(), consumer({ keys: [key({ sha256: OTHER })] })),
  registry(consumer(), consumer({ id: 'b' })),
  registry(consumer(), consumer({ id: 'b', keys: [key({ sha256: HASH.toUpperCase() })] })),
  ...['', '-a', 'A', 'a b', 'a_b', 'a\n', 'é', 'a'.repeat(64), 5, null].map((id) => registry(consumer({ id }))),
  ...[null, [], {}, 'x', [1], [null], [[]], [{}], [key(), key({ sha256: OTHER })], [key(), key({ id: 'k2' })]].map(
    (keys) => registry(consumer({ keys })),
  ),
  ...['', 'x'.repeat(64), 'a'.repeat(63), 'a'.repeat(65), null, 5].map((sha256) =>
    registry(consumer({ keys: [key({ sha256 })] })),
  ),
  ...[
    '2026-12-01',
    '2026-02-30T00:00:00Z',
    '2027-02-29T00:00:00Z',
    '2026-12-01T24:00:00Z',
    '2026-12-01T00:00:60Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-12-01T00:00:00+00:00',
    '2026-12-01T00:00:00.000Z',
    '2026-12-01T00:00:00z',
    ' 2026-12-01T00:00:00Z',
    '2026-12-01T00:00:00Z\n',
    '',
    null,
    1_796_083_200,
  ].map((notAfter) => registry(consumer({ keys: [key({ notAfter })] }))),
  registry(consumer({ keys: [key({ secret: 'x' })] })),
  ...['Rate', 'rates', 'max_streams', 'toString', 'constructor'].flatMap((name) => withMember(name, 5)),
  ...withMember('rate', 0, -0, -1, 100_000.1, '5', null, true, [5], {}),
  ...withMember('burst', -1, 1.5, 100_001, '1', null),
  ...withMember('concurrency', 0, 1.5, 100_001, null),
  ...withMember('maxStreams', 0, 100_001, 1e300, null),
  ...withMember('maxBodyBytes', 0, 1_073_741_825, null),
  ...withMember('models', 'a', null, [1], [null], [''], ['*a'], ['a**'], ['a b'], ['-a'], ['é'], ['a'.repeat(129)], {
    a: 1,
  }),
  ...withMember('routes', 'count', null, ['chat'], [1], [null], ['Count'], { a: 1 }),
  ...withMember(
    'tokenBudget',
    null,
    5,
    [5],
    { inputPerMinute: 0 },
    { inputPerMinute: 1e12 + 1 },
    { total: 5 },
    { inputPerMinute: null },
  ),
  ...withMember(
    'cache',
    null,
    'fresh',
    [1],
    { mode: 'on' },
    { mode: null },
    { ttl: 5 },
    { maxAgeSeconds: -1 },
    { maxAgeSeconds: 1.5 },
  ),
  ...withMember('upstreamCredential', '', 'Main', 'sk-ant-api03-ABC', null, 5),
  ...withMember('disabled', 'true', 0, null),
  `{"version":1,"consumers":[{"id":"a","keys":[{"id":"k","sha256":"${HASH}"}],"rate":1e400}]}`,
  ...withPurges(null, 'x', 1, [WORD], { other: WORD }, { consumers: null }, { consumers: WORD }, { consumers: [WORD] }),
  ...[
    '',
    'x',
    null,
    5,
    [WORD],
    `${WORD}0`,
    `${WORD}\n`,
    ` ${WORD}`,
    WORD.toUpperCase(),
    WORD.slice(0, -1),
    WORD.slice(0, 24),
    '2026-11-23T18:00:00Z-1a2b3c4d',
    '2026-02-30T18:00:00.000Z-1a2b3c4d',
    '2027-02-29T18:00:00.000Z-1a2b3c4d',
    '2026-11-23T24:00:00.000Z-1a2b3c4d',
    '2026-11-23T18:00:60.000Z-1a2b3c4d',
    '2026-11-23T18:00:00.000+1a2b3c4d',
  ].flatMap((word) => withPurges({ all: word }, { consumers: { 'team-a': word } })),
  ...['', '-a', 'A', 'a b', 'a_b', 'é', 'a'.repeat(64)].flatMap((id) => withPurges({ consumers: { [id]: WORD } })),
  ...withPurges(purgedConsumers(1001)),
];

test.each([
  ['takes', GOOD, true],
  ['refuses', BAD, false],
])('%s what the gateway does', (_, texts, good) => {
  const lua = luaProblems(texts);
  const verdicts = texts.map((text, index) => ({
    text,
    here: problemOf(text) === undefined,
    lua: lua[index] === undefined,
  }));
  expect(verdicts.filter(({ here, lua: there }) => here !== good || there !== good)).toEqual([]);
});

test('is stricter than the gateway only where cjson is laxer than JSON, which nothing here writes', () => {
  const lax = [
    // An empty object and an empty list are the same to it.
    '{"version":1,"consumers":{}}',
    registry(consumer({ models: {} })),
    registry(consumer({ tokenBudget: [] })),
    registry(consumer({ cache: [] })),
    ...withPurges([], { consumers: [] }),
    // It knows more numbers.
    `{"version":1,"consumers":[{"id":"a","keys":[{"id":"k","sha256":"${HASH}"}],"rate":0x10}]}`,
  ];
  expect(luaProblems(lax)).toEqual(lax.map(() => undefined));
  expect(lax.map(problemOf)).not.toContain(undefined);
});

/** Documents that are nearly right: what stands in the schema, and what may be mistaken for it. */
const almost = (() => {
  const junk = fc.constantFrom<unknown>(null, '', 'x', 0, -1, 1.5, 1e13, true, 'a'.repeat(64));
  const oneOf = (...values: readonly unknown[]) =>
    fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: junk });
  const keys = fc.array(
    fc.record(
      {
        id: oneOf('k1', 'k2', 'k3'),
        sha256: oneOf(HASH, OTHER, 'c3'.repeat(32)),
        notAfter: oneOf('2026-12-01T00:00:00Z'),
      },
      { requiredKeys: ['id', 'sha256'] },
    ),
    { maxLength: 3 },
  );
  const consumers = fc.array(
    fc.record(
      {
        id: oneOf('a', 'b', 'team-c'),
        keys,
        rate: oneOf(5, 0.1),
        burst: oneOf(0, 10),
        maxBodyBytes: oneOf(1, 1024),
        models: fc.array(oneOf('claude-*', '*', 'a:b'), { minLength: 1, maxLength: 3 }),
        routes: fc.array(oneOf('generate', 'count'), { minLength: 1, maxLength: 3 }),
        tokenBudget: fc.record({ inputPerMinute: oneOf(1, 5000) }),
        cache: fc.record({ mode: oneOf('off', 'fresh', 'outage') }),
        disabled: oneOf(true, false),
      },
      { requiredKeys: ['id', 'keys'] },
    ),
    { minLength: 1, maxLength: 2 },
  );
  const word = oneOf(WORD, '2026-11-24T00:00:00.000Z-00000000');
  const purges = fc.record(
    { all: word, consumers: fc.dictionary(oneOf('a', 'team-c', 'credential-0123456789abcdef').map(String), word) },
    { requiredKeys: [] },
  );
  return fc.record({ version: oneOf(1), consumers, purges }, { requiredKeys: ['version', 'consumers'] });
})();

test('agrees with the gateway on documents that nobody thought of', () => {
  const texts = fc.sample(almost, { numRuns: 3000, seed: 3 }).map((document) => JSON.stringify(document));
  const lua = luaProblems(texts);
  const disagreed = texts.filter((text, index) => (problemOf(text) === undefined) !== (lua[index] === undefined));
  expect(disagreed).toEqual([]);
  const good = lua.filter((problem) => problem === undefined).length;
  expect([good > 100, good < 2900]).toEqual([true, true]);
});

test.each([
  [registry(consumer({ rate: 0 })), 'consumer "team-a": rate is 0: must be a number above 0 and at most 100000'],
  [registry(consumer({ burst: 1.5 })), 'consumer "team-a": burst is 1.5: must be a whole number from 0 to 100000'],
  [
    registry(consumer({ models: ['a', '*-x'] })),
    'consumer "team-a": models[2] is "*-x": must be a list of model names, each of which may end with *',
  ],
  [
    registry(consumer({ cache: { mode: 'on' } })),
    'consumer "team-a": cache.mode is "on": must be "off", "fresh" or "outage"',
  ],
  [registry(consumer({ rates: 5 })), 'consumer "team-a": no such member: "rates"'],
  [
    registry({ id: 'Team' }),
    'consumers[1]: id is "Team": must be 1 to 63 of a-z, 0-9 and -, not beginning with - (and 1 more)',
  ],
  [
    registry(consumer({ keys: [] })),
    'consumer "team-a": keys: must be a list of at least one key (the value is not shown)',
  ],
  [
    registry(consumer(), consumer({ id: 'b', keys: [key()] })),
    'consumer "b": keys[1].sha256: the same key is given to consumer "team-a" as "k1" (the value is not shown)',
  ],
  [registry(consumer(), consumer({ keys: [key({ sha256: OTHER })] })), 'consumer "team-a" is there twice'],
  [
    withPurges({ all: 'now' })[0] ?? '',
    'the registry: purges.all is "now": must be the word of a purge, such as 2026-11-23T18:00:00.000Z-1a2b3c4d',
  ],
  [
    withPurges({ consumers: { A: WORD } })[0] ?? '',
    `the registry: purges.consumers.A is "${WORD}": must be 1 to 63 of a-z, 0-9 and -, not beginning with -`,
  ],
  ['{"version":1', 'is not valid JSON'],
])('says of %s what is wrong', (text, problem) => {
  expect(problemOf(text)).toBe(`registry.json: ${problem}`);
});

test('shows no secret, wherever it was pasted', () => {
  const secret = 'sk-ant-VERY-secret-0123456789';
  for (const more of [
    { upstreamCredential: secret },
    { keys: [key({ sha256: secret })] },
    { keys: [key({ id: secret })] },
    { keys: [key({ notAfter: secret })] },
    { keys: [key({ [secret]: 1 })] },
    { keys: [secret] },
    { keys: secret },
  ]) {
    const problem = problemOf(registry(consumer(more)));
    expect(problem).toBeDefined();
    expect(problem).not.toContain('secret-');
    expect(problem).not.toContain(HASH);
  }
  expect(problemOf(secret)).not.toContain('secret');
});

test('is a JSON Schema of draft 4 for AppConfig: closed, and within the size of a validator', () => {
  const schema = registryJsonSchema();
  expect(schema['$schema']).toBe('http://json-schema.org/draft-04/schema#');
  const text = JSON.stringify(schema);
  expect(text.length).toBeLessThan(32_768);
  // Keywords that came after draft 4, or mean another thing there.
  expect(text).not.toMatch(/"(const|exclusiveMinimum":\d|exclusiveMaximum":\d|\$defs|prefixItems|if|then|readOnly)"/);
  const objects = [...text.matchAll(/"type":"object"/g)];
  expect([...text.matchAll(/"additionalProperties":false/g)]).toHaveLength(objects.length);
  expect(schema).toMatchObject({
    required: ['version', 'consumers'],
    properties: {
      consumers: {
        items: {
          required: ['id', 'keys'],
          properties: {
            id: { type: 'string', maxLength: 63, pattern: '^[a-z0-9][a-z0-9-]*$' },
            keys: {
              minItems: 1,
              items: { required: ['id', 'sha256'], properties: { sha256: { pattern: '^[0-9a-fA-F]{64}$' } } },
            },
            rate: { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 100_000 },
            tokenBudget: { properties: { inputPerMinute: { type: 'integer', minimum: 1, maximum: 1e12 } } },
          },
        },
      },
      purges: {
        properties: {
          consumers: {
            patternProperties: { '^[a-z0-9][a-z0-9-]{0,62}$': { type: 'string' } },
            additionalProperties: false,
            maxProperties: 1000,
          },
        },
      },
    },
  });
  expect(registrySchema.safeParse({ version: 1, consumers: [] }).success).toBe(true);
});
