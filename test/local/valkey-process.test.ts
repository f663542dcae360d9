import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';

import fc from 'fast-check';

import { ensureLocalPki } from '../../local/pki';
import { encodeResp, parseResp, startValkey, type ValkeyProcess } from '../../local/valkey-process';
import { runs, Sandbox, until } from './sandbox';

const sandbox = new Sandbox();
const started: ValkeyProcess[] = [];
const start = async (...args: Parameters<typeof startValkey>) => {
  const valkey = await startValkey(...args);
  started.push(valkey);
  return valkey;
};
afterAll(async () => {
  await Promise.all(started.map((valkey) => valkey.stop()));
  sandbox.remove();
});

it('starts without persistence, with bounded memory, and stops', async () => {
  const valkey = await start({ dir: sandbox.path('plain') });
  expect(await valkey.command('PING')).toBe('PONG');
  expect(await valkey.command('SET', 'a', 'ü\r\n')).toBe('OK');
  expect(await valkey.command('GET', 'a')).toBe('ü\r\n');
  expect(await valkey.command('GET', 'b')).toBeNull();
  await expect(valkey.command('NO-SUCH')).rejects.toThrow(/unknown command/);
  expect(await valkey.command('CONFIG', 'GET', 'save')).toEqual(['save', '']);
  expect(await valkey.command('CONFIG', 'GET', 'appendonly')).toEqual(['appendonly', 'no']);
  expect(await valkey.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', `${64 * 1024 * 1024}`]);
  expect(await valkey.command('CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lru']);
  expect(await valkey.command('CONFIG', 'GET', 'bind')).toEqual(['bind', '127.0.0.1']);
  await valkey.stop();
  expect(runs(valkey.pid)).toBe(false);
  expect(await valkey.exited).toEqual({ code: 0, signal: null });
});

it('keeps the password from the command line', async () => {
  const password = 'p"w \\ #1';
  const valkey = await start({
    dir: sandbox.path('pass word'),
    password,
    evictionPolicy: 'noeviction',
    maxMemoryMb: 8,
  });
  expect(await valkey.command('CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  expect(readFileSync(`/proc/${valkey.pid}/cmdline`, 'utf8')).not.toContain('p"w');
  expect(statSync(sandbox.path('pass word', 'valkey.conf')).mode & 0o777).toBe(0o600);
  if (!('port' in valkey.address)) throw new Error('a port was wanted');
  // Without it, nothing is told.
  const other = createServer();
  other.close();
  await expect(
    startValkey({ dir: sandbox.path('second'), port: valkey.address.port, startTimeoutMs: 3000 }),
  ).rejects.toThrow(
    /(valkey|redis)-server ended while starting: .*Address already in use.* \(its log: .*valkey\.log\)/,
  );
});

it('speaks TLS', async () => {
  const { gateway, caFile } = await ensureLocalPki(sandbox.path('pki'));
  const valkey = await start({ dir: sandbox.path('tls'), tls: { ...gateway, caFile }, password: 'x' });
  expect(await valkey.command('PING')).toBe('PONG');
});

it('listens on a Unix socket alone', async () => {
  const unixSocket = sandbox.path('v.sock');
  const valkey = await start({ dir: sandbox.path('socket'), unixSocket });
  expect(valkey.address).toEqual({ unixSocket });
  expect(await valkey.command('CONFIG', 'GET', 'port')).toEqual(['port', '0']);
});

it('can be frozen, go on, and be killed', async () => {
  const valkey = await start({ dir: sandbox.path('faults') });
  valkey.pause();
  let answered = false;
  const answer = valkey.command('PING').then((value) => {
    answered = true;
    return value;
  });
  await new Promise((done) => setTimeout(done, 200));
  expect(answered).toBe(false);
  valkey.resume();
  expect(await answer).toBe('PONG');
  await valkey.kill();
  expect(await valkey.exited).toEqual({ code: null, signal: 'SIGKILL' });
  await expect(valkey.command('PING')).rejects.toThrow(/ECONNREFUSED/);
});

it('is stopped also while it is frozen', async () => {
  const valkey = await start({ dir: sandbox.path('frozen') });
  valkey.pause();
  await valkey.stop();
  await until(() => !runs(valkey.pid));
});

it('says so when there is none', async () => {
  await expect(startValkey({ dir: sandbox.path('none'), path: sandbox.bin })).rejects.toThrow(
    /^neither valkey-server nor redis-server is on PATH: install one with `sudo apt-get install -y valkey-server`/,
  );
});

it('tells what it said when it ends early, and does not wait for one that never answers', async () => {
  const fakes = new Sandbox();
  fakes.real('sleep');
  fakes.fake('valkey-server', 'echo "1:M 1 Jan 2026 00:00:00.000 # Fatal error, can\'t open config file"\nexit 1\n');
  await expect(startValkey({ dir: fakes.path('early'), path: fakes.bin })).rejects.toThrow(
    /^valkey-server ended while starting: Fatal error, can't open config file \(its log: /,
  );
  fakes.fake('valkey-server', 'exec sleep 60\n');
  await expect(startValkey({ dir: fakes.path('silent'), path: fakes.bin, startTimeoutMs: 300 })).rejects.toThrow(
    /^valkey-server did not answer within 300 ms/,
  );
  fakes.remove();
});

describe('RESP', () => {
  it('reads back any words it has written, and waits for those that are incomplete', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 5 }), fc.nat(), (words, cut) => {
        const bytes = Buffer.from(encodeResp(words));
        expect(parseResp(bytes, 0)).toEqual({ value: words, next: bytes.length });
        expect(parseResp(bytes.subarray(0, cut % bytes.length), 0)).toBeUndefined();
      }),
    );
  });

  it('reads numbers, nothing, errors and lists of them', () => {
    const read = (text: string) => parseResp(Buffer.from(text), 0)?.value;
    expect(read(':12\r\n')).toBe(12);
    expect(read('$-1\r\n')).toBeNull();
    expect(read('*-1\r\n')).toBeNull();
    expect(read('*2\r\n*1\r\n+a\r\n:1\r\n')).toEqual([['a'], 1]);
    expect(read('-ERR no\r\n')).toEqual(new Error('ERR no'));
    expect(read('HTTP/1.1 400 Bad Request\r\n')).toBeInstanceOf(Error);
  });
});
