import { once } from 'node:events';
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';

import { eventually, startGateway, type TestGateway } from './harness';
import { exchange, messageBody } from './support/exchange';
import { startHandDrivenUpstream, type HandDrivenUpstream } from './support/hand-driven-upstream';
import { useGateway } from './support/gateways';

const STREAM = { body: messageBody({ stream: true }) };

describe('streams of the mock', () => {
  const gateway = useGateway();

  it('pass unknown events, comments and pings unchanged', async () => {
    const raw = 'event:odd\ndata: {"a" :1}\r\n\r\n:\n\nid: 5\nretry: 9\ndata: x\ndata: y\n\n';
    const script = {
      content: [{ type: 'future_block', secret: 'opaque' }],
      pings: 4,
      insert: [
        { after: 1, event: 'quantum_state', data: { type: 'quantum_state', spin: 'up' } },
        { after: 2, comment: 'keep-alive, and no event' },
        { after: 3, raw },
      ],
    };
    const { body, headers } = await exchange(gateway(), { ...STREAM, script });
    const text = body.toString();
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(text).toContain('\n\nevent: quantum_state\ndata: {"type":"quantum_state","spin":"up"}\n\n');
    expect(text).toContain('\n\n: keep-alive, and no event\n\n');
    expect(text).toContain(raw);
    expect(text.match(/event: ping\ndata: \{"type":"ping"\}\n\n/g)).toHaveLength(4);
    expect(text).toContain('"content_block":{"type":"future_block","secret":"opaque"}');
    expect(body.length).toBe(gateway().mock.requests()[0]?.sentBytes);
  });

  it('of managed agents pass too', async () => {
    const target = '/v1/sessions/sesn_1/events/stream?beta=true';
    const { body } = await exchange(gateway(), { method: 'GET', target, script: { deltas: 3 } });
    expect(body.toString().match(/^event: message$/gm)).toHaveLength(5);
    expect(body.toString()).toContain('session.status_idle');
  });

  it('that the upstream breaks off reach the client as far as they came, and visibly broken', async () => {
    const script = { deltas: 4, cut: { midEvent: 5 } };
    await expect(exchange(gateway(), { ...STREAM, script })).rejects.toThrow(/aborted|hang up|terminated/);
    const line = await gateway().waitForLine((each) => each['usageEstimated'] === true);
    expect(line).toMatchObject({ status: 200, stream: true, EstimatedUsage: 1 });
    expect(line['aborted']).toBeUndefined();
  });
});

describe('nothing is held back', () => {
  let upstream: HandDrivenUpstream;
  let gateway: TestGateway;
  beforeAll(async () => {
    upstream = await startHandDrivenUpstream();
    gateway = await startGateway({ config: upstream.config });
  });
  afterAll(async () => {
    await gateway.stop();
    await upstream.close();
  });

  // The upstream sends a piece only once the client has the one before: whatever is held back stops the test.
  it.each([
    [
      'an event stream',
      'text/event-stream',
      ['event: a\ndata: 1\n\n', ': c\n\n', 'data: 2', '\n', '\n', 'event: ping\ndata: {}\n\n'],
    ],
    ['batch results', 'application/x-jsonl', ['{"custom_id":"a"}\n', '{"custom', '_id":"b"}\n']],
    ['JSON', 'application/json', ['{', '"a"', ':1}']],
    ['single bytes', 'text/event-stream', Array.from('data: x\n\n')],
  ])('of %s', async (_name, contentType, pieces) => {
    let response: ServerResponse | undefined;
    upstream.answer((_request, answering) => {
      response = answering.writeHead(200, { 'content-type': contentType });
      response.flushHeaders();
    });
    const answer = await head(gateway);
    expect(answer.headers['content-type']).toBe(contentType);
    const arrived = arriving(answer);
    let expected = '';
    for (const piece of pieces) {
      expected += piece;
      response?.write(piece);
      await eventually(() => (arrived() === expected ? true : undefined), 10_000);
    }
    response?.end();
    await once(answer, 'end');
    expect(arrived()).toBe(expected);
  });

  it.each(['/v1/files', '/v1/messages/batches'])('of an upload to %s', async (target) => {
    let received = '';
    upstream.answer((request, response) => {
      request.on('data', (piece: Buffer) => (received += piece.toString()));
      request.on('end', () => response.end('{}'));
    });
    const request = open(gateway, target);
    let sent = '';
    for (const piece of ['first ', 'second ', 'third']) {
      sent += piece;
      request.write(piece);
      await eventually(() => (received === sent ? true : undefined), 10_000);
    }
    request.end();
    await once(request, 'response');
  });
});

function open(gateway: TestGateway, path: string): ClientRequest {
  return http.request(`${gateway.baseUrl}${path}`, {
    method: 'POST',
    agent: false,
    headers: { 'x-api-key': gateway.key, 'anthropic-version': '2023-06-01' },
  });
}

function head(gateway: TestGateway): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    open(gateway, '/v1/messages')
      .on('response', resolve)
      .on('error', reject)
      .end(messageBody({ stream: true }));
  });
}

function arriving(answer: IncomingMessage): () => string {
  let text = '';
  answer.on('data', (piece: Buffer) => (text += piece.toString()));
  return () => text;
}
