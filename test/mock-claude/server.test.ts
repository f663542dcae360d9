import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import { type MockClaude, type RecordedRequest, startMockClaude } from '../../local/mock-claude/server';
import { CALLER, messageBody, type Outcome, send, testCertificate, until } from './helpers';

let mock: MockClaude;
beforeAll(async () => {
  mock = await startMockClaude({ keepBodies: true });
});
afterAll(() => mock.close());
beforeEach(() => {
  mock.clear();
});

function errorOf(outcome: Outcome): unknown {
  return [outcome.status, (JSON.parse(outcome.body.toString()) as { error: { type: string } }).error.type];
}

/** A request with exactly these headers. */
async function bare(headers: Record<string, string>, path = '/v1/models', method = 'GET'): Promise<Outcome> {
  return new Promise((resolve) => {
    const req = http.request(`${mock.baseUrl}${path}`, { method, agent: false, headers }, (res) => {
      const pieces: Buffer[] = [];
      res.on('data', (bytes: Buffer) => pieces.push(bytes));
      res.on('end', () => {
        const body = Buffer.concat(pieces);
        resolve({
          status: res.statusCode,
          headers: res.headers,
          rawHeaders: res.rawHeaders,
          body,
          pieces: [],
          headersMs: 0,
          error: undefined,
          bytes: body.length,
        });
      });
    });
    req.end();
  });
}

const VERSION = { 'anthropic-version': '2023-06-01' };

describe('checks like the API’s', () => {
  it('wants a credential, one that agrees, and a version', async () => {
    expect(errorOf(await bare(VERSION))).toEqual([401, 'authentication_error']);
    expect(errorOf(await bare({ ...VERSION, authorization: 'Basic abc' }))).toEqual([401, 'authentication_error']);
    expect(errorOf(await bare({ ...VERSION, authorization: 'Bearer a', 'x-api-key': 'b' }))).toEqual([
      401,
      'authentication_error',
    ]);
    expect(errorOf(await bare({ 'x-api-key': 'a' }))).toEqual([400, 'invalid_request_error']);
    for (const headers of [{ authorization: 'Bearer a' }, { 'x-api-key': 'a' }]) {
      expect((await bare({ ...VERSION, ...headers })).status).toBe(200);
    }
    expect((await bare({ ...VERSION, authorization: 'Bearer a', 'x-api-key': 'a' })).status).toBe(200);
  });

  it('wants a well-formed message', async () => {
    const answers: [string, unknown][] = [
      ['{', [400, 'invalid_request_error']],
      ['null', [400, 'invalid_request_error']],
      [messageBody({ model: undefined }), [400, 'invalid_request_error']],
      [messageBody({ max_tokens: undefined }), [400, 'invalid_request_error']],
      [messageBody({ messages: undefined }), [400, 'invalid_request_error']],
      [messageBody({ model: 'gpt-1' }), [404, 'not_found_error']],
    ];
    for (const [body, expected] of answers) expect(errorOf(await send(mock.baseUrl, { body }))).toEqual(expected);
    const missing = await send(mock.baseUrl, { body: messageBody({ max_tokens: undefined }) });
    expect(missing.body.toString()).toContain('max_tokens: Field required');
  });

  it('takes 31 MB and refuses more than 32', async () => {
    const ask = (bytes: number): string => messageBody({ system: 'x'.repeat(bytes) });
    expect((await send(mock.baseUrl, { body: ask(31 * 1024 * 1024) })).status).toBe(200);
    expect(errorOf(await send(mock.baseUrl, { body: ask(32 * 1024 * 1024) }))).toEqual([413, 'request_too_large']);
  });

  it('knows no other path, no other method', async () => {
    expect(errorOf(await send(mock.baseUrl, { path: '/v1/unheard-of' }))).toEqual([404, 'not_found_error']);
    expect(errorOf(await send(mock.baseUrl, { path: '/v1/messages', method: 'GET' }))).toEqual([
      405,
      'invalid_request_error',
    ]);
    expect(errorOf(await send(mock.baseUrl, { path: '/v1/models/%zz', method: 'GET' }))).toEqual([
      404,
      'not_found_error',
    ]);
    const scripted = await send(mock.baseUrl, { path: '/v1/unheard-of', script: { body: '{"a":1}' } });
    expect([scripted.status, scripted.body.toString()]).toEqual([200, '{"a":1}']);
  });

  it('refuses requests without a workspace where that is asked for', async () => {
    const aws = await startMockClaude({ requireWorkspaceId: true });
    expect((await send(aws.baseUrl, { body: messageBody() })).status).toBe(400);
    const headers = { 'anthropic-workspace-id': 'wrkspc_1' };
    expect((await send(aws.baseUrl, { body: messageBody(), headers })).status).toBe(200);
    await aws.close();
  });

  it('answers probes', async () => {
    expect((await bare({}, '/', 'HEAD')).status).toBe(200);
    expect((await bare({}, '/api/hello', 'HEAD')).status).toBe(200);
    expect((await bare({}, '/', 'GET')).status).not.toBe(200);
  });
});

describe('the record', () => {
  it('and the echo say what arrived, byte for byte', async () => {
    const body = Buffer.from([0, 1, 2, 255]);
    const sha256 = createHash('sha256').update(body).digest('hex');
    const got = await send(mock.baseUrl, {
      path: '/v1/echo?q=%2F&beta=true',
      method: 'PATCH',
      body,
      headers: { 'X-Twice': ['one', 'two'], constructor: 'x' },
    });
    const echoed = JSON.parse(got.body.toString()) as RecordedRequest;
    expect(echoed).toMatchObject({ method: 'PATCH', url: '/v1/echo?q=%2F&beta=true', bodyBytes: 4, sha256 });
    expect(echoed.rawHeaders).toEqual(
      expect.arrayContaining([
        ['X-Twice', 'one'],
        ['X-Twice', 'two'],
      ]),
    );
    const [record] = mock.requests();
    expect(record).toMatchObject({
      bodyBytes: 4,
      sha256,
      status: 200,
      aborted: false,
      httpVersion: '1.1',
      localAddress: '127.0.0.1',
      localPort: mock.port,
      sentBytes: got.bytes,
    });
    expect(record?.headers).toMatchObject({ 'x-twice': 'one, two', constructor: 'x' });
  });

  it('keeps the last requests only, and small bodies only', async () => {
    const small = await startMockClaude({ keepRequests: 3, keepBodies: true });
    for (let i = 0; i < 8; i += 1) await send(small.baseUrl, { path: `/v1/echo?${i}`, body: `body ${i}` });
    expect(small.requests().map((r) => [r.seq, r.body])).toEqual([
      [6, 'body 5'],
      [7, 'body 6'],
      [8, 'body 7'],
    ]);
    await send(small.baseUrl, { path: '/v1/echo', body: Buffer.alloc(65_537) });
    expect(small.requests().at(-1)?.body).toBeUndefined();
    await small.close();
  });

  it('numbers connections, which stay open between requests', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i += 1) {
      await new Promise<void>((resolve) => {
        http.get(`${mock.baseUrl}/v1/echo`, { agent }, (res) => {
          res.resume().on('end', resolve);
        });
      });
    }
    agent.destroy();
    await send(mock.baseUrl, { path: '/v1/echo' });
    const connections = mock.requests().map((r) => r.connection);
    expect(new Set(connections.slice(0, 3)).size).toBe(1);
    expect(connections[3]).toBeGreaterThan(connections[0] ?? Infinity);
  });

  it('notes an upload that its client gave up', async () => {
    const socket = net.connect(mock.port, mock.host);
    socket.write(`POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: a\r\nContent-Length: 100\r\n\r\nabc`);
    await until(() => mock.requests()[0]?.bodyBytes === 3);
    socket.destroy();
    await until(() => mock.requests()[0]?.aborted === true);
    expect(mock.requests()[0]?.sha256).toBe(createHash('sha256').update('abc').digest('hex'));
  });
});

describe('a large upload', () => {
  it('is hashed and stored without being held', async () => {
    const boundary = 'frontier';
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\nContent-Type: application/x-big\r\n\r\n`;
    const tail = `\r\n--${boundary}--\r\n`;
    const page = Buffer.alloc(1024 * 1024, 'frontie\r\n--fron');
    const pages = 200;
    const hash = createHash('sha256').update(head);
    const before = process.memoryUsage().rss;
    const status = await new Promise<string>((resolve, reject) => {
      const req = http.request(
        `${mock.baseUrl}/v1/files`,
        {
          method: 'POST',
          agent: false,
          headers: { ...CALLER, 'content-type': `multipart/form-data; boundary=${boundary}` },
        },
        (res) => {
          let text = '';
          res.on('data', (bytes: Buffer) => (text += bytes.toString()));
          res.on('end', () => {
            resolve(text);
          });
        },
      );
      req.on('error', reject);
      const pour = async (): Promise<void> => {
        req.write(head);
        for (let i = 0; i < pages; i += 1) {
          hash.update(page);
          if (!req.write(page)) await once(req, 'drain');
        }
        req.end(tail);
      };
      pour().catch(reject);
    });
    const sha256 = hash.update(tail).digest('hex');
    expect(JSON.parse(status)).toMatchObject({ size_bytes: pages * page.length, mime_type: 'application/x-big' });
    expect(mock.requests()[0]).toMatchObject({ sha256 });
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
    const { id } = JSON.parse(status) as { id: string };
    const back = await send(mock.baseUrl, { path: `/v1/files/${id}/content`, method: 'GET', keep: false });
    expect(back.bytes).toBe(pages * page.length);
  });

  it.each([
    ['text/plain', 'abc'],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nunfinished'],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n'],
  ])('that is malformed is a 400: %s', async (contentType, body) => {
    const got = await send(mock.baseUrl, { path: '/v1/files', body, headers: { 'content-type': contentType } });
    expect(errorOf(got)).toEqual([400, 'invalid_request_error']);
  });

  it('is understood in whatever pieces it arrives', async () => {
    const body = '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\na\r\n--y\r\n\r\n--x--\r\n';
    const socket = net.connect(mock.port, mock.host);
    socket.setNoDelay(true);
    const answer: Buffer[] = [];
    const closed = once(socket, 'close');
    socket.on('data', (bytes) => answer.push(bytes));
    socket.write(
      `POST /v1/files HTTP/1.1\r\nHost: x\r\nx-api-key: a\r\nanthropic-version: 1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
    );
    for (const letter of body) {
      socket.write(letter);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await closed;
    expect(Buffer.concat(answer).toString()).toContain(`"size_bytes":${'a\r\n--y\r\n'.length}`);
  });
});

describe('rules', () => {
  it('match by path, method, model and credential; queues run out, sticky rules stay', async () => {
    mock.script([
      { match: { path: '/v1/messages', model: 'claude-a' }, times: 1, script: { status: 500 } },
      { match: { path: '/v1/mess*', model: 'claude-a' }, times: 1, script: { status: 529 } },
      { match: { credential: 'sk-blocked' }, script: { status: 403 } },
      { match: { path: '/v1/models', method: 'get' }, script: { status: 504 } },
    ]);
    const ask = async (more: Record<string, unknown>, headers = {}): Promise<number | undefined> =>
      (await send(mock.baseUrl, { body: messageBody(more), headers })).status;
    expect(await ask({ model: 'claude-b' })).toBe(200);
    expect([await ask({ model: 'claude-a' }), await ask({ model: 'claude-a' })]).toEqual([500, 529]);
    expect(await ask({ model: 'claude-a' })).toBe(200);
    for (let i = 0; i < 2; i += 1) expect(await ask({}, { 'x-api-key': 'sk-blocked' })).toBe(403);
    expect((await send(mock.baseUrl, { path: '/v1/models?limit=1', method: 'GET' })).status).toBe(504);
    mock.clearScript();
    expect(await ask({}, { 'x-api-key': 'sk-blocked' })).toBe(200);
  });

  it('give way to the request’s own script, and are not used up by it', async () => {
    mock.script({ times: 1, script: { status: 500 } });
    expect((await send(mock.baseUrl, { body: messageBody(), script: {} })).status).toBe(200);
    expect((await send(mock.baseUrl, { body: messageBody() })).status).toBe(500);
  });

  it('are refused whole when one is wrong', () => {
    expect(() => {
      mock.script([{ script: {} }, { script: { status: 99 } }]);
    }).toThrow(/script\.status/);
  });
});

describe('the admin endpoints', () => {
  async function admin(method: string, path: string, body?: unknown): Promise<[number | undefined, unknown]> {
    const got = await send(mock.baseUrl, {
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return [got.status, JSON.parse(got.body.toString())];
  }

  it('set scripts, and show and forget requests and tokens', async () => {
    expect((await admin('PUT', '/__mock/script', { times: 1, script: { status: 418 } }))[0]).toBe(200);
    expect((await admin('POST', '/__mock/script', [{ script: { text: 'sticky' } }]))[1]).toHaveLength(2);
    expect((await send(mock.baseUrl, { body: messageBody() })).status).toBe(418);
    expect((await send(mock.baseUrl, { body: messageBody() })).body.toString()).toContain('sticky');
    const [, all] = await admin('GET', '/__mock/requests');
    expect(all).toHaveLength(2);
    const first = (all as RecordedRequest[])[0]?.seq ?? 0;
    expect((await admin('GET', `/__mock/requests?since=${first}&path=/v1/messages`))[1]).toHaveLength(1);
    expect((await admin('GET', '/__mock/usage'))[1]).toMatchObject({ 'claude-sonnet-5-5': { requests: 1 } });
    await admin('DELETE', '/__mock/usage');
    await admin('DELETE', '/__mock/requests');
    await admin('DELETE', '/__mock/script');
    expect((await admin('GET', '/__mock/usage'))[1]).toEqual({});
    expect((await admin('GET', '/__mock/requests'))[1]).toEqual([]);
    expect((await admin('GET', '/__mock/script'))[1]).toEqual([]);
  });

  it('say what is wrong, and keep the rules there were', async () => {
    await admin('PUT', '/__mock/script', { script: { status: 500 } });
    const [status, answer] = await admin('PUT', '/__mock/script', { script: { statsu: 500 } });
    expect(status).toBe(400);
    expect((answer as { problem: string }).problem).toContain('statsu');
    expect((await admin('GET', '/__mock/script'))[1]).toEqual([{ script: { status: 500 } }]);
    expect((await admin('GET', '/__mock/nothing'))[0]).toBe(404);
  });
});

describe('addresses and TLS', () => {
  it('serves several addresses at once', async () => {
    const other = await startMockClaude({ host: '127.0.0.2', name: 'other' });
    const got = await send(other.baseUrl, { path: '/v1/echo' });
    expect(got.headers['x-mock-name']).toBe('other');
    expect(other.requests()[0]?.localAddress).toBe('127.0.0.2');
    await expect(startMockClaude({ host: '127.0.0.2', port: other.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await other.close();
    expect(other.connections()).toBe(0);
  });

  it('speaks TLS, notes the server name, and resets a TLS connection', async () => {
    const certificate = await testCertificate();
    const secure = await startMockClaude({ tls: certificate });
    const ask = (script: unknown): Promise<number | string | undefined> =>
      new Promise((resolve) => {
        https
          .get(
            `https://localhost:${secure.port}/v1/echo`,
            {
              ca: certificate.cert,
              agent: false,
              lookup: (_host, _options, done) => {
                done(null, [{ address: '127.0.0.1', family: 4 }]);
              },
              headers: { ...CALLER, 'x-mock-script': JSON.stringify(script) },
            },
            (res) => {
              res.resume().on('end', () => {
                resolve(res.statusCode);
              });
            },
          )
          .on('error', (error: NodeJS.ErrnoException) => {
            resolve(error.code);
          });
      });
    expect(await ask({})).toBe(200);
    expect(await ask({ reset: true })).toBe('ECONNRESET');
    expect(await ask({ cut: { beforeHeaders: true } })).toBe('ECONNRESET');
    expect(secure.requests()[0]).toMatchObject({ servername: 'localhost', tlsProtocol: 'TLSv1.3', tlsResumed: false });
    expect(secure.baseUrl).toMatch(/^https:/);
    await secure.close();
  });

  it('tells a reset from a close on the wire, with TLS and without', async () => {
    const certificate = await testCertificate();
    const secure = await startMockClaude({ tls: certificate });
    /** How the connection ended. */
    const ending = (target: MockClaude, script: unknown): Promise<string> =>
      new Promise((resolve) => {
        const { host, port } = target;
        const socket = target === mock ? net.connect(port, host) : tls.connect(port, host, { ca: certificate.cert });
        socket.on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code ?? '');
        });
        socket.on('close', () => {
          resolve('closed');
        });
        socket.resume();
        socket.write(`GET /v1/echo HTTP/1.1\r\nHost: x\r\nx-mock-script: ${JSON.stringify(script)}\r\n\r\n`);
      });
    for (const target of [mock, secure]) {
      expect(await ending(target, { reset: true })).toBe('ECONNRESET');
      expect(await ending(target, { cut: { afterEvents: 0, reset: true } })).toBe('ECONNRESET');
      expect(await ending(target, { cut: { beforeHeaders: true } })).toBe('closed');
    }
    await secure.close();
  });

  it('lives on after a client that breaks off the TLS handshake', async () => {
    const certificate = await testCertificate();
    const secure = await startMockClaude({ tls: certificate });
    const socket = net.connect(secure.port, secure.host);
    socket.write('not TLS at all');
    await once(socket, 'close');
    const fine = tls.connect(secure.port, secure.host, { ca: certificate.cert });
    await once(fine, 'secureConnect');
    fine.destroy();
    await secure.close();
  });
});

describe('the command line', () => {
  const command = ['--import', 'tsx', 'local/mock-claude/main.ts'];

  function run(args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [...command, ...args], (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, stdout, stderr });
      });
    });
  }

  it('explains itself', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('--cert FILE');
  });

  it.each([
    ['a busy port', () => ['--port', String(mock.port)], /in use by another program/],
    ['a missing file', () => ['--cert', 'no-such.pem', '--key', 'no-such.pem'], /--cert no-such\.pem/],
    ['half a pair', () => ['--cert', 'package.json'], /go together/],
    [
      'no certificate',
      () => ['--port', '0', '--cert', 'package.json', '--key', 'package.json'],
      /is --cert\/--key a matching pair/,
    ],
    ['a bad port', () => ['--port', 'http'], /--port http/],
    ['an unknown option', () => ['--prot', '1'], /--help shows the options/],
  ])('says in one line what is wrong: %s', async (_name, args, reason) => {
    const { code, stderr } = await run(args());
    expect(code).toBe(1);
    expect(stderr).toMatch(reason);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('serves until it is told to stop, also with a request under way', async () => {
    const child = spawn(process.execPath, [...command, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /http:\S+/.exec(line.toString())?.[0] ?? '';
    expect((await send(url, { body: messageBody() })).status).toBe(200);
    const hanging = send(url, { body: messageBody(), script: { hang: true } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    expect((await hanging).status).toBeUndefined();
  });
});
