import fc from 'fast-check';

import { mutate, random, writeJson } from './support/json-text';
import { driveLua } from './support/lua-driver';

const DOCUMENTS = 40_000;
const MUTANTS = 20_000;
const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);

/** A line of gateway/spec/tools/bypass_cli.lua. */
interface Verdict {
  readonly reason: string | null;
  readonly stream: boolean;
  readonly model: string | null;
}

const MEMBERS = [
  ...['model', 'messages', 'max_tokens', 'metadata', 'stop_sequences', 'stream', 'system', 'temperature', 'thinking'],
  ...['tool_choice', 'tools', 'top_k', 'top_p', 'service_tier', 'output_config', 'output_format', 'cache_control'],
  ...['inference_geo', 'speed'],
];
const OTHERS = ['container', 'mcp_servers', 'context_management', 'fallbacks', 'Model', '', 'file_id', 'type'];

const names = fc.constantFrom(
  'type',
  'type',
  'source',
  'content',
  'text',
  'input',
  'url',
  'name',
  'file',
  '',
  '\u00e9',
);
const words = fc.constantFrom('text', 'base64', 'custom', 'object', 'the file_id', '"type":"url"', '\\', '\u4e2d');
const scalar = fc.oneof(words, words, fc.integer(), fc.boolean(), fc.constant(null));
/** What refers elsewhere, or looks like it. */
const telling = fc.oneof(
  fc.tuple(fc.constantFrom('file_id', 'file_ids', 'file_i', 'File_id'), words),
  fc.tuple(fc.constant('type'), fc.constantFrom('url', 'file', 'container_upload', 'urls', 'Url', 'container')),
);

const object = (element: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .uniqueArray(fc.oneof({ weight: 12, arbitrary: fc.tuple(names, element) }, { weight: 1, arbitrary: telling }), {
      maxLength: 4,
      selector: ([name]) => name,
    })
    .map((entries) => Object.fromEntries(entries));
const within = (element: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(element, object(element), fc.array(element, { maxLength: 3 }));
const value = within(within(within(scalar)));

const tool = fc
  .tuple(
    object(within(scalar)),
    fc.constantFrom('custom', 'custom', 'custom', undefined, undefined, 'web_search', null),
  )
  .map(([rest, type]) => {
    const others = Object.fromEntries(Object.entries(rest as object).filter(([name]) => name !== 'type'));
    return type === undefined ? others : { ...others, type };
  });
const tools = fc.oneof({ weight: 20, arbitrary: fc.array(tool, { maxLength: 3 }) }, { weight: 1, arbitrary: value });

const document = fc
  .tuple(
    fc.uniqueArray(
      fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom(...MEMBERS) },
        { weight: 1, arbitrary: fc.constantFrom(...OTHERS) },
      ),
      { maxLength: 7 },
    ),
    fc.array(value, { minLength: 7, maxLength: 7 }),
    tools,
    fc.oneof({ weight: 9, arbitrary: fc.boolean() }, { weight: 1, arbitrary: scalar }),
  )
  .map(([chosen, values, someTools, stream]) =>
    Object.fromEntries(
      chosen.map((name, index) => [
        name,
        name === 'tools' ? someTools : name === 'stream' ? stream : (values[index] ?? null),
      ]),
    ),
  );

/** What refers elsewhere below the top level, in TypeScript's words. */
function refers(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return false;
  if (Array.isArray(part)) return part.some(refers);
  return Object.entries(part).some(
    ([name, inner]) =>
      name === 'file_id' ||
      (name === 'type' && ['url', 'file', 'container_upload'].includes(inner as string)) ||
      refers(inner),
  );
}

function isOwnTool(one: unknown): boolean {
  if (typeof one !== 'object' || one === null || Array.isArray(one)) return false;
  return !('type' in one) || one.type === 'custom';
}

function standsForItself(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return false;
  const { tools: given, stream } = body as { tools?: unknown; stream?: unknown };
  return (
    Object.keys(body).every((name) => MEMBERS.includes(name)) &&
    (given === undefined || (Array.isArray(given) && given.every(isOwnTool))) &&
    (stream === undefined || typeof stream === 'boolean') &&
    !refers(body)
  );
}

async function check(documents: readonly Buffer[]): Promise<Verdict[]> {
  return (await driveLua('bypass_cli.lua', documents)).map((line) => JSON.parse(line) as Verdict);
}

describe(`requests that have no copy (seed ${seed}: CAUSEWAY_TEST_SEED repeats it)`, () => {
  let drawn: Record<string, unknown>[];
  let documents: Buffer[];

  beforeAll(() => {
    drawn = fc.sample(document, { numRuns: DOCUMENTS, seed });
    documents = drawn.map((one, index) => Buffer.from(writeJson(one, random(seed + index))));
  });

  test(`are found out of ${DOCUMENTS}, however they are written, and no others`, async () => {
    const verdicts = await check(documents);
    verdicts.forEach((verdict, index) => {
      const one = drawn[index] ?? {};
      const good = standsForItself(one);
      const expected = {
        reason: good ? null : (verdict.reason ?? 'a reason'),
        stream: good && one['stream'] === true,
        model: good && typeof one['model'] === 'string' ? one['model'] : null,
      };
      if (JSON.stringify(verdict) !== JSON.stringify(expected)) {
        throw new Error(`seed ${seed}: ${JSON.stringify(verdict)} of ${documents[index]?.toString()}`);
      }
    });
    const good = verdicts.filter(({ reason }) => reason === null).length;
    expect(good).toBeGreaterThan(DOCUMENTS / 5);
    expect(good).toBeLessThan((DOCUMENTS * 4) / 5);
    const reasons = new Set(verdicts.map(({ reason }) => reason));
    for (const each of ['container', 'mcp_servers', 'context_management', 'unknown_member', 'odd_stream']) {
      expect(reasons).toContain(each);
    }
    for (const each of ['server_tool', 'file_id', 'url']) expect(reasons).toContain(each);
  });

  test('are all that a strict parser refuses, and what it reads in two ways', async () => {
    const pick = random(seed);
    const mutants = Array.from({ length: MUTANTS }, () =>
      mutate(documents[pick(documents.length)] ?? Buffer.alloc(0), pick),
    );
    (await check(mutants)).forEach(({ reason }, index) => {
      if (reason !== null) return;
      const bytes = mutants[index] ?? Buffer.alloc(0);
      const body: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
      // Members that are there twice below the top level: what a parser drops may refer elsewhere, never what it keeps.
      if (!standsForItself(body)) throw new Error(`seed ${seed}: taken for itself: ${bytes.toString()}`);
    });
  });
});
