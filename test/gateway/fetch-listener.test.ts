import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { startGateway, type TestGateway } from './harness';
import { exchange, lastRequest, messageBody } from './support/exchange';
import { useGateway } from './support/gateways';
import { requestLines } from './support/metering';

const gateway = useGateway({ workers: 1 });

const socketOf = (of: TestGateway): string => join(of.dir, 'run', 'proxy', 'fetch.sock');

/** A request to the internal listener itself. */
function ask(path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  return new Promise((settle, reject) => {
    const request = http.request({ socketPath: socketOf(gateway()), path, headers, method: 'GET' }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        settle({ status: response.statusCode ?? 0, text });
      });
    });
    request.on('error', reject).end();
  });
}

test('the internal listener is for nobody but the gateway’s own user', () => {
  expect(statSync(dirname(socketOf(gateway()))).mode & 0o777).toBe(0o700);
  const settings = readFileSync(join(gateway().dir, 'conf', 'settings.json'), 'utf8');
  // Its token is made at the start, and stands in no file.
  expect(settings).toContain(socketOf(gateway()));
  expect(settings).not.toMatch(/[0-9a-f]{64}/);
});

test.each([
  ['nothing', {}],
  ['a key', { 'x-api-key': 'KEY' }],
  ['a token that is none', { 'x-causeway-fetch': `${'0'.repeat(64)} req_1 team-a -` }],
  ['an empty token', { 'x-causeway-fetch': ' req_1 team-a -' }],
  ['a header in another spelling', { x_causeway_fetch: `${'0'.repeat(64)} req_1 team-a -` }],
])('who comes there with %s is refused, and reaches no upstream', async (_what, headers: Record<string, string>) => {
  const given = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value === 'KEY' ? gateway().key : value]),
  );
  for (const path of ['/v1/models', '/v1/messages', '/v1/messages/count_tokens', '/v1/files', '/', '/healthz']) {
    const answer = await ask(path, given);
    if (path !== '/') expect(answer.status).toBe(404);
  }
  expect(gateway().mock.requests()).toEqual([]);
});

test('what a client of the public listeners says of fetches means nothing', async () => {
  const token = `${'a'.repeat(64)} req_1 team-a -`;
  const answer = await exchange(gateway(), {
    body: messageBody(),
    headers: [
      ['x-causeway-fetch', token],
      ['x-causeway-refusal', 'internal'],
      ['x-causeway-cache', 'max-age=60'],
    ],
  });
  expect(answer.status).toBe(200);
  expect(Object.keys(lastRequest(gateway()).headers).filter((name) => name.startsWith('x-causeway-'))).toEqual([]);
  const refused = await exchange(gateway(), {
    credential: [],
    body: messageBody(),
    headers: [['x-causeway-fetch', token]],
  });
  expect(refused.status).toBe(401);
  const [line] = await requestLines(gateway(), 1, (each) => each['upstreamRequestId'] === answer.headers['request-id']);
  expect(line).toMatchObject({ cache: 'MISS', Requests: 1 });
  for (const target of ['/@cached', '/@uncached-generate', '/.causeway/error/500', '/%40cached']) {
    expect((await exchange(gateway(), { method: 'GET', target })).status).toBe(404);
  }
});

test('a socket that a killed nginx left behind keeps no other from starting', async () => {
  const runtimeDirectory = mkdtempSync(join(tmpdir(), 'causeway-run-'));
  const path = join(runtimeDirectory, 'proxy', 'fetch.sock');
  mkdirSync(dirname(path), { mode: 0o700 });
  const listener = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
  ]);
  await once(listener.stdout, 'data');
  listener.kill('SIGKILL');
  await once(listener, 'exit');
  expect(statSync(path).isSocket()).toBe(true);
  const started = await startGateway({ workers: 1, placement: { runtimeDirectory } });
  try {
    expect((await exchange(started, { method: 'GET', target: '/v1/models' })).headers['x-causeway-cache']).toBe('MISS');
    const connection = net.connect(path);
    await once(connection, 'connect');
    connection.destroy();
  } finally {
    await started.stop();
    rmSync(runtimeDirectory, { recursive: true, force: true });
  }
});
