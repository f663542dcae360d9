import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';

import type { MockScript, RecordedRequest } from '../../local/mock-claude/server';
import { freePort } from '../../local/ports';
import { writeJsonState } from '../../local/state-file';
import { issueLeaf } from '../../local/pki';
import {
  authority,
  eventually,
  sleep,
  startGateway,
  UPSTREAM_HOST,
  UPSTREAM_SECRET,
  type GatewayOptions,
  type TestGateway,
} from './harness';
import { begin, headersOf, messageBody, readStream, send, sha256, type RequestOptions } from './support/http-client';
import { hostOf, secretOf, type OtherUpstream } from './support/other-upstreams';

/** As Claude Platform on AWS: a bearer, a header that must be there, and for the test a path before /v1/. */
const AWS: OtherUpstream = {
  id: 'aws',
  mock: { requireWorkspaceId: true, basePath: '/anthropic' },
  upstream: {
    basePath: '/anthropic',
    credentialHeader: 'authorization',
    headers: { 'anthropic-workspace-id': 'wrkspc_1' },
  },
};

/** What opens breakers is another file's matter. */
const WITHOUT_BREAKER = { breaker: { enabled: false } };

const running: TestGateway[] = [];

async function start(options: GatewayOptions = {}): Promise<TestGateway> {
  const gateway = await startGateway({
    others: [AWS],
    ...options,
    config: { ...WITHOUT_BREAKER, ...options.config },
  });
  running.push(gateway);
  return gateway;
}

afterAll(async () => {
  for (const gateway of running) await gateway.stop();
});

function other(gateway: TestGateway, id = 'aws') {
  const mock = gateway.others[id];
  if (mock === undefined) throw new Error(`there is no mock ${id}`);
  return mock;
}

function clear(gateway: TestGateway): void {
  for (const mock of [gateway.mock, ...Object.values(gateway.others)]) mock.clear();
}

function only(requests: readonly RecordedRequest[]): RecordedRequest {
  const [first] = requests;
  if (first === undefined || requests.length > 1) throw new Error(`${requests.length} requests instead of one`);
  return first;
}

/** A request that says who it is, and its line. */
let count = 0;
async function marked(gateway: TestGateway, options: RequestOptions = {}) {
  count += 1;
  const agent = `failover-test/${count}`;
  const answer = await send(gateway, { ...options, headers: { 'user-agent': agent, ...options.headers } });
  return { answer, line: () => gateway.waitForLine((line) => line['userAgent'] === agent) };
}

describe('with two upstreams', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await start();
  });
  beforeEach(() => {
    clear(gateway);
  });

  test('the first takes what it answers, and the second sees none of it', async () => {
    const { answer, line } = await marked(gateway);
    expect(answer.status).toBe(200);
    expect(answer.headers['x-causeway-upstream']).toBe('mock');
    expect(answer.headers['x-mock-name']).toBe('mock-claude');
    expect(other(gateway).requests()).toEqual([]);
    expect(await line()).toMatchObject({ Upstream: 'mock', status: 200 });
    expect(await line()).not.toHaveProperty('attempts');
  });

  test.each([500, 502, 503, 504, 520, 529, 599])('a %i of the first leads to the second', async (status) => {
    gateway.mock.script({ script: { status, headers: { 'x-of-the-first': 'yes' }, delayMs: 50 } });
    const body = messageBody({ metadata: { user_id: `user-${status}` } });
    const { answer, line } = await marked(gateway, {
      path: '/v1/messages?beta=true',
      body,
      headers: { 'anthropic-beta': 'one-2025-01-01,two-2025-01-01', 'x-own': 'kept' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-causeway-upstream']).toBe('aws');
    expect(answer.headers['x-mock-name']).toBe('aws');
    expect(answer.headers['x-of-the-first']).toBeUndefined();

    const [first, second] = [only(gateway.mock.requests()), only(other(gateway).requests())];
    expect(first).toMatchObject({ url: '/v1/messages?beta=true', servername: UPSTREAM_HOST, sha256: sha256(body) });
    expect(first.headers['x-api-key']).toBe(UPSTREAM_SECRET);
    expect(first.headers).not.toHaveProperty('authorization');
    expect(first.headers).not.toHaveProperty('anthropic-workspace-id');
    expect(second).toMatchObject({
      url: '/anthropic/v1/messages?beta=true',
      servername: hostOf('aws'),
      sha256: sha256(body),
    });
    expect(second.headers).toMatchObject({
      host: `${hostOf('aws')}:${other(gateway).port}`,
      authorization: `Bearer ${secretOf('aws')}`,
      'anthropic-workspace-id': 'wrkspc_1',
      'anthropic-beta': 'one-2025-01-01,two-2025-01-01',
      'anthropic-version': '2023-06-01',
      'x-own': 'kept',
    });
    expect(second.headers).not.toHaveProperty('x-api-key');
    expect(second.rawHeaders.flat().join(' ')).not.toContain(UPSTREAM_SECRET);

    const own = await line();
    expect(own).toMatchObject({
      Upstream: 'aws',
      attempts: 2,
      status: 200,
      upstreamStatus: 200,
      upstreamRequestId: second.requestId,
      upstreamAddress: `127.0.0.1:${other(gateway).port}`,
      RouteClass: 'generate',
    });
    expect(own).not.toHaveProperty('UpstreamErrors5xx');
    expect(own['InputTokens']).toBeGreaterThan(0);
    const failed = await gateway.waitForLine(
      (each) => each['Failovers'] === 1 && each['requestId'] === own['requestId'],
    );
    expect(failed).toMatchObject({
      Upstream: 'mock',
      UpstreamErrors5xx: 1,
      upstreamStatus: status,
      upstreamAddress: `127.0.0.1:${gateway.mock.port}`,
      upstreamRequestId: first.requestId,
    });
    expect(failed['UpstreamOverloads']).toBe(status === 529 ? 1 : undefined);
    // nginx counts by a clock of whole milliseconds that it looks at now and then.
    expect(failed['TimeToFirstByte']).toBeGreaterThan(40);
  });

  test.each([400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429])(
    'a %i of the first reaches the client as it is, and the second is not asked',
    async (status) => {
      const body = `{"type":"error",  "error":{"type":"x","message":"\\u00e4 ${status}"}}\n`;
      gateway.mock.script({ script: { status, body, headers: { 'retry-after': '7', 'x-should-retry': 'true' } } });
      const answer = await send(gateway);
      expect([answer.status, answer.text]).toEqual([status, body]);
      expect(answer.headers).toMatchObject({ 'retry-after': '7', 'x-should-retry': 'true' });
      expect(answer.headers['request-id']).toBe(only(gateway.mock.requests()).requestId);
      expect(other(gateway).requests()).toEqual([]);
    },
  );

  test.each([500, 503, 529])(
    'where both fail the last one’s answer (%i) reaches the client as it is',
    async (status) => {
      const body = `{"type":"error",  "error":{"type":"of_the_second","message":"\\u00e4 ${status}"}}\n`;
      gateway.mock.script({ script: { status: 500, message: 'of the first' } });
      other(gateway).script({ script: { status, body, headers: { 'retry-after': '11' } } });
      const { answer, line } = await marked(gateway);
      expect([answer.status, answer.text, answer.headers['retry-after']]).toEqual([status, body, '11']);
      expect(answer.headers['request-id']).toBe(only(other(gateway).requests()).requestId);
      expect(answer.headers['x-causeway-upstream']).toBe('aws');
      expect(gateway.mock.requests()).toHaveLength(1);
      expect(await line()).toMatchObject({ Upstream: 'aws', attempts: 2, status, UpstreamErrors5xx: 1, Errors5xx: 1 });
    },
  );

  test.each([
    ['1 KB', 1024],
    ['200 KB, in a file', 200 * 1024],
    ['31 MB, in a file', 31 * 1024 * 1024],
  ])('a body of %s arrives whole at the second', async (_size, bytes) => {
    gateway.mock.script({ script: { status: 529 } });
    const body = messageBody({
      messages: [
        {
          role: 'user',
          content: randomBytes(bytes * 0.375)
            .toString('hex')
            .padEnd(bytes - 200, '.'),
        },
      ],
    });
    const answer = await send(gateway, { body });
    expect(answer.status).toBe(200);
    for (const mock of [gateway.mock, other(gateway)]) {
      expect(only(mock.requests())).toMatchObject({ bodyBytes: Buffer.byteLength(body), sha256: sha256(body) });
    }
  });

  test.each([100_000, 300_000])(
    'a body of %i bytes whose length is not said arrives whole, over HTTP/2 too',
    async (size) => {
      gateway.mock.script({ script: { status: 529 } });
      const body = messageBody({ metadata: { user_id: 'x'.repeat(size) } });
      const answer = await send(gateway, { body, headers: { 'transfer-encoding': 'chunked' }, tls: true });
      expect(answer.status).toBe(200);
      expect(only(other(gateway).requests()).sha256).toBe(sha256(body));

      clear(gateway);
      gateway.mock.script({ script: { status: 529 } });
      const session = http2.connect(gateway.tlsUrl, { ca: gateway.authority.root });
      const stream = session.request({ ':method': 'POST', ':path': '/v1/messages', ...headersOf(gateway) });
      stream.end(body);
      const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
      expect([head[':status'], head['x-causeway-upstream']]).toEqual([200, 'aws']);
      session.destroy();
      expect(only(other(gateway).requests()).sha256).toBe(sha256(body));
    },
  );

  test('what a client takes to send its body is no time of ours', async () => {
    const agent = 'failover-test/slow';
    const exchange = begin(gateway, { open: true, headers: { 'user-agent': agent } });
    const body = messageBody();
    exchange.request.write(body.slice(0, 10));
    await sleep(600);
    exchange.request.end(body.slice(10));
    expect((await exchange.answer).status).toBe(200);
    const line = await gateway.waitForLine((each) => each['userAgent'] === agent);
    expect(line['Latency']).toBeGreaterThan(500);
    expect(line['GatewayLatency']).toBeLessThan(500);
  });

  test('a stream comes from the second as it comes', async () => {
    gateway.mock.script({ script: { status: 529 } });
    other(gateway).script({ script: { text: 'word by word', deltas: 30, deltaMs: 20 } });
    const began = Date.now();
    const stream = begin(gateway, { body: messageBody({ stream: true }) });
    await stream.head;
    const headAfter = Date.now() - began;
    const answer = await stream.answer;
    expect(readStream(answer.text)).toEqual({ text: 'word by word', complete: true, error: undefined });
    expect(headAfter).toBeLessThan((Date.now() - began) / 2);
    expect(answer.headers['x-causeway-upstream']).toBe('aws');
  });

  test('nothing is asked for twice after the first byte', async () => {
    gateway.mock.script({ script: { cut: { afterEvents: 2 } } });
    await expect(send(gateway, { body: messageBody({ stream: true }) })).rejects.toThrow();
    gateway.mock.clearScript();
    gateway.mock.script({ script: { streamError: { atEvent: 1 } } });
    const answer = await send(gateway, { body: messageBody({ stream: true }) });
    expect(readStream(answer.text).error).toBe('overloaded_error');
    expect(other(gateway).requests()).toEqual([]);
  });

  test('token counts and models fail over too; batches, files and others do not', async () => {
    gateway.mock.script({ script: { status: 503 } });
    const statuses: Record<string, number> = {};
    for (const [method, path, body] of [
      ['POST', '/v1/messages/count_tokens', messageBody()],
      ['GET', '/v1/models', undefined],
      ['GET', '/v1/models/claude-sonnet-5-5', undefined],
      ['GET', '/v1/messages/batches', undefined],
      ['POST', '/v1/messages/batches', '{"requests":[]}'],
      ['GET', '/v1/files', undefined],
      ['GET', '/v1/sessions/s_1/events/stream', undefined],
      ['GET', '/v1/messages', undefined],
      ['DELETE', '/v1/models/claude-sonnet-5-5', undefined],
    ] as const) {
      const answer = await send(gateway, { method, path, ...(body === undefined ? {} : { body }) });
      statuses[`${method} ${path}`] = answer.status;
    }
    expect(statuses).toEqual({
      'POST /v1/messages/count_tokens': 200,
      'GET /v1/models': 200,
      'GET /v1/models/claude-sonnet-5-5': 200,
      'GET /v1/messages/batches': 503,
      'POST /v1/messages/batches': 503,
      'GET /v1/files': 503,
      'GET /v1/sessions/s_1/events/stream': 503,
      'GET /v1/messages': 503,
      'DELETE /v1/models/claude-sonnet-5-5': 503,
    });
    expect(
      other(gateway)
        .requests()
        .map(({ url }) => url),
    ).toEqual([
      '/anthropic/v1/messages/count_tokens',
      '/anthropic/v1/models',
      '/anthropic/v1/models/claude-sonnet-5-5',
    ]);
  });

  const file = { type: 'document', source: { type: 'file', file_id: 'file_011CNha8iCJcU1wXNR6q4V8w' } };
  const asks = (content: unknown) => ({ messages: [{ role: 'user', content }] });

  test.each<[string, Record<string, unknown>]>([
    ['a file', asks([file])],
    ['a file, behind 300 KB', asks([{ type: 'text', text: 'x'.repeat(300_000) }, file])],
    ['a container', { container: 'container_011CPR5CNjB747bTd36fQLFk' }],
    ['a container with skills', { container: { id: 'container_1', skills: [] } }],
    ['a container, behind 3 MB', { ...asks('y'.repeat(3_000_000)), container: 'container_1' }],
    // The file's pieces end within the name.
    ['a file, across two pieces of a file', asks([{ type: 'text', text: 'x'.repeat(1024 * 1024 - 157) }, file])],
  ])('a message that names %s stays with the upstream that knows it', async (_what, more) => {
    const body = '{"type":"error", "error":{"type":"overloaded_error","message":"as it is"}}';
    gateway.mock.script({ script: { status: 529, body } });
    const answer = await send(gateway, { body: messageBody(more) });
    expect([answer.status, answer.text]).toEqual([529, body]);
    const counted = await send(gateway, { body: messageBody(more), path: '/v1/messages/count_tokens' });
    expect([counted.status, counted.text]).toEqual([529, body]);
    expect(other(gateway).requests()).toEqual([]);
  });

  test.each<[string, Record<string, unknown>]>([
    ['in its text', asks('use {"file_id":"file_1","container":"c"}, please')],
    [
      'in the schema of a tool',
      { tools: [{ name: 'f', input_schema: { properties: { file_id: { type: 'string' } } } }] },
    ],
    ['in the input of a tool', asks([{ type: 'text', text: 'x', cache: { container: 'web-1' } }])],
  ])('a message that has such words only %s does not', async (_where, more) => {
    gateway.mock.script({ script: { status: 529 } });
    expect((await send(gateway, { body: messageBody(more) })).status).toBe(200);
  });

  test('a compressed body, which cannot be read, stays', async () => {
    gateway.mock.script({ script: { status: 529 } });
    const answer = await send(gateway, { headers: { 'content-encoding': 'gzip' } });
    expect(answer.status).toBe(529);
    expect(other(gateway).requests()).toEqual([]);
  });
});

test('no request of many at a time is sent with what belongs to the other upstream', async () => {
  // On a busy machine hundreds of handshakes at once take their time: a connection that was given up would fail over too.
  const gateway = await start({ workers: 2, config: { timeouts: { upstream: { connectSeconds: 60 } } } });
  gateway.mock.script({ match: { model: 'claude-opus-5' }, script: { status: 529 } });
  const models = ['claude-opus-5', 'claude-sonnet-5-5'];
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, index) => {
      const model = models[index % 2];
      const answer = await send(gateway, { body: messageBody({ model, stream: index % 3 === 0 }) });
      return [index % 2, answer.status, answer.headers['x-causeway-upstream']].join(' ');
    }),
  );
  expect(new Set(answers)).toEqual(new Set(['0 200 aws', '1 200 mock']));
  const [first, second] = [gateway.mock.requests(), other(gateway).requests()];
  expect([first.length, second.length]).toEqual([300, 150]);
  for (const [requests, servername, own, foreign, url] of [
    [first, UPSTREAM_HOST, UPSTREAM_SECRET, secretOf('aws'), '/v1/messages'],
    [second, hostOf('aws'), secretOf('aws'), UPSTREAM_SECRET, '/anthropic/v1/messages'],
  ] as const) {
    for (const request of requests) {
      const text = request.rawHeaders.flat().join(' ');
      expect(request).toMatchObject({ servername, url });
      expect(request.headers['host']).toMatch(servername);
      expect([text.includes(own), text.includes(foreign)]).toEqual([true, false]);
    }
  }
  // Connections of both pools were used again.
  expect(new Set(second.map(({ connection }) => connection)).size).toBeLessThan(150);
});

test('of three upstreams each is asked once, in the order of the config', async () => {
  const gateway = await start({ others: [AWS, { id: 'third' }] });
  gateway.mock.script({ script: { status: 500 } });
  other(gateway).script({ script: { status: 503 } });
  const { answer, line } = await marked(gateway);
  expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'third']);
  expect(await line()).toMatchObject({ Upstream: 'third', attempts: 3 });
  const { headers, url, servername } = only(other(gateway, 'third').requests());
  expect([headers['x-api-key'], headers['authorization'], headers['anthropic-workspace-id'], url, servername]).toEqual([
    secretOf('third'),
    undefined,
    undefined,
    '/v1/messages',
    hostOf('third'),
  ]);
  const id = (await line())['requestId'];
  const left = gateway.lines().filter((each) => each['Failovers'] === 1 && each['requestId'] === id);
  expect(left.map((each) => each['Upstream'])).toEqual(['mock', 'aws']);

  other(gateway, 'third').script({ script: { status: 529, message: 'the third’s' } });
  const last = await send(gateway);
  expect(last.status).toBe(529);
  expect(last.text).toContain('the third’s');
});

test('no more than four are asked, and an error of our own still finds its way', async () => {
  const ids = ['second', 'third', 'fourth', 'fifth'];
  const gateway = await start({ others: ids.map((id) => ({ id })) });
  for (const mock of [gateway.mock, other(gateway, 'second'), other(gateway, 'third')]) {
    mock.script({ script: { status: 529 } });
  }
  other(gateway, 'fourth').script({ script: { reset: true } });
  const { answer, line } = await marked(gateway);
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.text)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
  expect(await line()).toMatchObject({ attempts: 4, Upstream: 'fourth', refusal: 'upstream_unreachable' });
  expect(ids.map((id) => other(gateway, id).requests().length)).toEqual([1, 1, 1, 0]);
});

test('a connection that is refused, and one whose certificate is another’s, lead to the second', async () => {
  const refused = await start({ first: { port: await freePort() } });
  const impostor = await start({ first: { host: 'another.claude.test' } });
  for (const gateway of [refused, impostor]) {
    const { answer, line } = await marked(gateway);
    expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'aws']);
    const { requestId } = await line();
    await gateway.waitForLine((each) => each['requestId'] === requestId && each['upstreamStatus'] === 502);
    expect(gateway.mock.requests()).toEqual([]);
  }
});

describe('a message that was sent whole and not answered', () => {
  const readSeconds = { generate: 1, count: 1, models: 1 };
  const silent: [string, MockScript, number, string][] = [
    ['the upstream says nothing', { hang: true }, 504, 'timeout_error'],
    ['the connection is reset', { reset: true }, 502, 'api_error'],
    ['the connection is closed', { cut: { beforeHeaders: true } }, 502, 'api_error'],
  ];
  let careful: TestGateway;
  let daring: TestGateway;
  beforeAll(async () => {
    const config = { timeouts: { upstream: { readSeconds } } };
    careful = await start({ config });
    // Its own flag says so, not that of the upstream after it.
    daring = await start({ config, first: { repeatAfterSent: true } });
  });
  beforeEach(() => {
    clear(careful);
    clear(daring);
  });

  test.each(silent)('is not repeated, for it may have been billed: %s', async (_what, script, status, type) => {
    careful.mock.script({ script });
    const { answer, line } = await marked(careful);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'error', error: { type } });
    expect(answer.headers['request-id']).toMatch(/^req_/);
    expect(careful.mock.requests()).toHaveLength(1);
    expect(other(careful).requests()).toEqual([]);
    expect(await line()).toMatchObject({ Upstream: 'mock', status, upstreamStatus: status, UpstreamErrors5xx: 1 });
  });

  test.each(silent)('is repeated where the config of that upstream allows it: %s', async (_what, script) => {
    daring.mock.script({ script });
    const { answer, line } = await marked(daring);
    expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'aws']);
    expect(daring.mock.requests()).toHaveLength(1);
    expect(await line()).toMatchObject({ Upstream: 'aws', attempts: 2 });
  });

  test.each(silent)('what costs nothing is repeated either way: %s', async (what, script) => {
    careful.mock.script({ script });
    // Others each time, which no stored answer serves.
    const name = encodeURIComponent(what);
    const counted = await send(careful, { path: `/v1/messages/count_tokens?${name}` });
    const listed = await send(careful, { method: 'GET', path: `/v1/models?${name}` });
    expect([counted.status, listed.status]).toEqual([200, 200]);
    expect(other(careful).requests()).toHaveLength(2);
  });
});

describe('a message that could not be sent whole', () => {
  /** An upstream that takes the first bytes of a request and then does something else. */
  async function startTaker(then: (socket: tls.TLSSocket) => void) {
    const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST], authority: await authority() });
    const sockets = new Set<tls.TLSSocket>();
    const server = tls.createServer({ cert: leaf.chain, key: leaf.key }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('readable', () => {
        socket.read();
        then(socket);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // A TCP server's address is an object.
    const { port } = server.address() as AddressInfo;
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    };
    return { port, close };
  }

  test.each<[string, (socket: tls.TLSSocket) => void]>([
    ['the upstream breaks the connection', (socket) => setTimeout(() => socket.destroy(), 200)],
    ['the upstream takes no more', () => undefined],
  ])('is sent to the second: %s', async (_what, then) => {
    const taker = await startTaker(then);
    const gateway = await start({
      first: { port: taker.port },
      config: { timeouts: { upstream: { sendSeconds: 1 } } },
    });
    const body = messageBody({ metadata: { user_id: 'z'.repeat(30_000_000) } });
    const { answer, line } = await marked(gateway, { body });
    expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'aws']);
    expect(only(other(gateway).requests()).sha256).toBe(sha256(body));
    expect(await line()).toMatchObject({ attempts: 2, Upstream: 'aws' });
    await taker.close();
  });
});

describe('whose credential', () => {
  test('a consumer’s own is one of the first upstream; the second gets its own', async () => {
    const own = 'sk-ant-mock-credential-of-team-b-5555';
    const gateway = await start({
      consumers: [{ id: 'team-b', upstreamCredential: 'workspace-b' }],
      mock: { requireKeys: [own] },
    });
    gateway.secret(own);
    writeJsonState(gateway.files.credentials, {
      version: 1,
      credentials: { mock: UPSTREAM_SECRET, aws: secretOf('aws'), 'workspace-b': own },
    });
    await eventually(async () => {
      clear(gateway);
      gateway.mock.script({ script: { status: 529 } });
      return (await send(gateway)).status === 200 ? true : undefined;
    });
    expect(only(gateway.mock.requests()).headers['x-api-key']).toBe(own);
    expect(only(other(gateway).requests()).headers['authorization']).toBe(`Bearer ${secretOf('aws')}`);
  });

  const OWN = 'sk-ant-a-clients-own-credential-77';
  const passthrough = { config: { auth: { mode: 'passthrough' as const } }, mock: { requireKeys: [OWN] } };

  test('in passthrough the client’s own is never sent to a second upstream', async () => {
    const gateway = await start(passthrough);
    gateway.secret(OWN);
    gateway.mock.script({ script: { status: 529 } });
    expect((await send(gateway, { key: OWN })).status).toBe(529);
    expect(other(gateway).requests()).toEqual([]);
  });

  test('unless that one is said to take it', async () => {
    const third: OtherUpstream = {
      id: 'third',
      mock: { requireKeys: [OWN] },
      upstream: { takesClientCredential: true },
    };
    const gateway = await start({ ...passthrough, others: [AWS, third] });
    gateway.secret(OWN);
    gateway.mock.script({ script: { status: 529 } });
    for (const headers of [{}, { 'x-api-key': '', authorization: `Bearer ${OWN}` }]) {
      const answer = await send(gateway, { key: OWN, headers });
      expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'third']);
    }
    const [key, bearer] = other(gateway, 'third').requests();
    expect([key?.headers['x-api-key'], key?.headers['authorization']]).toEqual([OWN, undefined]);
    expect([bearer?.headers['x-api-key'], bearer?.headers['authorization']]).toEqual([undefined, `Bearer ${OWN}`]);
    expect(other(gateway).requests()).toEqual([]);
  });
});

describe('an upstream whose name does not resolve', () => {
  const unresolved = { resolvers: ['127.0.0.1:9'] };
  const readiness = async (gateway: TestGateway) => {
    const answer = await send(gateway, { method: 'GET', path: '/readyz' });
    const { missing } = JSON.parse(answer.text) as { missing?: string[] };
    return { status: answer.status, missing };
  };

  test('leaves the gateway ready where another serves, whichever it is', async () => {
    const second = await start({
      placement: unresolved,
      others: [{ ...AWS, upstream: { ...AWS.upstream, addresses: undefined } }],
    });
    expect(await readiness(second)).toEqual({ status: 200 });
    expect((await send(second)).headers['x-causeway-upstream']).toBe('mock');
    second.mock.script({ script: { status: 529, message: 'as it is' } });
    expect((await send(second)).text).toContain('as it is');

    const first = await start({ placement: unresolved, first: { addresses: undefined } });
    expect(await readiness(first)).toEqual({ status: 200 });
    const { answer, line } = await marked(first);
    expect([answer.status, answer.headers['x-causeway-upstream']]).toEqual([200, 'aws']);
    expect(await line()).not.toHaveProperty('attempts');
  });

  test('makes it not ready where a route class has no other', async () => {
    const gateway = await start({
      placement: unresolved,
      waitReady: false,
      first: { addresses: undefined },
      others: [{ ...AWS, upstream: { ...AWS.upstream, routeClasses: ['generate', 'count'] } }],
    });
    const state = await eventually(async () => {
      const found = await readiness(gateway);
      return found.missing?.length === 1 ? found : undefined;
    });
    expect(state).toEqual({ status: 503, missing: ['dns:mock'] });
    expect((await send(gateway)).headers['x-causeway-upstream']).toBe('aws');
    expect((await send(gateway, { method: 'GET', path: '/v1/models' })).status).toBe(502);
  });
});
