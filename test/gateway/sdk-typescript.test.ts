import type Anthropic from '@anthropic-ai/sdk';
import { toFile, type ClientOptions } from '@anthropic-ai/sdk';

import { UPSTREAM_HOST, UPSTREAM_SECRET } from './harness';
import { lastRequest, sha256 } from './support/exchange';
import { useGateway } from './support/gateways';
import { ASK, MODEL, scripted, SDK_RELEASES } from './support/sdk-releases';

const TOOL = {
  name: 'weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
};
/** A tool's input that looks like the API's own accounting. */
const FAKE_USAGE = { usage: { input_tokens: 9_999_999, output_tokens: 9_999_999 }, type: 'message_delta' };

const gateway = useGateway({ mock: { name: 'through-causeway' } });

describe.each(SDK_RELEASES)('@anthropic-ai/sdk $release through the gateway', ({ create, errors, apiVersion }) => {
  const make = (options: Partial<ClientOptions> = {}): Anthropic =>
    create({ apiKey: gateway().key, baseURL: gateway().baseUrl, maxRetries: 0, ...options });

  it('gets a message, with the upstream’s credential and its own version header', async () => {
    const { data, response } = await make().messages.create(ASK).withResponse();
    expect(data.content[0]).toMatchObject({
      type: 'text',
      text: expect.stringContaining('through-causeway') as string,
    });
    const record = lastRequest(gateway());
    expect(response.headers.get('request-id')).toBe(record.requestId);
    expect(record.headers['anthropic-version']).toBe(apiVersion);
    expect(record.headers['x-api-key']).toBe(UPSTREAM_SECRET);
    expect(record.headers['authorization']).toBeUndefined();
    expect(record.rawHeaders.flat().join()).not.toContain(gateway().key);
  });

  it('streams with the helpers: text events, final text, final message', async () => {
    const text = 'Eine Brücke über das Wasser — 橋 🌉, in many pieces.';
    const body = { ...ASK, max_tokens: 200 };
    const stream = make().messages.stream(body, scripted({ content: [{ type: 'text', text }], deltas: 12, pings: 3 }));
    const pieces: string[] = [];
    stream.on('text', (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    expect(pieces).toHaveLength(12);
    expect(pieces.join('')).toBe(text);
    expect(await stream.finalText()).toBe(text);
    expect(message.stop_reason).toBe('end_turn');
    expect(message.usage.output_tokens).toBeGreaterThan(1);
  });

  it('takes a stream’s events one by one', async () => {
    const types: string[] = [];
    for await (const event of await make().messages.create({ ...ASK, stream: true })) types.push(event.type);
    expect(types[0]).toBe('message_start');
    expect(types.at(-1)).toBe('message_stop');
    expect(types.filter((type) => type === 'content_block_delta')).toHaveLength(5);
  });

  it.each([false, true])('uses a tool whose input holds a fake usage (stream: %s)', async (streamed) => {
    const script = {
      content: [{ type: 'tool_use', name: 'weather', input: FAKE_USAGE }],
      usage: { input: 7, output: 5 },
    };
    const body = { ...ASK, tools: [TOOL], tool_choice: { type: 'any' as const } };
    const message = streamed
      ? await make().messages.stream(body, scripted(script)).finalMessage()
      : await make().messages.create(body, scripted(script));
    expect(message.stop_reason).toBe('tool_use');
    expect(message.content[0]).toMatchObject({ type: 'tool_use', name: 'weather', input: FAKE_USAGE });
    expect(message.usage).toMatchObject({ input_tokens: 7, output_tokens: 5 });
  });

  it('streams thinking with its signature unharmed', async () => {
    const signature = 'Zm9v+bar/baz==';
    const stream = make().messages.stream(
      { ...ASK, max_tokens: 4000, thinking: { type: 'enabled', budget_tokens: 1024 } },
      scripted({
        content: [
          { type: 'thinking', thinking: 'Hm.', signature },
          { type: 'text', text: 'Yes.' },
        ],
      }),
    );
    const thoughts: string[] = [];
    stream.on('thinking', (delta) => thoughts.push(delta));
    const message = await stream.finalMessage();
    expect(thoughts.join('')).toBe('Hm.');
    expect(message.content).toMatchObject([
      { type: 'thinking', thinking: 'Hm.', signature },
      { type: 'text', text: 'Yes.' },
    ]);
  });

  it('counts tokens', async () => {
    const counted = await make().messages.countTokens(
      { model: MODEL, messages: ASK.messages },
      scripted({ usage: { input: 4711 } }),
    );
    expect(counted.input_tokens).toBe(4711);
  });

  it('creates a batch, polls it, lists it and reads its results', async () => {
    // The API names itself in results_url, where the SDK then goes; a client that is to stay with the gateway must say so.
    const asked: string[] = [];
    const stay: NonNullable<ClientOptions['fetch']> = (url, init) => {
      const { origin, pathname, search } = new URL(url instanceof Request ? url.url : url);
      asked.push(origin);
      return fetch(`${gateway().baseUrl}${pathname}${search}`, init);
    };
    const { batches } = make({ fetch: stay }).messages;
    const requests = [
      { custom_id: 'good', params: ASK },
      { custom_id: 'bad', params: { ...ASK, model: 'gpt-1' } },
    ];
    const made = await batches.create({ requests }, scripted({ batchPolls: 1 }));
    expect((await batches.retrieve(made.id)).processing_status).toBe('in_progress');
    const ended = await batches.retrieve(made.id);
    expect(ended).toMatchObject({ processing_status: 'ended', request_counts: { succeeded: 1, errored: 1 } });
    const results: Record<string, string> = {};
    for await (const line of await batches.results(made.id)) results[line.custom_id] = line.result.type;
    expect(results).toEqual({ good: 'succeeded', bad: 'errored' });
    expect(asked.at(-1)).toBe(`https://${UPSTREAM_HOST}:${gateway().mock.port}`);
    expect(lastRequest(gateway()).headers['x-api-key']).toBe(UPSTREAM_SECRET);
    const other = await batches.create({ requests: requests.slice(0, 1) });
    const listed: string[] = [];
    for await (const batch of batches.list({ limit: 1 })) listed.push(batch.id);
    expect(listed.slice(0, 2)).toEqual([other.id, made.id]);
  });

  it('cancels a batch', async () => {
    const { batches } = make().messages;
    const requests = [{ custom_id: 'one', params: ASK }];
    const doomed = await batches.create({ requests }, scripted({ batchPolls: 9 }));
    expect((await batches.cancel(doomed.id)).processing_status).toBe('canceling');
    expect((await batches.retrieve(doomed.id)).request_counts.canceled).toBe(1);
  });

  it('pages through all models, and retrieves one', async () => {
    const ids: string[] = [];
    for await (const model of make().models.list({ limit: 20 })) ids.push(model.id);
    expect(ids).toHaveLength(50);
    expect(new Set(ids).size).toBe(50);
    expect(
      gateway()
        .mock.requests()
        .map(({ url }) => url.replace(/after_id=.*/, 'after_id')),
    ).toEqual(['/v1/models?limit=20', '/v1/models?limit=20&after_id', '/v1/models?limit=20&after_id']);
    expect((await make().models.retrieve(MODEL)).id).toBe(MODEL);
  });

  it('uploads, describes, downloads, lists and deletes a file of some megabytes', async () => {
    const { files } = make().beta;
    const content = Buffer.alloc(5 * 1024 * 1024 + 7, 'abc\r\n--\0\xff', 'latin1');
    const made = await files.upload({ file: await toFile(content, 'notes.bin') });
    expect(made.size_bytes).toBe(content.length);
    expect(await files.retrieveMetadata(made.id)).toMatchObject({ id: made.id, filename: 'notes.bin' });
    const back = Buffer.from(await (await files.download(made.id)).arrayBuffer());
    expect(sha256(back)).toBe(sha256(content));
    const second = await files.upload({ file: await toFile(Buffer.from('small'), 'small.txt') });
    const listed: string[] = [];
    for await (const file of files.list({ limit: 1 })) listed.push(file.id);
    expect(listed).toEqual(expect.arrayContaining([made.id, second.id]));
    await files.delete(made.id);
    await expect(files.retrieveMetadata(made.id)).rejects.toBeInstanceOf(errors.NotFoundError);
  });
});
