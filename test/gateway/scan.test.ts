import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';

import { mutate, random, writeJson, written } from './support/json-text';
import { scan, scanBatches, type Scanned } from './support/scanner';

const DOCUMENTS = 100_000;
const MUTANTS = 60_000;
const NOISE = 20_000;
const MAX_DEPTH = 512;

const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** What a strict parser reads; undefined where it refuses. */
function parse(bytes: Buffer): { value: unknown } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

const isWhole = (text: string): boolean => !/\p{Surrogate}/u.test(text);

/** What `model_and_stream` must say of an object in which nothing is given twice. */
function expectation(value: object): { model: string | null; stream: boolean; reason: string | null } {
  const entries = new Map(Object.entries(value) as [string, unknown][]);
  const [model, stream] = [entries.get('model'), entries.get('stream')];
  const isStream = stream === true;
  if (model === undefined) return { model: null, stream: isStream, reason: 'no_model' };
  if (typeof model !== 'string') return { model: null, stream: isStream, reason: 'model_not_string' };
  if (!isWhole(model)) return { model: null, stream: isStream, reason: 'lone_surrogate' };
  const odd = stream !== undefined && stream !== null && typeof stream !== 'boolean';
  return { model, stream: isStream, reason: odd ? 'stream_not_boolean' : null };
}

/** Where the scanner and the parser disagree; undefined where they agree. */
function disagreement(bytes: Buffer, scanned: Scanned): string | undefined {
  const parsed = parse(bytes);
  if (parsed === undefined) {
    return scanned.ok || !['invalid', 'too_deep'].includes(scanned.error)
      ? 'accepted what the parser refuses'
      : undefined;
  }
  const { value } = parsed;
  if (!scanned.ok) {
    if (scanned.error === 'too_deep') return undefined;
    const isObject = typeOf(value) === 'object';
    return scanned.error === 'not_object' && !isObject ? undefined : `refused as ${scanned.error} (${scanned.detail})`;
  }
  if (typeOf(value) !== 'object') return 'took for an object what is none';
  const entries = new Map(Object.entries(value as object) as [string, unknown][]);
  for (const name of ['model', 'stream']) {
    const member = scanned.members[name];
    if ((member !== undefined) !== entries.has(name)) return `${name}: there or not`;
    if (member === undefined) continue;
    const own = parse(bytes.subarray(member.from - 1, member.to));
    if (own === undefined || !isDeepStrictEqual(own.value, entries.get(name))) return `${name}: another range`;
    if (member.type !== typeOf(own.value)) return `${name}: another type`;
    if (typeof own.value === 'string' && member.value !== (isWhole(own.value) ? own.value : null))
      return `${name}: another value`;
  }
  if (scanned.duplicate.length > 0) {
    // Both readings of a key that is there twice are possible: the document is reported, so that a policy refuses it.
    if (scanned.duplicate.includes('model'))
      return scanned.model === null ? undefined : 'gave a model that is there twice';
    return scanned.reason === null ? 'is certain of a stream that is there twice' : undefined;
  }
  const { model, stream, reason } = scanned;
  return isDeepStrictEqual({ model, stream, reason }, expectation(value as object)) ? undefined : 'model_and_stream';
}

function expectAgreement(documents: readonly Buffer[], scanned: readonly Scanned[]): void {
  const wrong = documents.flatMap((document, index) => {
    const line = scanned[index];
    const problem = line === undefined ? 'no answer' : disagreement(document, line);
    return problem === undefined ? [] : [`${problem}: ${JSON.stringify(document.toString('latin1'))}`];
  });
  if (wrong.length > 0) {
    throw new Error(`seed ${seed}: ${wrong.length} of ${documents.length}:\n${wrong.slice(0, 5).join('\n')}`);
  }
}

describe(`the scanner of request bodies (seed ${seed}: CAUSEWAY_TEST_SEED repeats it)`, () => {
  let valid: Buffer[];

  beforeAll(() => {
    valid = fc
      .sample(written, { numRuns: DOCUMENTS, seed })
      .map(([value, style]) => Buffer.from(writeJson(value, random(style))));
  });

  test(`agrees with JSON.parse on ${DOCUMENTS} valid documents without duplicate keys`, async () => {
    const scanned = await scan(valid);
    expectAgreement(valid, scanned);
    // They are no empty exercise.
    const models = scanned.filter((line) => line.ok && line.model !== null).length;
    expect(models).toBeGreaterThan(DOCUMENTS / 10);
    expect(scanned.filter((line) => line.ok && line.duplicate.length > 0)).toEqual([]);
    expect(scanned.filter((line) => !line.ok && line.error !== 'not_object')).toEqual([]);
    expect(valid.filter((document) => document.includes('\\u')).length).toBeGreaterThan(DOCUMENTS / 20);
  });

  test(`accepts none of ${MUTANTS} mutated documents that JSON.parse refuses, and reads the rest as it does`, async () => {
    const pick = random(seed);
    const mutants = Array.from({ length: MUTANTS }, () => mutate(valid[pick(valid.length)] ?? Buffer.alloc(0), pick));
    const scanned = await scan(mutants);
    expectAgreement(mutants, scanned);
    const refused = scanned.filter((line) => !line.ok && line.error === 'invalid').length;
    expect(refused).toBeGreaterThan(MUTANTS / 2);
    expect(refused).toBeLessThan(MUTANTS);
  });

  test(`answers every one of ${NOISE} byte sequences`, async () => {
    const pick = random(seed + 1);
    const letters = Buffer.from('{}[]",:\\u0123456789abcdefnrtl-+.eE \n\0\u00ff\u00c3\u00a9', 'latin1');
    const noise = Array.from({ length: NOISE }, (_, index) =>
      Buffer.from(
        Array.from({ length: pick(120) }, () => (index % 2 === 0 ? pick(256) : (letters[pick(letters.length)] ?? 0))),
      ),
    );
    expectAgreement(noise, await scan(noise));
    for (const line of await scanBatches(noise)) if (line.ok) throw new Error(`seed ${seed}: noise is a batch`);
  });

  test('reports a key that is there twice, however it is written, and is sure of none of its values', async () => {
    const spellings = ['"model"', '"\\u006dodel"', '"m\\u006Fdel"', '"\\u006d\\u006f\\u0064\\u0065\\u006c"'];
    const documents = spellings.flatMap((first) =>
      spellings.flatMap((second) => [
        `{${first}:"a",${second}:"b"}`,
        `{${first}:"a","x":{"model":1},${second}:null}`,
        `{${first}:"a",${second}:"a"}`,
      ]),
    );
    for (const line of await scan(documents.map((text) => Buffer.from(text)))) {
      expect(line).toMatchObject({ ok: true, duplicate: ['model'], model: null, reason: 'duplicate_model' });
    }
    const [stream, inner] = await scan(
      ['{"model":"a","stream":false,"str\\u0065am":true}', '{"model":"a","x":{"model":1,"model":2}}'].map((text) =>
        Buffer.from(text),
      ),
    );
    expect(stream).toMatchObject({ ok: true, duplicate: ['stream'], model: 'a', reason: 'duplicate_stream' });
    // Within other members they decide nothing.
    expect(inner).toMatchObject({ ok: true, duplicate: [], model: 'a', reason: null });
  });

  test('refuses what strict parsers refuse, by name', async () => {
    const refused: [Buffer, string][] = [
      [Buffer.from('\ufeff{"model":"a"}'), 'value'],
      [Buffer.from('{"model":"a"}{"model":"b"}'), 'trailing'],
      [Buffer.from('{"model":"a"}\0'), 'trailing'],
      [Buffer.from('{"model":"a'), 'unterminated'],
      [Buffer.from('{"model":"a\n"}'), 'control'],
      [Buffer.from('{"model":"\\x61"}'), 'escape'],
      [Buffer.from('{"model":NaN}'), 'value'],
      [Buffer.from('{"model":01}'), 'separator'],
      [Buffer.from('{"model":1.}'), 'number'],
      ...['c0ae', 'eda080', 'f4908080', 'ff', 'c3', 'e282', 'f09f98'].map((hex): [Buffer, string] => [
        Buffer.concat([Buffer.from('{"model":"'), Buffer.from(hex, 'hex'), Buffer.from('"}')]),
        'utf8',
      ]),
    ];
    const scanned = await scan(refused.map(([bytes]) => bytes));
    expect(scanned.map((line) => (line.ok ? 'ok' : [line.error, line.detail]))).toEqual(
      refused.map(([, detail]) => ['invalid', detail]),
    );
  });

  test('stops at its depth, whatever the brackets, and in time that the length bounds', async () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)},"model":"m"}`;
    const bombs = [
      nested(MAX_DEPTH),
      nested(MAX_DEPTH + 1),
      '['.repeat(5_000_000),
      '{"a":'.repeat(1_000_000),
      `{"model":"m","a":${'[{"b":'.repeat(500_000)}`,
      `{"a":"${'\\u0061'.repeat(1_000_000)}","model":"m"}`,
      `{"${'k'.repeat(8_000_000)}":1,"model":"m"}`,
      `{${Array.from({ length: 200_000 }, (_, index) => `"k${index}":${index}`).join(',')},"model":"m"}`,
    ].map((text) => Buffer.from(text));
    const begun = performance.now();
    const scanned = await scan(bombs);
    expect(scanned.map((line) => (line.ok ? line.model : line.error))).toEqual([
      'm',
      'too_deep',
      'too_deep',
      'too_deep',
      'too_deep',
      'm',
      'm',
      'm',
    ]);
    // 30 MB: tens of milliseconds; seconds would be another order of growth.
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test('reads the models of a batch, or says why it cannot', async () => {
    const cases: [string, object][] = [
      [
        '{"requests":[{"params":{"model":"a"}},{"custom_id":"model","params":{"model":"b"}}]}',
        { ok: true, models: ['a', 'b'], count: 2 },
      ],
      ['{"requests":[{"p\\u0061rams":{"m\\u006fdel":"\\u0061"}}]}', { ok: true, models: ['a'], count: 1 }],
      ['{"requests":[]}', { ok: true, models: [], count: 0 }],
      ['{"requests":[{"params":{"model":"a","model":"b"}}]}', { error: 'duplicate_model' }],
      ['{"requests":[{"params":{"model":"a"},"params":{"model":"b"}}]}', { error: 'duplicate_params' }],
      ['{"requests":[],"reque\\u0073ts":[{"params":{"model":"b"}}]}', { error: 'duplicate_requests' }],
      ['{"requests":{"params":{"model":"a"}}}', { error: 'requests_not_array' }],
      ['{"requests":[["params"]]}', { error: 'request_not_object' }],
      ['{"requests":[{"params":"model"}]}', { error: 'params_not_object' }],
      ['{"requests":[{"params":{}}]}', { error: 'no_model' }],
      ['{"requests":[{}]}', { error: 'no_params' }],
      ['{"model":"a"}', { error: 'no_requests' }],
      ['{"requests":[{"params":{"model":"a"}}]', { error: 'invalid' }],
      ['{"requests":[{"params":{"model":"a"}}]}]', { error: 'invalid' }],
    ];
    const scanned = await scanBatches(cases.map(([text]) => Buffer.from(text)));
    scanned.forEach((line, index) => {
      expect(line).toMatchObject(cases[index]?.[1] ?? {});
    });
  });
});
