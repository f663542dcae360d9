import { createPrivateKey, X509Certificate } from 'node:crypto';
import { rmSync } from 'node:fs';

import { issueLeaf, type Authority, type Leaf, type LeafOptions } from '../../local/pki';
import { writeStateFile } from '../../local/state-file';
import { UserError } from '../../local/user-error';
import { authority, eventually, startGateway, type TestGateway } from './harness';
import { beginStream, readStream } from './support/http-client';
import { startLoad, type Load } from './support/load';
import { handshake } from './support/tls-client';

const DAY = 86_400_000;
const HOSTS = ['localhost', '127.0.0.1'] as const;

function issue(own: Authority, more: Partial<LeafOptions> = {}): Promise<Leaf> {
  return issueLeaf({ authority: own, hosts: [...HOSTS], ...more });
}

/** The files as an operator might leave them, and what must be said of them. */
interface Bad {
  readonly chain?: string;
  readonly key?: string;
  readonly said: RegExp;
}

const bad: Readonly<Record<string, (good: Leaf, own: Authority) => Promise<Bad> | Bad>> = {
  expired: async (_good, own) => {
    const leaf = await issue(own, { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) });
    return { ...leaf, said: /refused: the certificate of \/CN=localhost has expired/ };
  },
  'not valid yet': async (_good, own) => {
    const leaf = await issue(own, { notBefore: new Date(Date.now() + DAY) });
    return { ...leaf, said: /refused: the certificate of \/CN=localhost is not valid yet/ };
  },
  'without its intermediate': (good) => ({
    chain: good.cert,
    key: good.key,
    said: /refused: the chain is incomplete: the issuer of \/CN=localhost, .*intermediate.*, is neither in the chain file/,
  }),
  'with a key of another': async (good, own) => ({
    chain: good.chain,
    key: (await issue(own)).key,
    said: /refused: .*(the key does not match the certificate of \/CN=localhost|key values mismatch)/,
  }),
  garbage: (good) => ({
    chain: 'no certificate',
    key: good.key,
    said: /refused: .*(the chain file holds no PEM certificate|no start line)/,
  }),
  'cut off': (good) => ({
    chain: good.chain.slice(0, 300),
    key: good.key,
    said: /refused: .*(the chain file holds no PEM certificate|bad end line)/,
  }),
  'out of order': (good, own) => ({
    chain: own.intermediate.cert + good.cert,
    key: own.intermediate.key,
    said: /refused: the chain is out of order: .*intermediate.* was not issued by \/CN=localhost/,
  }),
  'with an encrypted key': (good) => ({
    chain: good.chain,
    key: createPrivateKey(good.key)
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
      .toString(),
    said: /refused: .*(the key file holds no unencrypted PEM private key|bad decrypt|bad password|PEM_do_header|no password|interrupted or cancelled|password)/i,
  }),
  missing: (good) => ({ key: good.key, said: /refused: .*chain\.pem.*No such file/ }),
};

describe('on a running gateway', () => {
  let gateway: TestGateway;
  let load: Load[];
  let first: string;
  beforeAll(async () => {
    gateway = await startGateway();
    load = [
      startLoad(gateway, { tls: true, clients: 2, pauseMs: 20 }),
      startLoad(gateway, { tls: true, clients: 2, pauseMs: 20, keepAlive: false }),
    ];
    first = (await handshake(gateway)).fingerprint;
  });
  afterAll(async () => {
    await Promise.all(load.map((each) => each.stop()));
    await gateway.stop();
    expect(load.flatMap((each) => each.failures())).toEqual([]);
    for (const each of load) expect(each.succeeded()).toBeGreaterThan(50);
  });

  /** Puts files in place as tools do, one after the other. */
  function install(leaf: { chain?: string; key?: string }): void {
    if (leaf.key !== undefined) writeStateFile(gateway.files.key, leaf.key);
    if (leaf.chain === undefined) rmSync(gateway.files.chain);
    else writeStateFile(gateway.files.chain, leaf.chain);
  }

  /** Waits until each of many handshakes, on whichever worker, shows the certificate. */
  function shown(pem: string): Promise<true> {
    const { fingerprint256 } = new X509Certificate(pem);
    return eventually(async () => {
      const handshakes = await Promise.all(Array.from({ length: 10 }, () => handshake(gateway)));
      return handshakes.every(({ fingerprint }) => fingerprint === fingerprint256) ? true : undefined;
    }, 5000);
  }

  test('a new certificate is shown by new handshakes within 5 s, and no open stream is lost', async () => {
    const next = await issue(gateway.authority, { notAfter: new Date(Date.now() + 41.5 * DAY), keyType: 'rsa' });
    const stream = beginStream(gateway, { text: 'across the swap', deltas: 100, deltaMs: 100 }, { tls: true });
    await stream.head;
    install(next);
    await shown(next.cert);
    expect(new X509Certificate(next.cert).fingerprint256).not.toBe(first);
    expect(stream.request.destroyed).toBe(false);
    expect(readStream((await stream.answer).text)).toMatchObject({ text: 'across the swap', complete: true });
    await gateway.waitForLine((line) => Math.floor(Number(line['CertificateDaysToExpiry'])) === 41);
    expect(gateway.errorLog()).not.toContain('refused');
  });

  test.each(Object.entries(bad))(
    'one that is %s is refused with its reason, and the old one serves on',
    async (_what, make) => {
      // Also mends what the test before left behind.
      const good = await issue(gateway.authority);
      install(good);
      await shown(good.cert);
      const refusedBefore = refused();
      const logBefore = gateway.errorLog().length;

      const { said, ...files } = await make(good, gateway.authority);
      install(files);
      await eventually(() => (said.test(gateway.errorLog().slice(logBefore)) ? true : undefined), 10_000);
      expect(gateway.errorLog().slice(logBefore)).toContain('; the old one serves on');
      await eventually(() => (refused() > refusedBefore ? true : undefined), 10_000);
      await shown(good.cert);
      expect(refused()).toBe(refusedBefore + 1);
      expect(
        gateway
          .errorLog()
          .slice(logBefore)
          .match(/refused/g),
      ).toHaveLength(1);
    },
  );

  test('workers that are born while the files are bad serve the last good one', async () => {
    const good = await issue(gateway.authority);
    install(good);
    await shown(good.cert);
    install({ chain: 'no certificate', key: good.key });
    await Promise.all(load.map((each) => each.stop()));
    const before = gateway.nginx.workers();
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await eventually(() => {
      const workers = gateway.nginx.workers();
      return workers.length === 2 && workers.every((pid) => !before.includes(pid)) ? true : undefined;
    });
    expect((await handshake(gateway)).fingerprint).toBe(new X509Certificate(good.cert).fingerprint256);
    await shown(good.cert);
  });

  function refused(): number {
    return gateway.lines().reduce((sum, line) => sum + Number(line['CertificateRefused'] ?? 0), 0);
  }
});

describe('at the start', () => {
  const startable = Object.entries(bad).filter(([what]) => what !== 'missing');

  test.each(startable)('one that is %s keeps the gateway from starting, with the reason', async (_what, make) => {
    const own = await authority();
    const { chain = '', key = '', said } = await make(await issue(own), own);
    const problem = await startGateway({ certificate: { chain, key } }).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(UserError);
    const { message } = problem as UserError;
    expect(`refused: ${message}`).toMatch(new RegExp(said.source.replace('refused: ', 'refused: .*'), said.flags));
    expect(message).toMatch(/^nginx (refuses the configuration|does not start): [^\n]+$/);
  });
});
