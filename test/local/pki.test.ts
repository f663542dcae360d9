import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { connect } from 'node:tls';
import { promisify } from 'node:util';

import { type Authority, createAuthority, ensureLocalPki, issueLeaf } from '../../local/pki';
import { Sandbox } from './sandbox';

const execute = promisify(execFile);
const day = 86_400_000;
const sandbox = new Sandbox();
let authority: Authority;

beforeAll(async () => {
  authority = await createAuthority({ name: 'Test' });
});
afterAll(() => {
  sandbox.remove();
});

/** Serves TLS for a moment. */
async function serving<T>(cert: string, key: string, use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer({ cert, key }, (_, response) => response.end('hello'));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  try {
    if (address === null || typeof address === 'string') throw new Error('no port');
    return await use(address.port);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** 'verified', or the code of what is wrong. */
function handshake(port: number, ca: string, servername: string): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ host: '127.0.0.1', port, ca, servername }, () => {
      socket.destroy();
      done('verified');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      done(error.code ?? error.message);
    });
  });
}

describe('issueLeaf', () => {
  it.each(['ec', 'rsa'] as const)('makes an %s certificate that OpenSSL verifies strictly', async (keyType) => {
    const leaf = await issueLeaf({ authority, hosts: ['gateway.example', 'localhost', '127.0.0.1', '::1'], keyType });
    sandbox.write('ca.pem', authority.root);
    sandbox.write('intermediate.pem', authority.intermediate.cert);
    sandbox.write('leaf.pem', leaf.cert);
    const { stdout } = await execute(
      'openssl',
      [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-verify_ip',
        '::1',
        '-CAfile',
        'ca.pem',
        '-untrusted',
        'intermediate.pem',
        'leaf.pem',
      ],
      { cwd: sandbox.dir },
    );
    expect(stdout).toBe('leaf.pem: OK\n');

    const certificate = new X509Certificate(leaf.cert);
    expect(createPrivateKey(leaf.key).asymmetricKeyType).toBe(keyType);
    expect(certificate.checkPrivateKey(createPrivateKey(leaf.key))).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subject).toBe('CN=gateway.example');
    expect(certificate.subjectAltName).toBe(
      'DNS:gateway.example, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(leaf.chain).toBe(leaf.cert + authority.intermediate.cert);
  });

  it('verifies in Node and in curl, by name and by address', async () => {
    const leaf = await issueLeaf({ authority, hosts: ['localhost', '127.0.0.1'] });
    const caFile = sandbox.write('ca.pem', authority.root);
    await serving(leaf.chain, leaf.key, async (port) => {
      expect(await handshake(port, authority.root, 'localhost')).toBe('verified');
      expect(await handshake(port, authority.root, 'elsewhere.example')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
      for (const host of ['localhost', '127.0.0.1']) {
        const { stdout } = await execute('curl', [
          '-sS',
          '--noproxy',
          '*',
          '-4',
          '--cacert',
          caFile,
          `https://${host}:${port}/`,
        ]);
        expect(stdout).toBe('hello');
      }
    });
  });

  it('makes the bad ones that tests need', async () => {
    const good = await issueLeaf({ authority, hosts: ['localhost'] });
    await serving(good.cert, good.key, async (port) => {
      expect(await handshake(port, authority.root, 'localhost')).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    });

    const expired = await issueLeaf({
      authority,
      hosts: ['localhost'],
      notBefore: new Date(Date.now() - 2 * day),
      notAfter: new Date(Date.now() - day),
    });
    await serving(expired.chain, expired.key, async (port) => {
      expect(await handshake(port, authority.root, 'localhost')).toBe('CERT_HAS_EXPIRED');
    });

    const other = await createAuthority();
    await serving(good.chain, good.key, async (port) => {
      expect(await handshake(port, other.root, 'localhost')).toMatch(/SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/);
    });
    expect(new X509Certificate(good.cert).checkPrivateKey(createPrivateKey(expired.key))).toBe(false);
  });

  it('ends no later than its authority', async () => {
    const short = await createAuthority({ notAfter: new Date(Date.now() + 40 * day) });
    const leaf = await issueLeaf({ authority: short, hosts: ['localhost'] });
    expect(new X509Certificate(leaf.cert).validTo).toBe(new X509Certificate(short.root).validTo);
  });
});

describe('ensureLocalPki', () => {
  const contents = (files: readonly string[]) => files.map((file) => readFileSync(file, 'utf8'));

  it('makes certificates once, that only their owner can take the keys of', async () => {
    const dir = sandbox.path('.causeway', 'pki');
    const [first, second] = await Promise.all([ensureLocalPki(dir), ensureLocalPki(dir)]);
    const all = [first.caFile, ...[first.gateway, first.mock].flatMap((files) => [files.certFile, files.keyFile])];
    const before = contents(all);
    expect(second.authority).toEqual(first.authority);
    await ensureLocalPki(dir);
    expect(contents(all)).toEqual(before);

    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    expect(mode(dir)).toBe('700');
    expect([first.gateway.keyFile, first.mock.keyFile, `${dir}/intermediate.key`].map(mode)).toEqual([
      '600',
      '600',
      '600',
    ]);
    for (const files of [first.gateway, first.mock]) {
      const [cert = '', key = ''] = contents([files.certFile, files.keyFile]);
      await serving(cert, key, async (port) => {
        expect(await handshake(port, readFileSync(first.caFile, 'utf8'), 'localhost')).toBe('verified');
      });
    }
  });

  it('replaces what is about to expire, and no more than that', async () => {
    const dir = sandbox.path('renewed');
    const start = new Date(Date.now() - 380 * day);
    const old = await ensureLocalPki(dir, start);
    const [oldCa, oldCert] = contents([old.caFile, old.gateway.certFile]);
    const inTime = new Date(start.getTime() + 366 * day);
    await ensureLocalPki(dir, inTime);
    expect(contents([old.gateway.certFile])).toEqual([oldCert]);
    await ensureLocalPki(dir);
    const [ca, cert = ''] = contents([old.caFile, old.gateway.certFile]);
    expect(ca).toBe(oldCa);
    expect(cert).not.toBe(oldCert);
    expect(Date.parse(new X509Certificate(cert).validTo) - Date.now()).toBeGreaterThan(300 * day);
  });

  it('mends what does not hold together', async () => {
    const dir = sandbox.path('mended');
    const { gateway, mock, caFile } = await ensureLocalPki(dir);
    const [ca = '', cert = ''] = contents([caFile, gateway.certFile]);
    writeFileSync(gateway.keyFile, readFileSync(mock.keyFile));
    await ensureLocalPki(dir);
    const [mendedCert = '', mendedKey = ''] = contents([gateway.certFile, gateway.keyFile]);
    expect(mendedCert).not.toBe(cert);
    expect(new X509Certificate(mendedCert).checkPrivateKey(createPrivateKey(mendedKey))).toBe(true);

    writeFileSync(caFile, ca.slice(0, 100));
    const fresh = await ensureLocalPki(dir);
    const [freshCert = '', freshKey = ''] = contents([gateway.certFile, gateway.keyFile]);
    await serving(freshCert, freshKey, async (port) => {
      expect(await handshake(port, fresh.authority.root, 'localhost')).toBe('verified');
    });
  });
});
