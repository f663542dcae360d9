import { createHash } from 'node:crypto';
import { type MockClaude, startMockClaude } from '../../local/mock-claude/server';
import { eventNames, messageBody, parseEvents, send, until } from './helpers';

let mock: MockClaude;
beforeAll(async () => {
  mock = await startMockClaude();
});
afterAll(() => mock.close());
beforeEach(() => {
  mock.clear();
});

const STREAM = messageBody({ stream: true });
const MODEL = 'claude-sonnet-5-5';
const ORDINARY = [
  'message_start',
  'content_block_start',
  'ping',
  ...Array.from({ length: 5 }, () => 'content_block_delta'),
  'content_block_stop',
  'message_delta',
  'message_stop',
];

describe('a stream without a script', () => {
  it('has the API’s events, headers and framing', async () => {
    const got = await send(mock.baseUrl, { body: STREAM });
    expect(got.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(got.headers['request-id']).toMatch(/^req_/);
    expect(got.headers['anthropic-organization-id']).toBeDefined();
    expect(got.headers['anthropic-ratelimit-requests-remaining']).toBe('3999');
    expect(eventNames(got.body)).toEqual(ORDINARY);
    expect(got.body.toString()).toMatch(/^(event: \w+\ndata: \{[^\n]*\}\n\n)+$/);
  });
});

describe('scripted answers', () => {
  it('sends an error in the API’s shape with the headers of the script', async () => {
    const got = await send(mock.baseUrl, {
      body: STREAM,
      script: {
        status: 429,
        message: 'slow down',
        headers: { 'retry-after': '7', 'set-cookie': ['a=1', 'b=2'], 'x-mock-name': null },
      },
    });
    expect(got.status).toBe(429);
    expect(got.headers).toMatchObject({ 'retry-after': '7', 'set-cookie': ['a=1', 'b=2'] });
    expect(got.headers['x-mock-name']).toBeUndefined();
    expect(JSON.parse(got.body.toString())).toEqual({
      type: 'error',
      error: { type: 'rate_limit_error', message: 'slow down' },
      request_id: got.headers['request-id'],
    });
  });

  it('derives the status from the error type', async () => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { errorType: 'overloaded_error' } });
    expect(got.status).toBe(529);
  });

  it('sends another success status, and redirects and 304 without a body', async () => {
    expect((await send(mock.baseUrl, { body: STREAM, script: { status: 202 } })).status).toBe(202);
    const moved = await send(mock.baseUrl, { body: STREAM, script: { status: 302, headers: { location: '/x' } } });
    expect([moved.status, moved.headers.location, moved.bytes]).toEqual([302, '/x', 0]);
  });

  it('sends a text, a stop reason and token numbers', async () => {
    const script = {
      text: 'Grüße 🎉',
      stopReason: 'stop_sequence',
      stopSequence: 'END',
      usage: { input: 11, output: 22, cacheRead: 33, cacheCreation5m: 44, cacheCreation1h: 55 },
    };
    // A header holds ASCII: what is beyond goes as \u escapes.
    const header = JSON.stringify(script).replace(
      /[\u0080-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    const got = await send(mock.baseUrl, { body: messageBody(), headers: { 'x-mock-script': header } });
    expect(JSON.parse(got.body.toString())).toMatchObject({
      content: [{ type: 'text', text: 'Grüße 🎉' }],
      stop_reason: 'stop_sequence',
      stop_sequence: 'END',
      usage: {
        input_tokens: 11,
        output_tokens: 22,
        cache_read_input_tokens: 33,
        cache_creation_input_tokens: 99,
        cache_creation: { ephemeral_5m_input_tokens: 44, ephemeral_1h_input_tokens: 55 },
      },
    });
  });

  it('reports no usage in message_start when asked, and all of it in message_delta', async () => {
    const got = await send(mock.baseUrl, {
      body: STREAM,
      script: { usage: { zeroInStart: true, input: 70, output: 30 } },
    });
    const events = parseEvents(got.body);
    expect(events[0]?.data).toMatchObject({ message: { usage: { input_tokens: 0, output_tokens: 0 } } });
    expect(events.at(-2)?.data).toMatchObject({ usage: { input_tokens: 70, output_tokens: 30 } });
  });

  it('streams scripted blocks: a tool input that looks like usage, and a block it does not know', async () => {
    const input = { usage: { input_tokens: 999_999, output_tokens: 888_888 }, text: 'event: message_stop\n\n' };
    const got = await send(mock.baseUrl, {
      body: STREAM,
      script: {
        content: [
          { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
          { type: 'redacted_thinking', data: 'xyz' },
          { type: 'tool_use', name: 'report', input },
        ],
      },
    });
    const events = parseEvents(got.body);
    const deltas = events.flatMap((e) => (e.event === 'content_block_delta' ? [e.data['delta']] : [])) as Record<
      string,
      string
    >[];
    expect(deltas).toContainEqual({ type: 'signature_delta', signature: 'c2ln' });
    expect(JSON.parse(deltas.map((d) => d['partial_json'] ?? '').join(''))).toEqual(input);
    expect(events).toContainEqual({
      event: 'content_block_start',
      data: { type: 'content_block_start', index: 1, content_block: { type: 'redacted_thinking', data: 'xyz' } },
    });
    expect(events.at(-2)?.data).toMatchObject({ delta: { stop_reason: 'tool_use' } });
  });

  it('sends raw bodies byte for byte, and parts a raw stream at its blank lines', async () => {
    const bytes = Buffer.from([0, 255, 1, 254]);
    const raw = await send(mock.baseUrl, {
      body: STREAM,
      script: { bodyBase64: bytes.toString('base64'), contentType: 'application/octet-stream', status: 502 },
    });
    expect([raw.status, raw.body.equals(bytes)]).toEqual([502, true]);
    const sse = 'event: a\r\ndata: 1\r\n\r\n: note\n\nevent: b\ndata: 2\n\nrest';
    const stream = { body: sse, contentType: 'text/event-stream' };
    expect((await send(mock.baseUrl, { body: STREAM, script: stream })).body.toString()).toBe(sse);
    const cut = await send(mock.baseUrl, { body: STREAM, script: { ...stream, cut: { afterEvents: 2 } } });
    expect(cut.body.toString()).toBe('event: a\r\ndata: 1\r\n\r\n: note\n\n');
  });

  it('inserts unknown events, comments and raw bytes, and sends the pings asked for', async () => {
    const got = await send(mock.baseUrl, {
      body: STREAM,
      script: {
        pings: 3,
        insert: [
          { after: 0, comment: 'first' },
          { after: 1, event: 'future', data: { type: 'future' } },
          { after: 99, raw: 'data: bare\n\n' },
        ],
      },
    });
    const text = got.body.toString();
    expect(text.startsWith(': first\n\nevent: message_start\n')).toBe(true);
    expect(text.endsWith('data: bare\n\n')).toBe(true);
    expect(eventNames(got.body)[1]).toBe('future');
    expect(eventNames(got.body).filter((name) => name === 'ping')).toHaveLength(3);
    expect(eventNames((await send(mock.baseUrl, { body: STREAM, script: { pings: 0 } })).body)).not.toContain('ping');
  });

  it.each([
    [1, ['error']],
    [4, ['message_start', 'content_block_start', 'ping', 'error']],
  ])('sends an in-band overload as event %i of a stream of status 200', async (atEvent, names) => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { streamError: { atEvent } } });
    expect([got.status, eventNames(got.body), got.error]).toEqual([200, names, undefined]);
    expect(parseEvents(got.body).at(-1)?.data).toMatchObject({
      type: 'error',
      error: { type: 'overloaded_error', message: 'Overloaded' },
    });
  });
});

describe('time', () => {
  it('waits before the headers', async () => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { delayMs: 200 } });
    expect(got.headersMs).toBeGreaterThanOrEqual(195);
  });

  it('is silent in the middle of a stream, with pings if asked', async () => {
    const silent = await send(mock.baseUrl, { body: STREAM, script: { silence: { ms: 300, afterEvents: 2 } } });
    const gaps = silent.pieces.map((piece, i) => piece.ms - (silent.pieces[i - 1]?.ms ?? piece.ms));
    // Less than 300: a busy machine reads the piece before the silence late.
    expect(Math.max(...gaps)).toBeGreaterThanOrEqual(200);
    expect(eventNames(silent.body)).toEqual(ORDINARY);
    const pinged = await send(mock.baseUrl, {
      body: STREAM,
      script: { silence: { ms: 300, afterEvents: 2, pingEveryMs: 80 } },
    });
    // Three of the silence and the usual one; a busy machine may miss some of the former.
    expect(eventNames(pinged.body).filter((name) => name === 'ping').length).toBeGreaterThanOrEqual(2);
  });

  it('spaces deltas, and drips bytes', async () => {
    const spaced = await send(mock.baseUrl, { body: STREAM, script: { deltas: 4, deltaMs: 60 } });
    expect(spaced.pieces.at(-1)?.ms).toBeGreaterThanOrEqual(175);
    expect(eventNames(spaced.body).filter((name) => name === 'content_block_delta')).toHaveLength(4);
    const dripped = await send(mock.baseUrl, { body: messageBody(), script: { drip: { bytes: 100, ms: 10 } } });
    expect(dripped.pieces.length).toBeGreaterThan(3);
    expect(Math.max(...dripped.pieces.map((piece) => piece.bytes.length))).toBeLessThanOrEqual(200);
    expect((JSON.parse(dripped.body.toString()) as { type: string }).type).toBe('message');
  });
});

describe('size', () => {
  it('sends a JSON answer of exactly the size asked for', async () => {
    const got = await send(mock.baseUrl, { body: messageBody(), script: { sizeBytes: 1_000_000 } });
    expect(got.bytes).toBe(1_000_000);
    expect((JSON.parse(got.body.toString()) as { stop_reason: string }).stop_reason).toBe('end_turn');
  });

  it('sends 300 MB as a stream without holding it', async () => {
    const before = process.memoryUsage().rss;
    const got = await send(mock.baseUrl, { body: STREAM, keep: false, script: { sizeBytes: 300_000_000 } });
    expect(got.error).toBeUndefined();
    expect(got.bytes).toBeGreaterThan(300_000_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
  });
});

describe('broken connections', () => {
  it.each([
    ['before the headers', { beforeHeaders: true as const }],
    ['before the headers by RST', { beforeHeaders: true as const, reset: true }],
  ])('cuts %s', async (_name, cut) => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { cut } });
    expect([got.status, got.error]).toEqual([undefined, 'ECONNRESET']);
    await until(() => mock.requests()[0]?.endTime !== undefined);
    expect(mock.requests()[0]).toMatchObject({ aborted: false, sentBytes: 0 });
  });

  it('cuts after whole events', async () => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { cut: { afterEvents: 4 } } });
    expect(got.status).toBe(200);
    expect(eventNames(got.body)).toEqual(ORDINARY.slice(0, 4));
    expect(got.error).toBe('ECONNRESET');
    expect(mock.requests()[0]).toMatchObject({ sentEvents: 4, aborted: false });
  });

  it('is silent first, then cuts, where a script says both of one event', async () => {
    const script = { silence: { ms: 150, afterEvents: 2 }, cut: { afterEvents: 2 } };
    const begun = Date.now();
    const got = await send(mock.baseUrl, { body: STREAM, script });
    expect([eventNames(got.body), got.error]).toEqual([ORDINARY.slice(0, 2), 'ECONNRESET']);
    expect(Date.now() - begun).toBeGreaterThanOrEqual(145);
  });

  it('cuts right after the headers', async () => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { cut: { afterEvents: 0 } } });
    expect([got.status, got.bytes, got.error]).toEqual([200, 0, 'ECONNRESET']);
  });

  it('cuts in the middle of an event, and of a JSON body', async () => {
    const got = await send(mock.baseUrl, { body: STREAM, script: { cut: { midEvent: 2 } } });
    expect(eventNames(got.body.subarray(0, got.body.indexOf('\n\n') + 2))).toEqual(['message_start']);
    expect(got.body.toString().endsWith('\n\n')).toBe(false);
    const json = await send(mock.baseUrl, { body: messageBody(), script: { cut: { midEvent: 1 } } });
    expect(json.bytes).toBe(Math.floor(Number(json.headers['content-length']) / 2));
  });

  it('cuts after a number of bytes, by RST if asked', async () => {
    const plain = await send(mock.baseUrl, { body: STREAM, script: { cut: { afterBytes: 50 } } });
    expect([plain.bytes, plain.error]).toEqual([50, 'ECONNRESET']);
    const reset = await send(mock.baseUrl, { body: STREAM, script: { cut: { afterBytes: 50, reset: true } } });
    expect([reset.bytes, reset.error]).toEqual([50, 'ECONNRESET']);
  });

  it('hangs without an answer, and resets without one', async () => {
    const hung = await send(mock.baseUrl, { body: STREAM, script: { hang: true }, giveUpMs: 200 });
    expect([hung.status, hung.error]).toEqual([undefined, 'gave up']);
    await until(() => mock.requests()[0]?.aborted === true);
    const reset = await send(mock.baseUrl, { body: STREAM, script: { reset: true } });
    expect([reset.status, reset.error]).toEqual([undefined, 'ECONNRESET']);
  });

  it('notes that a client left, and when', async () => {
    await send(mock.baseUrl, { body: STREAM, script: { silence: { ms: 10_000 } }, giveUpMs: 150 });
    await until(() => mock.requests()[0]?.aborted === true);
    const record = mock.requests()[0];
    expect(record?.abortedTime).toBeGreaterThanOrEqual(record?.time ?? Infinity);
    expect(record).toMatchObject({ status: 200, sentEvents: 1 });
  });
});

describe('what a stream cost', () => {
  const usage = { input: 100, output: 50, cacheRead: 10, cacheCreation5m: 5, cacheCreation1h: 4 };

  it('is charged and reported whole when it ends', async () => {
    await send(mock.baseUrl, { body: STREAM, script: { usage } });
    const totals = {
      inputTokens: 100,
      outputTokens: 50,
      cacheReadInputTokens: 10,
      cacheCreation5mInputTokens: 5,
      cacheCreation1hInputTokens: 4,
    };
    expect(mock.usage()).toEqual({ [MODEL]: { requests: 1, charged: totals, reported: totals } });
  });

  it('is charged by the deltas that went out when it is cut', async () => {
    // message_start, content_block_start, ping, three of five deltas
    await send(mock.baseUrl, { body: STREAM, script: { usage, cut: { afterEvents: 6 } } });
    const totals = mock.usage()[MODEL];
    expect(totals?.charged).toMatchObject({ inputTokens: 100, outputTokens: 30 });
    expect(totals?.reported).toMatchObject({ inputTokens: 100, outputTokens: 1 });
  });

  it('is nothing when the stream fails at its first event', async () => {
    await send(mock.baseUrl, { body: STREAM, script: { usage, streamError: { atEvent: 1 } } });
    expect(mock.usage()).toEqual({});
  });
});

describe('scripts that are wrong', () => {
  it.each([
    ['{', /not JSON/],
    ['{"delaysMs":5}', /delaysMs/],
    ['{"cut":{"afterEvents":1,"midEvent":2}}', /exactly one of/],
    ['{"drip":{"bytes":0,"ms":1}}', /drip\.bytes/],
  ])('are refused with their reason: %s', async (header, reason) => {
    const got = await send(mock.baseUrl, { body: STREAM, headers: { 'x-mock-script': header } });
    expect(got.status).toBe(400);
    expect((JSON.parse(got.body.toString()) as { error: { message: string } }).error.message).toMatch(reason);
  });
});

describe('determinism', () => {
  it('answers equal requests with equal text and a fresh id', async () => {
    const parse = async (): Promise<{ id: string; content: unknown }> =>
      JSON.parse((await send(mock.baseUrl, { body: messageBody() })).body.toString()) as never;
    const [first, second] = [await parse(), await parse()];
    expect(second.content).toEqual(first.content);
    expect(second.id).not.toBe(first.id);
    expect(mock.requests()[0]?.sha256).toBe(createHash('sha256').update(messageBody()).digest('hex'));
  });
});
