import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { issueLeaf } from '../../local/pki';
import { freePort } from '../../local/ports';
import { startValkey, type ValkeyOptions, type ValkeyProcess } from '../../local/valkey-process';
import {
  authority,
  eventually,
  startGateway,
  type GatewayOptions,
  type TestGateway,
  type ValkeyTarget,
} from './harness';
import { startDnsServer } from './support/dns-server';
import { drive, drivenLua, type Outcome } from './support/valkey-driver';

const PASSWORD = 'the-password-of-valkey-0123456789';
// What ElastiCache's user of the gateway may do (lib/constructs/valkey.ts).
const RIGHTS = ['~*', '&*', '+@all', '-@admin', '-@dangerous'];

const lua = drivenLua();
const directory = mkdtempSync(join(tmpdir(), 'causeway-valkey-'));
const cleanups: (() => Promise<unknown> | undefined)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => {
  lua.remove();
  rmSync(directory, { recursive: true });
});

let directories = 0;
async function valkeyWith(options: Omit<ValkeyOptions, 'dir'> = {}): Promise<ValkeyProcess> {
  const valkey = await startValkey({ dir: join(directory, String(directories++)), ...options });
  cleanups.push(() => valkey.stop());
  return valkey;
}

async function gatewayWith(valkey: ValkeyProcess | ValkeyTarget, options: GatewayOptions = {}): Promise<TestGateway> {
  const placement = { luaDirectory: lua.directory, ...options.placement };
  // Calls are requests without a credential, and many.
  const config = { limits: { perAddress: { exempt: ['127.0.0.0/8'] } }, ...options.config };
  const gateway = await startGateway({ ...options, config, valkey, placement });
  cleanups.push(() => gateway.stop());
  return gateway;
}

function portOf({ address }: ValkeyProcess): number {
  if (!('port' in address)) throw new Error('it has no port');
  return address.port;
}

const call = (gateway: TestGateway, ...words: readonly (string | number)[]): Promise<Outcome> =>
  drive(gateway, 'call', ...words);

/** Waits until calls are answered. */
function back(gateway: TestGateway): Promise<true> {
  return eventually(async () => ((await call(gateway, 'SET', 'a', 1)).reply === 'OK' ? true : undefined), 20_000);
}

/** Calls one after the other, as long as nothing is answered. */
async function problems(gateway: TestGateway, calls: number): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < calls; i++) {
    const { problem = 'none', ms } = await call(gateway, 'GET', 'a');
    expect(ms).toBeLessThan(5000);
    found.push(problem);
  }
  return found;
}

describe('what it gives', () => {
  let gateway: TestGateway;
  let valkey: ValkeyProcess;
  beforeEach(async () => {
    valkey = await valkeyWith({ password: PASSWORD });
    gateway = await gatewayWith(valkey);
  });

  test('commands, with bytes as they are', async () => {
    const { reply: key } = await drive(gateway, 'key', 'a', 'b');
    expect(key).toBe('cw:test:a:b');
    expect((await drive(gateway, 'enabled')).reply).toBe(true);
    expect((await call(gateway, 'SET', String(key), 'ü\r\n')).reply).toBe('OK');
    expect((await call(gateway, 'GET', String(key))).reply).toBe('ü\r\n');
    expect(await call(gateway, 'GET', 'none')).toEqual({
      ms: expect.any(Number) as number,
      worker: expect.any(Number) as number,
    });
    expect((await call(gateway, 'INCRBY', 'n', 1_732_300_000_123)).reply).toBe(1_732_300_000_123);
    expect((await call(gateway, 'SET', 'large', 'x'.repeat(100 * 1024))).reply).toBe('OK');
    const large = 'x'.repeat(3 * 1024 * 1024);
    await valkey.command('SET', 'large', large);
    expect((await call(gateway, 'GET', 'large')).reply).toBe(large);
  });

  test('the error of a command is an error of that command alone', async () => {
    await call(gateway, 'SET', 'n', 1);
    expect((await call(gateway, 'LPUSH', 'n', 1)).problem).toMatch(/^WRONGTYPE/);
    expect((await call(gateway, 'NO-SUCH')).problem).toMatch(/^ERR unknown command/);
    const commands = [
      ['GET', 'n'],
      ['GET', 'none'],
      ['LPUSH', 'n', 1],
      ['MGET', 'n', 'none'],
    ];
    expect((await drive(gateway, 'pipeline', commands)).reply).toEqual([
      '1',
      false,
      { err: expect.stringMatching(/^WRONGTYPE/) as string },
      ['1', false],
    ]);
    expect((await drive(gateway, 'healthy')).reply).toBe(true);
  });

  test('scripts, also when Valkey has forgotten them', async () => {
    const script = { source: "return { KEYS[1], ARGV[1], redis.call('GET', 'none') }" };
    for (let round = 0; round < 3; round++) {
      const { reply } = await drive(gateway, 'script', script, ['{a}'], ['x']);
      expect(reply).toEqual(['{a}', 'x', false]);
      await valkey.command('SCRIPT', 'FLUSH');
    }
  });

  test('round trips are counted', async () => {
    await gateway.waitForLine((line) => line['ValkeyUp'] === 1);
    const sum = (name: string): number => gateway.lines().reduce((total, line) => total + Number(line[name] ?? 0), 0);
    for (let i = 0; i < 5; i++) await call(gateway, 'SET', 'a', i);
    await drive(gateway, 'pipeline', [
      ['GET', 'a'],
      ['GET', 'a'],
    ]);
    // By its digest in vain, then whole.
    await drive(gateway, 'script', { source: 'return 1' }, ['{a}'], []);
    await call(gateway, 'LPUSH', 'a', 1);
    // Without those by which a node says that it lives.
    const calls = (): number => sum('ValkeyCalls') - sum('FleetCalls');
    await eventually(() => (calls() >= 9 ? true : undefined));
    // The first of these went twice, as the script above.
    expect(calls()).toBeLessThanOrEqual(10);
    expect(sum('ValkeyErrors')).toBe(1);
  });
});

describe('how it signs in', () => {
  test('without a password where none is asked for', async () => {
    const gateway = await gatewayWith(await valkeyWith());
    expect((await call(gateway, 'PING')).reply).toBe('PONG');
  });

  test('as a user that may not administer', async () => {
    const valkey = await valkeyWith();
    await valkey.command('ACL', 'SETUSER', 'causeway', 'on', `>${PASSWORD}`, ...RIGHTS);
    const gateway = await gatewayWith({
      host: 'localhost',
      port: portOf(valkey),
      user: 'causeway',
      password: PASSWORD,
    });
    expect((await call(gateway, 'SET', 'a', 1)).reply).toBe('OK');
    expect((await drive(gateway, 'script', { source: 'return redis.call("GET", KEYS[1])' }, ['a'], [])).reply).toBe(
      '1',
    );
    expect((await call(gateway, 'FLUSHALL')).problem).toMatch(/^NOPERM/);
    expect((await drive(gateway, 'healthy')).reply).toBe(true);
  });

  test('over TLS, to a server that the authority vouches for', async () => {
    const ca = await authority();
    const leaf = await issueLeaf({ hosts: ['localhost'], authority: ca });
    const [certFile, keyFile, caFile] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(certFile, leaf.chain);
    writeFileSync(keyFile, leaf.key);
    writeFileSync(caFile, ca.root);
    const valkey = await valkeyWith({ tls: { certFile, keyFile, caFile }, password: PASSWORD });
    const target = { host: 'localhost', port: portOf(valkey), password: PASSWORD };
    const gateway = await gatewayWith({ ...target, caFile });
    expect((await call(gateway, 'SET', 'a', 1)).reply).toBe('OK');

    // Another authority's server, and one of another name, are not spoken to.
    for (const other of [
      { ...target, caFile: '/etc/ssl/certs/ca-certificates.crt' },
      { ...target, caFile, host: '127.0.0.1' },
    ]) {
      const wary = await gatewayWith(other);
      await wary.waitForLog(/Valkey is left alone for now: TLS: /);
      expect((await call(wary, 'GET', 'a')).problem).toBe('down');
    }
  });

  test('with wrong credentials it is left alone, and used once they are right', async () => {
    const valkey = await valkeyWith({ password: PASSWORD });
    const gateway = await gatewayWith({
      host: '127.0.0.1',
      port: portOf(valkey),
      user: 'causeway',
      password: 'another-password-0123456789',
    });
    await gateway.waitForLog('sign-in refused (WRONGPASS)');
    expect(new Set(await problems(gateway, 20))).toEqual(new Set(['down']));
    await gateway.waitForLine((line) => line['ValkeyUp'] === 0);
    await valkey.command('ACL', 'SETUSER', 'causeway', 'on', '>another-password-0123456789', ...RIGHTS);
    await back(gateway);
    await gateway.waitForLine((line) => line['ValkeyUp'] === 1);
  });

  test('nor is it used without a password that it asks for', async () => {
    const valkey = await valkeyWith({ password: PASSWORD });
    const gateway = await gatewayWith({ host: '127.0.0.1', port: portOf(valkey) });
    await gateway.waitForLog('left alone for now: NOAUTH');
    expect((await call(gateway, 'GET', 'a')).problem).toBe('down');
  });
});

describe('when it fails', () => {
  test('and is not there at first, it is used as soon as it is', async () => {
    const port = await freePort();
    const gateway = await gatewayWith({ host: '127.0.0.1', port, password: PASSWORD });
    await gateway.waitForLog('left alone for now: connection refused');
    expect(new Set(await problems(gateway, 20))).toEqual(new Set(['down']));
    await valkeyWith({ port, password: PASSWORD });
    await back(gateway);
  });

  test('and hangs, one call of all workers finds out, and none waits for it afterwards', async () => {
    const valkey = await valkeyWith();
    // Longer than any other wait, so that it would be seen.
    const gateway = await gatewayWith(valkey, { config: { valkey: { timeoutMs: 300 } } });
    await back(gateway);
    valkey.pause();
    // At once: each of them is on its way when the first one finds out.
    const first = await Promise.all(Array.from({ length: 20 }, () => call(gateway, 'GET', 'a')));
    expect(first.map(({ problem }) => problem).filter((problem) => problem === 'timeout').length).toBeGreaterThan(0);
    // For longer than several looks take.
    const end = Date.now() + 4000;
    const found = new Set<string>();
    while (Date.now() < end) for (const problem of await problems(gateway, 10)) found.add(problem);
    expect(found).toEqual(new Set(['down']));
    await gateway.waitForLine((line) => line['ValkeyUp'] === 0);
    valkey.resume();
    await back(gateway);
    await gateway.waitForLog('Valkey is back');
  });

  test('while nobody asks it, that shows too', async () => {
    const valkey = await valkeyWith();
    const gateway = await gatewayWith(valkey);
    await gateway.waitForLine((line) => line['ValkeyUp'] === 1);
    valkey.pause();
    await gateway.waitForLine((line) => line['ValkeyUp'] === 0, 10_000);
    valkey.resume();
    const told = gateway.lines().length;
    await eventually(
      () =>
        gateway
          .lines()
          .slice(told)
          .some((line) => line['ValkeyUp'] === 1) || undefined,
      20_000,
    );
  });

  test('and is killed and started again, connections from before are no hindrance', async () => {
    const valkey = await valkeyWith();
    const port = portOf(valkey);
    const gateway = await gatewayWith(valkey);
    await Promise.all(Array.from({ length: 20 }, () => back(gateway)));
    await valkey.kill();
    const found = await problems(gateway, 20);
    expect(found.filter((problem) => problem !== 'down').length).toBeLessThanOrEqual(1);
    await valkeyWith({ port });
    await back(gateway);
    expect((await drive(gateway, 'healthy')).reply).toBe(true);
  });

  test('a connection that it has closed is replaced without a word', async () => {
    const valkey = await valkeyWith();
    const gateway = await gatewayWith(valkey);
    await Promise.all(Array.from({ length: 20 }, () => back(gateway)));
    for (let i = 0; i < 10; i++) {
      await valkey.command('CLIENT', 'KILL', 'TYPE', 'normal');
      expect((await call(gateway, 'GET', 'a')).reply).toBe('1');
    }
    expect(gateway.errorLog()).not.toContain('left alone');
  });

  test('and is full, what writes fails, what reads does not, and nothing waits', async () => {
    const valkey = await valkeyWith({ evictionPolicy: 'noeviction' });
    const gateway = await gatewayWith(valkey);
    await back(gateway);
    await valkey.command('CONFIG', 'SET', 'maxmemory', '1');
    expect((await call(gateway, 'SET', 'b', 1)).problem).toMatch(/^OOM/);
    const script = { source: "return redis.call('SET', KEYS[1], 1)" };
    expect((await drive(gateway, 'script', script, ['b'], [])).problem).toMatch(/OOM/);
    expect((await call(gateway, 'GET', 'a')).reply).toBe('1');
    expect((await drive(gateway, 'healthy')).reply).toBe(true);
    expect(gateway.errorLog()).not.toContain('left alone');
    await valkey.command('CONFIG', 'SET', 'maxmemory', '0');
    expect((await call(gateway, 'SET', 'b', 1)).reply).toBe('OK');
  });

  test('and what answers is no Valkey, nothing is raised', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    cleanups.push(
      () =>
        new Promise((done) => {
          server.close(done);
        }),
    );
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const gateway = await gatewayWith({ host: '127.0.0.1', port: address.port });
    await gateway.waitForLog('left alone for now: protocol');
    expect((await call(gateway, 'GET', 'a')).problem).toBe('down');
  });
});

describe('when it moves', () => {
  const [OLD, NEW] = ['127.0.0.2', '127.0.0.3'];

  test.each<[string, (old: ValkeyProcess) => Promise<unknown>]>([
    ['that is killed', (old) => old.kill()],
    [
      'that hangs',
      (old) => {
        old.pause();
        return Promise.resolve();
      },
    ],
    // The address of a primary that failed over: it takes no writes any more, and answers.
    ['that has become a replica', (old) => old.command('REPLICAOF', '127.0.0.9', '1')],
    ['that goes on', () => Promise.resolve()],
  ])('from an address %s, its name leads to the new one', async (_what, leave) => {
    const old = await valkeyWith({ host: OLD });
    const port = portOf(old);
    const young = await valkeyWith({ host: NEW, port });
    const dns = await startDnsServer({ addresses: [OLD], ttl: 1 });
    cleanups.push(() => dns.close());
    const gateway = await gatewayWith(
      { host: 'valkey.example', port },
      { placement: { luaDirectory: lua.directory, resolvers: [dns.address] } },
    );
    await back(gateway);
    expect(await young.command('EXISTS', 'a')).toBe(0);
    await leave(old);
    dns.behave({ addresses: [NEW], ttl: 1 });
    await eventually(async () => {
      await call(gateway, 'SET', 'a', 1);
      return (await young.command('EXISTS', 'a')) === 1 ? true : undefined;
    }, 20_000);
    expect(dns.queries()).toContain('valkey.example');
  });

  test('a name that is not known keeps nothing waiting', async () => {
    const dns = await startDnsServer('nxdomain');
    cleanups.push(() => dns.close());
    const valkey = await valkeyWith({ host: OLD });
    const gateway = await gatewayWith(
      { host: 'valkey.example', port: portOf(valkey) },
      { placement: { luaDirectory: lua.directory, resolvers: [dns.address] } },
    );
    expect(new Set(await problems(gateway, 5))).toEqual(new Set(['down']));
    dns.behave({ addresses: [OLD], ttl: 1 });
    await back(gateway);
  });
});

test('a server that looks seldom for who has waited long enough is not taken for one that hangs', async () => {
  // Twice a second; ten times is the default, which is more seldom than the gateway's own timeout of 50 ms.
  const valkey = await valkeyWith({ settings: [['hz', '2']] });
  const gateway = await gatewayWith(valkey, { config: { valkey: { timeoutMs: 250 } } });
  await back(gateway);
  const commands = [
    ['XREAD', 'BLOCK', 600, 'STREAMS', 'a-stream', '0'],
    ['SET', 'b', 1],
  ];
  // The first ends as the server looks; those after it are due 400 ms before it looks again.
  for (let round = 0; round < 3; round++) {
    expect(await drive(gateway, 'pipeline', commands, 600)).toMatchObject({ reply: [false, 'OK'] });
  }
});

test('a service of several shards behind one endpoint takes what shares a hash tag', async () => {
  const valkey = await valkeyWith({
    settings: [
      ['cluster-enabled', 'yes'],
      ['cluster-port', String(await freePort())],
    ],
  });
  await valkey.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  const gateway = await gatewayWith(valkey);
  await back(gateway);
  const keys = ['cw:test:{one}:a', 'cw:test:{one}:b'];
  const script = { source: "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])" };
  expect((await drive(gateway, 'script', script, keys, ['x'])).problem).toBeUndefined();
  const commands = [
    ['SET', keys[1], 'y'],
    ['MGET', ...keys],
  ];
  expect((await drive(gateway, 'pipeline', commands)).reply).toEqual(['OK', ['x', 'y']]);
  expect((await call(gateway, 'MGET', 'a', 'b')).problem).toMatch(/^CROSSSLOT/);
  expect((await drive(gateway, 'healthy')).reply).toBe(true);
});

test('a gateway without one says so', async () => {
  const gateway = await startGateway({ placement: { luaDirectory: lua.directory } });
  cleanups.push(() => gateway.stop());
  expect((await drive(gateway, 'enabled')).reply).toBe(false);
  expect((await drive(gateway, 'healthy')).reply).toBe(false);
  expect((await call(gateway, 'GET', 'a')).problem).toBe('down');
  await gateway.waitForLine((line) => line['Ready'] === 1);
  expect(gateway.lines().some((line) => 'ValkeyUp' in line)).toBe(false);
});
