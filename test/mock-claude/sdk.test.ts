import Anthropic, { APIError, AuthenticationError, NotFoundError, toFile } from '@anthropic-ai/sdk';
import OldAnthropic from 'anthropic-sdk-0';
import { type MockClaude, startMockClaude } from '../../local/mock-claude/server';

const MODEL = 'claude-sonnet-5-5';
const ASK = { model: MODEL, max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hello' }] };
const TOOL = {
  name: 'weather',
  input_schema: {
    type: 'object' as const,
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  },
};

let mock: MockClaude;
beforeAll(async () => {
  mock = await startMockClaude({ name: 'sdk-mock', keepBodies: true });
});
afterAll(() => mock.close());
beforeEach(() => {
  mock.clear();
});

function client(): Anthropic {
  return new Anthropic({ apiKey: 'sk-new', baseURL: mock.baseUrl, maxRetries: 0 });
}

function oldClient(): OldAnthropic {
  return new OldAnthropic({ apiKey: 'sk-old', baseURL: mock.baseUrl, maxRetries: 0 });
}

describe.each([
  ['1.x', client, 'authorization', 'Bearer sk-new', '2026-10-21'],
  ['0.x', oldClient as unknown as typeof client, 'x-api-key', 'sk-old', '2023-06-01'],
])('the official SDK %s', (_version, make, credentialHeader, credential, apiVersion) => {
  it('gets a message', async () => {
    const { data, response } = await make().messages.create(ASK).withResponse();
    expect(data.content).toHaveLength(1);
    expect(data.content[0]).toMatchObject({ type: 'text', text: expect.stringContaining('sdk-mock') as string });
    expect(data.stop_reason).toBe('end_turn');
    expect(data.usage.input_tokens).toBeGreaterThan(0);
    expect(response.headers.get('request-id')).toMatch(/^req_/);
    const [record] = mock.requests();
    expect(record?.headers[credentialHeader]).toBe(credential);
    expect(record?.headers['anthropic-version']).toBe(apiVersion);
    expect(record?.model).toBe(MODEL);
    expect(JSON.parse(record?.body ?? '')).toEqual(ASK);
  });

  it('streams a message, thinking and a tool use', async () => {
    const stream = make().messages.stream({
      ...ASK,
      max_tokens: 4000,
      thinking: { type: 'enabled', budget_tokens: 1024 },
      tools: [TOOL],
      tool_choice: { type: 'any' },
    });
    const message = await stream.finalMessage();
    expect(message.content.map((block) => block.type)).toEqual(['thinking', 'tool_use']);
    expect(message.content[0]).toMatchObject({ signature: expect.stringMatching(/^[\w+/]{40,}=*$/) as string });
    expect(message.content[1]).toMatchObject({ name: 'weather', input: { city: 'mock', days: 1 } });
    expect(message.stop_reason).toBe('tool_use');
    expect(message.usage.output_tokens).toBeGreaterThan(1);
  });

  it('streams the same text that JSON has', async () => {
    const text = await make().messages.stream(ASK).finalText();
    expect(text).toContain('sdk-mock');
  });

  it('counts tokens', async () => {
    const count = await make().messages.countTokens({ model: MODEL, messages: ASK.messages });
    expect(count.input_tokens).toBeGreaterThan(0);
  });

  it('pages through all models', async () => {
    const ids: string[] = [];
    for await (const model of make().models.list({ limit: 20 })) ids.push(model.id);
    expect(ids.length).toBeGreaterThanOrEqual(25);
    expect(new Set(ids).size).toBe(ids.length);
    expect(mock.requests()).toHaveLength(Math.ceil(ids.length / 20));
    const backwards = await make().models.list({ limit: 5, before_id: ids[10] ?? '' });
    expect(backwards.data.map((m) => m.id)).toEqual(ids.slice(5, 10));
    expect((await make().models.retrieve(MODEL)).id).toBe(MODEL);
    await expect(make().models.retrieve('claude-none')).rejects.toMatchObject({ status: 404 });
  });

  it('runs a batch and reads its results', async () => {
    const batches = make().messages.batches;
    const made = await batches.create({
      requests: [
        { custom_id: 'good', params: ASK },
        { custom_id: 'bad', params: { ...ASK, model: 'gpt-1' } },
      ],
    });
    expect(made).toMatchObject({
      processing_status: 'ended',
      request_counts: { succeeded: 1, errored: 1, processing: 0 },
    });
    const results: Record<string, string> = {};
    for await (const line of await batches.results(made.id)) results[line.custom_id] = line.result.type;
    expect(results).toEqual({ good: 'succeeded', bad: 'errored' });
    const listed: string[] = [];
    for await (const batch of batches.list({ limit: 1 })) listed.push(batch.id);
    expect(listed).toContain(made.id);
    expect(await batches.delete(made.id)).toEqual({ id: made.id, type: 'message_batch_deleted' });
    await expect(batches.retrieve(made.id)).rejects.toMatchObject({ status: 404 });
  });

  it('ends a batch after the polls a script asks for, or cancels it', async () => {
    const batches = make().messages.batches;
    const headers = { 'x-mock-script': JSON.stringify({ batchPolls: 2 }) };
    const requests = [{ custom_id: 'one', params: ASK }];
    const slow = await batches.create({ requests }, { headers });
    const seen: string[] = [slow.processing_status];
    for (let i = 0; i < 3; i += 1) seen.push((await batches.retrieve(slow.id)).processing_status);
    expect(seen).toEqual(['in_progress', 'in_progress', 'in_progress', 'ended']);

    const doomed = await batches.create({ requests }, { headers });
    expect((await batches.cancel(doomed.id)).processing_status).toBe('canceling');
    const lines = [];
    for await (const line of await batches.results(doomed.id)) lines.push(line);
    expect(lines).toEqual([{ custom_id: 'one', result: { type: 'canceled' } }]);
  });

  it('uploads, lists, downloads and deletes files', async () => {
    const files = make().beta.files;
    const content = Buffer.alloc(3 * 1024 * 1024 + 7, 'abc\r\n--');
    const made = await files.upload({ file: await toFile(content, 'notes.txt', { type: 'text/plain' }) });
    expect(made).toMatchObject({ filename: 'notes.txt', mime_type: 'text/plain', size_bytes: content.length });
    const small = await files.upload({ file: await toFile(Buffer.from('small'), 'small.txt') });
    const back = await files.download(made.id);
    expect(Buffer.from(await back.arrayBuffer()).equals(content)).toBe(true);
    expect(await (await files.download(small.id)).text()).toBe('small');
    const listed: string[] = [];
    for await (const file of files.list({ limit: 1 })) listed.push(file.id);
    expect(listed).toEqual(expect.arrayContaining([made.id, small.id]));
    await files.delete(made.id);
    await expect(files.retrieveMetadata(made.id)).rejects.toMatchObject({ status: 404 });
  });

  it('follows a session', async () => {
    const types: string[] = [];
    for await (const event of await make().beta.sessions.events.stream('sesn_1')) types.push(event.type);
    expect(types).toEqual(['session.status_running', 'agent.message', 'session.status_idle']);
  });
});

describe('errors through the SDK', () => {
  it('raises the API’s exceptions', async () => {
    await expect(client().messages.create({ ...ASK, model: 'gpt-1' })).rejects.toBeInstanceOf(NotFoundError);
    const guarded = await startMockClaude({ requireKeys: ['sk-right'] });
    try {
      const wrong = new Anthropic({ apiKey: 'sk-wrong', baseURL: guarded.baseUrl, maxRetries: 0 });
      await expect(wrong.messages.create(ASK)).rejects.toBeInstanceOf(AuthenticationError);
      const right = new Anthropic({ apiKey: 'sk-right', baseURL: guarded.baseUrl, maxRetries: 0 });
      await expect(right.messages.create(ASK)).resolves.toMatchObject({ role: 'assistant' });
    } finally {
      await guarded.close();
    }
  });

  it('lets the SDK retry after a scripted 529, then succeed', async () => {
    mock.script([{ times: 2, script: { status: 529, headers: { 'retry-after-ms': '1' } } }]);
    const patient = new Anthropic({ apiKey: 'k', baseURL: mock.baseUrl, maxRetries: 2 });
    await patient.messages.create(ASK);
    expect(mock.requests().map((r) => r.status)).toEqual([529, 529, 200]);
  });

  it('raises an in-band error', async () => {
    mock.script({ script: { streamError: { atEvent: 4 } } });
    const error: unknown = await client()
      .messages.stream(ASK)
      .finalMessage()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(APIError);
    expect((error as APIError).type).toBe('overloaded_error');
  });

  it('passes unknown events by', async () => {
    mock.script({
      script: {
        insert: [
          { after: 2, event: 'quantum_state', data: { type: 'quantum_state', spin: 'up' } },
          { after: 3, comment: 'keep-alive' },
        ],
      },
    });
    await expect(client().messages.stream(ASK).finalText()).resolves.toContain('sdk-mock');
  });
});
