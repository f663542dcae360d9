import type { MockScript } from '../../local/mock-claude/server';
import { writeStateFile } from '../../local/state-file';
import { eventually, startGateway } from './harness';
import { asking, CACHEABLE, GATHER_MS } from './support/cacheable';
import { exchange, messageBody, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';
import { begin } from './support/http-client';
import { expectNothingHeld, freeFlightMemory } from './support/held';

const MAX_ITEM_BYTES = 65_536;

const gateway = useGateway({ workers: 2, config: { cache: { maxItemBytes: MAX_ITEM_BYTES } } });
const calls = (): number => gateway().mock.requests().length;

let free = 0;
beforeAll(async () => {
  free = await freeFlightMemory(gateway());
});

/** A message that asks to be stored for as long as may be, for outages too. */
const message = (name: string, more: Record<string, unknown> = {}): Sending => ({
  headers: [['content-type', 'application/json'], ...asking('max-age=60').headers],
  body: messageBody({ messages: [{ role: 'user', content: name }], ...more }),
});

/** Whether neither a fresh copy nor one for an outage is there. */
async function expectNoCopy(sending: Sending): Promise<void> {
  const failed = await exchange(gateway(), { ...sending, script: { status: 529 } });
  expect([failed.status, failed.headers['x-causeway-cache']]).not.toContain('STALE');
  expect(failed.status).toBe(529);
}

describe.each(CACHEABLE)('of $what is never stored', ({ what, stream, sending }) => {
  const answers: Record<string, MockScript> = {
    'a 500': { status: 500 },
    'a 529': { status: 529 },
    'a 429': { status: 429 },
    'a 400': { status: 400 },
    'a 201': { status: 201, body: '{"type":"message"}' },
    'an answer that breaks off': { cut: { midEvent: stream ? 5 : 1 } },
    'an answer that is reset': { cut: { midEvent: stream ? 5 : 1, reset: true } },
    'an answer over the limit': { sizeBytes: MAX_ITEM_BYTES + 1 },
    'something else than JSON or events': { body: '<html>hello</html>', contentType: 'text/html' },
    ...(stream
      ? {
          'a stream without its end': { cut: { afterEvents: 8 } },
          'a stream with an error in it': { streamError: { atEvent: 5 } },
          'a stream that begins with an error': { streamError: { atEvent: 1 } },
          'a stream that ends well but for its last event': {
            body: 'event: message_start\ndata: {"type":"message_start"}\n\n',
            contentType: 'text/event-stream',
          },
        }
      : {
          'JSON that is none': { body: '{"type":"message",' },
          'an error of status 200': { body: '{"type":"error","error":{"type":"overloaded_error"}}' },
        }),
  };

  it.each(Object.entries(answers))('%s', async (answer, script) => {
    const asked = sending(`${what}: ${answer}`, { script });
    // Some of them are answered whole, some break off.
    await exchange(gateway(), asked).catch(() => undefined);
    const before = calls();
    await expectNoCopy(asked);
    expect(calls()).toBeGreaterThan(before);
  });

  it('what is larger than the limit, which its readers have whole', async () => {
    // All of them are there before the first byte: later, it is too large to be begun with.
    const asked = sending(`${what}: large`, { script: { sizeBytes: 5_000_000, delayMs: GATHER_MS } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(gateway(), asked)));
    expect(new Set(answers.map(({ body }) => body.length)).size).toBe(1);
    expect(answers[0]?.body.length).toBeGreaterThanOrEqual(5_000_000);
    expect(answers.every(({ body }) => answers[0] !== undefined && body.equals(answers[0].body))).toBe(true);
    expect(calls()).toBe(1);
    await expectNoCopy(asked);
  });

  it('what is larger than the limit, once nobody reads it: its call is ended too', async () => {
    // As above: all of them are there before it is too large to be begun with.
    const script: MockScript = { sizeBytes: 200_000_000, delayMs: GATHER_MS, drip: { bytes: 50_000, ms: 10 } };
    const asked = sending(`${what}: abandoned`, { script });
    const all = Array.from({ length: 4 }, () =>
      begin(gateway(), {
        path: asked.target ?? '/v1/messages',
        method: asked.method ?? 'POST',
        ...(asked.body === undefined ? {} : { body: asked.body }),
        script,
        headers: Object.fromEntries(asked.headers ?? []),
      }),
    );
    try {
      await eventually(() => (all.every((each) => each.bytes() > 2 * MAX_ITEM_BYTES) ? true : undefined), 20_000);
      expect(calls()).toBe(1);
    } finally {
      for (const each of all) each.request.destroy();
    }
    const record = gateway().mock.requests()[0];
    await eventually(() => (record?.aborted === true ? true : undefined), 10_000);
  });
});

describe('a message is not even looked for', () => {
  it.each<[string, Record<string, unknown>]>([
    [
      'that names a file',
      { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }] }] },
    ],
    ['that names a container', { container: 'container_1' }],
    ['with a tool that the API runs', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
    ['with an MCP server', { mcp_servers: [{ type: 'url', url: 'https://mcp.test', name: 'x' }] }],
  ])('%s', async (_what, more) => {
    for (const stream of [false, true]) {
      for (const words of ['max-age=60', 'outage']) {
        const asked = { ...message('refers', { ...more, stream }), ...asking(words) };
        const before = calls();
        const answers = [await exchange(gateway(), asked), await exchange(gateway(), asked)];
        expect(answers.map(({ headers }) => headers['x-causeway-cache'])).toEqual(['BYPASS', 'BYPASS']);
        expect(calls()).toBe(before + 2);
        await expectNoCopy(asked);
      }
    }
  });
});

test('and no memory is held of any of it', async () => {
  await expectNothingHeld(gateway());
  expect(await freeFlightMemory(gateway())).toBe(free);
});

test('where nobody knows what was purged since, nothing is shared', async () => {
  const node = await startGateway({
    config: { auth: { pollSeconds: 1, revocationSeconds: 5 } },
  });
  try {
    const state = async (asked: Sending): Promise<string | undefined> =>
      (await exchange(node, asked)).headers['x-causeway-cache'];
    const asked = message('unconfirmed');
    expect([await state(asked), await state(asked)]).toEqual(['MISS', 'HIT']);
    writeStateFile(node.files.registry, '{"version":');
    // Each worker reads the registry in its own time: they come to that up to a second apart.
    const many = (of: Sending): Promise<(string | undefined)[]> =>
      Promise.all(Array.from({ length: 10 }, () => state(of)));
    const past = async (): Promise<true | undefined> =>
      (await many(asked)).every((each) => each === 'BYPASS') ? true : undefined;
    await eventually(async () => ((await past()) && (await past())) ?? undefined, 20_000);
    const before = node.mock.requests().length;
    const slow = { ...asked, script: { delayMs: 300 } };
    expect(new Set(await many(slow))).toEqual(new Set(['BYPASS']));
    expect(node.mock.requests()).toHaveLength(before + 10);
    await node.waitForLine((line) => line['cacheBypass'] === 'unconfirmed');
  } finally {
    await node.stop();
  }
}, 30_000);
