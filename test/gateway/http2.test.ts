import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http2, { type ClientHttp2Session } from 'node:http2';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { eventually, startGateway, UPSTREAM_SECRET, type TestGateway } from './harness';
import { lastRequest, messageBody, pairs, scriptHeader, sha256 } from './support/exchange';
import { startHandDrivenUpstream, type HandDrivenUpstream } from './support/hand-driven-upstream';
import { useGateway } from './support/gateways';
import type { MockScript } from '../../local/mock-claude/server';

const MIB = 1024 * 1024;

describe('curl over HTTP/2', () => {
  const gateway = useGateway();

  /** Runs curl as the examples do; returns what it printed of the answer and the protocol that was spoken. */
  async function curl(path: string, script: MockScript, args: readonly string[]) {
    const { dir, files, key, tlsUrl } = gateway();
    const output = join(dir, 'curl.out');
    const wanted = ['-o', output, '-w', '%{http_version} %{http_code} %{content_type}'];
    const headers = [`x-api-key: ${key}`, 'anthropic-version: 2023-06-01', scriptHeader(script).join(': ')];
    const { stdout } = await promisify(execFile)('curl', [
      ...['--silent', '--show-error', '--http2', '--cacert', files.ca, ...wanted],
      ...headers.flatMap((line) => ['-H', line]),
      ...args,
      `${tlsUrl}${path}`,
    ]);
    return { told: stdout, body: readFileSync(output) };
  }

  it('gets a message', async () => {
    const { told, body } = await curl('/v1/messages', { text: 'Hello over two.' }, ['-d', messageBody()]);
    expect(told).toBe('2 200 application/json');
    expect(JSON.parse(body.toString())).toMatchObject({ content: [{ type: 'text', text: 'Hello over two.' }] });
    expect(lastRequest(gateway()).headers['x-api-key']).toBe(UPSTREAM_SECRET);
    expect(lastRequest(gateway()).httpVersion).toBe('1.1');
    const line = await gateway().waitForLine((each) => each['path'] === '/v1/messages');
    expect(line).toMatchObject({ protocol: 'HTTP/2.0', method: 'POST', status: 200, consumer: 'team-a' });
  });

  it('streams a message', async () => {
    const script = { deltas: 20, insert: [{ after: 1, comment: 'two' }] };
    const { told, body } = await curl('/v1/messages?beta=true', script, ['-N', '-d', messageBody({ stream: true })]);
    expect(told).toBe('2 200 text/event-stream; charset=utf-8');
    expect(body.toString().match(/^event: content_block_delta$/gm)).toHaveLength(20);
    expect(body.toString()).toMatch(/\n\n: two\n\n[^]*event: message_stop\ndata: .*\n\n$/);
    expect(body.length).toBe(lastRequest(gateway()).sentBytes);
    expect(lastRequest(gateway()).url).toBe('/v1/messages?beta=true');
  });

  it.each(['/v1/messages', '/v1/files'])('sends 31 MB to %s', async (path) => {
    const file = join(gateway().dir, 'large.json');
    const body = messageBody({ system: 'x\u00e9 '.repeat((31 * MIB) / 4) });
    writeFileSync(file, body);
    await curl(path, {}, ['-H', 'content-type: application/json', '--data-binary', `@${file}`]);
    expect(lastRequest(gateway())).toMatchObject({ bodyBytes: Buffer.byteLength(body), sha256: sha256(body) });
  });

  it('gets 31 MB', async () => {
    const { told, body } = await curl('/v1/messages', { sizeBytes: 31 * MIB }, ['-d', messageBody()]);
    expect(told).toBe('2 200 application/json');
    expect(body.length).toBe(31 * MIB);
    expect(JSON.parse(body.toString())).toMatchObject({ type: 'message' });
  });

  it('is told of errors in the API’s shape', async () => {
    const refused = await curl('/v1/organizations/me', {}, []);
    expect(refused.told).toBe('2 403 application/json');
    expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { type: 'permission_error' } });
    const overloaded = await curl('/v1/messages', { status: 529, message: 'as scripted' }, ['-d', messageBody()]);
    expect(overloaded.told).toBe('2 529 application/json');
    expect(JSON.parse(overloaded.body.toString())).toMatchObject({ error: { message: 'as scripted' } });
  });
});

describe('one HTTP/2 connection', () => {
  let upstream: HandDrivenUpstream;
  let gateway: TestGateway;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    upstream = await startHandDrivenUpstream();
    gateway = await startGateway({ config: upstream.config });
    session = http2.connect(gateway.tlsUrl, { ca: gateway.authority.root });
    await once(session, 'connect');
  });
  afterAll(async () => {
    session.close();
    await gateway.stop();
    await upstream.close();
  });

  /** One request; its answer's text so far, and whether it has ended. */
  function post(body: string): { text: string; ended: boolean } {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/messages',
      'x-api-key': gateway.key,
      'anthropic-version': '2023-06-01',
    });
    const answer = { text: '', ended: false };
    stream.on('data', (piece: Buffer) => (answer.text += piece.toString()));
    stream.on('end', () => (answer.ended = true));
    stream.end(body);
    return answer;
  }

  it('carries 100 streams at once, each with its own events', async () => {
    const open = new Map<string, ServerResponse>();
    upstream.answer((request, response) => {
      let body = '';
      request.on('data', (piece: Buffer) => (body += piece.toString()));
      request.on('end', () => open.set(body, response.writeHead(200, { 'content-type': 'text/event-stream' })));
    });
    const bodies = Array.from({ length: 100 }, (_, i) => messageBody({ stream: true, system: `stream ${i}` }));
    const answers = bodies.map(post);
    // All have begun before any ends: nothing waits for another.
    await eventually(() => (open.size === 100 ? true : undefined), 30_000);
    const expected = bodies.map((body) => `event: a\ndata: ${sha256(body)}\n\n`);
    bodies.forEach((body, i) => open.get(body)?.write(expected[i]));
    await eventually(() => (answers.every(({ text }, i) => text === expected[i]) ? true : undefined), 30_000);
    expect(answers.some(({ ended }) => ended)).toBe(false);
    for (const response of open.values()) response.end('data: end\n\n');
    await eventually(() => (answers.every(({ ended }) => ended) ? true : undefined), 30_000);
    expect(answers.map(({ text }) => text)).toEqual(expected.map((text) => `${text}data: end\n\n`));
  });

  it('carries odd header lines both ways', async () => {
    let seen: readonly (readonly [string, string])[] = [];
    upstream.answer((request, response) => {
      seen = pairs(request.rawHeaders);
      response.writeHead(200, { 'x_under.score': '1', 'X-Upper': 'Kept', 'set-cookie': ['a=1', 'b=2'] }).end('{}');
    });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/future?a=%20&a=',
      ':authority': 'other.example',
      'x-api-key': gateway.key,
      'x_under.score': 'yes',
      'anthropic-beta': ['a', 'b'],
      'x-forwarded-for': '10.0.0.1',
    });
    stream.end('{}');
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers).toMatchObject({
      ':status': 200,
      'x_under.score': '1',
      'x-upper': 'Kept',
      'set-cookie': ['a=1', 'b=2'],
    });
    expect(seen).toEqual(
      expect.arrayContaining([
        ['x_under.score', 'yes'],
        ['anthropic-beta', 'a'],
        ['anthropic-beta', 'b'],
      ]),
    );
    expect(seen.flat().join()).not.toMatch(/other\.example|10\.0\.0\.1/);
    stream.close();
  });
});
