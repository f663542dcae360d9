import { once } from 'node:events';
import net from 'node:net';

import { eventually, UPSTREAM_SECRET } from './harness';
import { exchange, lastRequest, messageBody, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';
import { lineOf, requestLines } from './support/metering';

const gateway = useGateway({ workers: 1, consumers: [{ id: 'team-a' }, { id: 'team-b' }] });

describe('the access record', () => {
  it('ties a request to its consumer, route, model and the upstream’s request', async () => {
    const key = gateway().keys['team-b'] ?? '';
    await exchange(gateway(), {
      target: '/v1/messages?beta=true',
      credential: [['Authorization', `Bearer ${key}`]],
      headers: [
        ['User-Agent', 'claude-cli/2.1.0 (test)'],
        ['x-claude-code-session-id', 'session-1'],
        ['x-claude-code-agent-id', 'agent-1'],
        ['x-claude-code-parent-agent-id', 'parent-1'],
      ],
      body: messageBody({ model: 'claude-opus-5', stream: true }),
      script: {
        usage: { input: 10, output: 20, cacheRead: 30, cacheCreation5m: 40, cacheCreation1h: 50 },
        delayMs: 30,
      },
    });
    const { requestId } = lastRequest(gateway());
    const line = await lineOf(gateway(), requestId);
    expect(line).toMatchObject({
      requestId: expect.stringMatching(/^req_[0-9a-f]{32}$/) as string,
      upstreamRequestId: requestId,
      consumer: 'team-b',
      Consumer: 'team-b',
      method: 'POST',
      path: '/v1/messages',
      protocol: 'HTTP/1.1',
      RouteClass: 'generate',
      model: 'claude-opus-5',
      Model: 'claude-opus-5',
      stream: true,
      status: 200,
      Upstream: 'mock',
      upstreamStatus: 200,
      upstreamAddress: `127.0.0.1:${gateway().mock.port}`,
      clientAddress: '127.0.0.1',
      InputTokens: 10,
      OutputTokens: 20,
      CacheReadInputTokens: 30,
      CacheWrite5mInputTokens: 40,
      CacheWrite1hInputTokens: 50,
      userAgent: 'claude-cli/2.1.0 (test)',
      claudeCodeSessionId: 'session-1',
      claudeCodeAgentId: 'agent-1',
      claudeCodeParentAgentId: 'parent-1',
    });
    expect(line['TimeToFirstByte']).toBeGreaterThanOrEqual(30);
    expect(line['Latency']).toBeGreaterThanOrEqual(Number(line['TimeToFirstByte']));
    expect(line['aborted'] ?? line['refusal'] ?? line['usageEstimated'] ?? 'nothing of the kind').toBe(
      'nothing of the kind',
    );
  });

  it.each<[refusal: string, status: number, sending: Sending, more: Record<string, unknown>]>([
    ['unknown_key', 401, { credential: [['x-api-key', 'sk-nobody']], body: messageBody() }, { RouteClass: 'generate' }],
    [
      'no_credential',
      401,
      { credential: [], method: 'GET', target: '/v1/models' },
      { RouteClass: 'models', method: 'GET' },
    ],
    ['admin_api', 403, { method: 'DELETE', target: '/v1/organizations/x?y=z' }, { method: 'DELETE' }],
    ['no_route', 404, { method: 'PUT', target: '/v2/x?y=z' }, { method: 'PUT', path: '/v2/x' }],
    ['odd_path', 400, { method: 'GET', target: '/v1/models/../organizations' }, {}],
    ['body_too_large', 413, { body: 'x'.repeat(33 * 1024 * 1024) }, { method: 'POST', path: '/v1/messages' }],
    [
      'upstream_unreachable',
      502,
      { body: messageBody(), script: { reset: true } },
      { method: 'POST', consumer: 'team-a' },
    ],
  ])('says why Causeway itself refused a request: %s', async (refusal, status, sending, more) => {
    const answer = await exchange(gateway(), sending);
    expect(answer.status).toBe(status);
    const id = answer.headers['request-id'];
    expect(JSON.parse(answer.body.toString())).toMatchObject({ type: 'error', request_id: id });
    const [line] = await requestLines(gateway(), 1, (each) => each['requestId'] === id);
    expect(line).toMatchObject({ refusal, status, Refusals: 1, ...more });
    expect(line?.['Model']).toBeUndefined();
    if (status === 401) expect(line?.['consumer'] ?? line?.['Consumer'] ?? 'none').toBe('none');
  });

  it('is a line that a pipe takes in one piece, whatever a client sends', async () => {
    const odd = ['"', '\\', '\xff'];
    for (const [index, unit] of odd.entries()) {
      const text = unit.repeat(1000);
      const socket = net.connect(gateway().httpPort, '127.0.0.1');
      socket.write(
        `POST /v1/long/${index}${unit === '\xff' ? text : ''} HTTP/1.1\r\nHost: x\r\nUser-Agent: claude ${text}\r\n` +
          ['session', 'agent', 'parent-agent'].map((name) => `x-claude-code-${name}-id: ${text}\r\n`).join('') +
          'Connection: close\r\n\r\n',
        'latin1',
      );
      socket.resume();
      await once(socket, 'end');
    }
    const lines = await requestLines(gateway(), odd.length, (line) => String(line['path']).startsWith('/v1/long/'));
    // PIPE_BUF of Linux, the line's end included.
    for (const line of lines) expect(Buffer.byteLength(JSON.stringify(line))).toBeLessThan(4096);
  });
});

describe('no log holds', () => {
  let markers = 0;
  /** Everything that the gateway has written, up to a request of our own that stands in both logs. */
  async function logged(): Promise<string> {
    markers += 1;
    const target = `/v1/marker/${markers}`;
    await exchange(gateway(), { method: 'GET', target, script: { reset: true } });
    await requestLines(gateway(), 1, (line) => line['path'] === target);
    return eventually(() => {
      const errors = gateway().errorLog();
      return errors.includes(`"GET ${target}"`) ? `${JSON.stringify(gateway().lines())}\n${errors}` : undefined;
    });
  }

  // Registered too, so that the end of this file looks for them once more, in the log's last words.
  const secret = (name: string): string => gateway().secret(`sk-secret-${name}-${Math.random().toString(36).slice(2)}`);

  const everywhere = (hidden: string): Sending => ({
    target: `/v1/messages?api_key=${hidden}&a=,${hidden},"${hidden}"'${hidden}?${hidden}#${hidden}`,
    headers: [
      ['Referer', `https://x/?k=${hidden}`],
      ['Cookie', `key=${hidden}`],
      ['api-key', hidden],
      ['x_api_key', hidden],
      ['x.key', hidden],
      ['Proxy-Authorization', `Bearer ${hidden}`],
      ['X-Forwarded-For', hidden],
      ['anthropic-beta', hidden],
      ['Content-Type', `application/json; key=${hidden}`],
    ],
    body: messageBody({ system: hidden }),
  });

  it.each<[string, Sending]>([
    ['an answer of 200', {}],
    ['an upstream error', { script: { status: 529 } }],
    ['an upstream that breaks off', { script: { reset: true } }],
    ['an upstream that breaks off its answer', { script: { cut: { afterBytes: 20 } } }],
    [
      'an upstream whose headers are no HTTP',
      { script: { headers: { 'x-huge': 'x'.repeat(100) }, cut: { beforeHeaders: true } } },
    ],
    ['a stream that its client leaves', { script: { deltas: 500, deltaMs: 5 }, leaveAfterBytes: 2000 }],
    ['a body that is too large', { chunks: Array.from({ length: 34 }, () => Buffer.alloc(1024 * 1024, 'x')) }],
    ['a route of the Admin API', { target: '/v1/organizations/me' }],
    ['a route outside /v1/', { target: '/nowhere' }],
    ['an odd path', { target: '/v1//models' }],
  ])('query, headers or body of %s', async (name, special) => {
    const hidden = secret(name.replace(/\W+/g, '-'));
    const base = everywhere(hidden);
    const target = `${special.target ?? '/v1/messages'}${base.target?.slice('/v1/messages'.length) ?? ''}`;
    const leaves = special.leaveAfterBytes === undefined ? {} : { body: messageBody({ system: hidden, stream: true }) };
    const path = target.slice(0, target.indexOf('?'));
    const count = (): number =>
      gateway()
        .lines()
        .filter((line) => line['path'] === path).length;
    const before = count();
    await exchange(gateway(), { ...base, ...special, ...leaves, target }).catch(() => undefined);
    await logged();
    await eventually(() => (count() > before ? true : undefined));
    expect(await logged()).not.toContain(hidden);
  });

  it('the key of a client, known or not, however it comes', async () => {
    const known = gateway().key;
    const unknown = secret('unknown');
    for (const key of [known, unknown]) {
      await exchange(gateway(), { credential: [['x-api-key', key]], body: messageBody() });
      await exchange(gateway(), { credential: [['authorization', `Bearer ${key}`]], body: messageBody() });
      await exchange(gateway(), { credential: [['authorization', `Basic ${key}`]], body: messageBody() });
      await exchange(gateway(), {
        credential: [
          ['x-api-key', key],
          ['authorization', 'Bearer other'],
        ],
        body: messageBody(),
      });
    }
    const all = await logged();
    for (const key of [known, unknown, UPSTREAM_SECRET]) expect(all).not.toContain(key);
  });

  it('what was asked or answered', async () => {
    const [prompt, answer, thought] = [secret('prompt'), secret('answer'), secret('thought')];
    const content = [
      { type: 'thinking', thinking: thought },
      { type: 'text', text: answer },
      { type: 'tool_use', name: 'f', input: { found: answer } },
    ];
    const messages = [{ role: 'user', content: prompt }];
    for (const stream of [true, false]) {
      await exchange(gateway(), { body: messageBody({ stream, messages }), script: { content } });
      const streamError = { atEvent: 3, type: 'api_error', message: answer };
      await exchange(gateway(), { body: messageBody({ stream, messages }), script: { streamError } });
      await exchange(gateway(), { body: messageBody({ stream, messages }), script: { status: 400, message: prompt } });
    }
    await exchange(gateway(), { body: `{"broken": "${prompt}` });
    const all = await logged();
    for (const text of [prompt, answer, thought]) expect(all).not.toContain(text);
  });

  it('what is no HTTP', async () => {
    const hidden = secret('garbage');
    const garbage = [
      `${hidden}\r\n\r\n`,
      `GET /v1/models?k=${hidden}\r\n\r\n`,
      `GET /v1/models?k=${hidden} HTTP/9.9\r\n\r\n`,
      `GET /v1/models?k=${hidden} HTTP/1.1\r\nHost: a b ${hidden}\r\n\r\n`,
      `GET /v1/models?k=${hidden} HTTP/1.1\r\nHost: x\r\nbad header ${hidden}: x\r\n\r\n`,
      `GET /v1/models?k=${hidden} HTTP/1.1\r\nHost: x\r\nx-long: ${'x'.repeat(20_000)}${hidden}\r\n\r\n`,
      `GET /v1/models?k=${hidden} HTTP/1.1\r\nHost: ${hidden}\r\nx-api-key: ${hidden}\r\nContent-Length: x${hidden}\r\n\r\n`,
      `POST /v1/models?k=${hidden} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ${hidden}\r\n\r\n`,
      `GET http://${hidden}/v1/models?k=${hidden} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    ];
    for (const bytes of garbage) {
      const socket = net.connect(gateway().httpPort, '127.0.0.1');
      socket.write(bytes);
      socket.resume();
      await once(socket, 'close');
    }
    expect(await logged()).not.toContain(hidden);
  });
});
