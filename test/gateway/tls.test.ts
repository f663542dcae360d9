import { constants } from 'node:crypto';

import { startGateway, type TestGateway } from './harness';
import { handshake } from './support/tls-client';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.stop());

/** The client itself would take anything. */
const LAX = { ciphers: 'ALL:@SECLEVEL=0', secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT };

test.each(['TLSv1', 'TLSv1.1'] as const)('%s is refused', async (version) => {
  await expect(handshake(gateway, { ...LAX, minVersion: version, maxVersion: version })).rejects.toThrow(
    /alert protocol version/,
  );
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is taken, with forward secrecy and AEAD', async (version) => {
  const agreed = await handshake(gateway, { minVersion: version, maxVersion: version });
  expect(agreed.protocol).toBe(version);
  expect(agreed.cipher).toMatch(/^(TLS_AES_|TLS_CHACHA20_|ECDHE-ECDSA-(AES\d+-GCM|CHACHA20))/);
});

test.each(['AES128-SHA', 'ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256', 'NULL'])(
  'the old suite %s is refused',
  async (suite) => {
    const options = { ...LAX, ciphers: `${suite}:@SECLEVEL=0`, maxVersion: 'TLSv1.2' as const };
    await expect(handshake(gateway, options)).rejects.toThrow(/handshake failure|no cipher/);
  },
);

test.each([
  [['h2', 'http/1.1'], 'h2'],
  [['http/1.1'], 'http/1.1'],
])('a client that offers %j gets %s', async (offered, agreed) => {
  expect((await handshake(gateway, { ALPNProtocols: offered })).alpn).toBe(agreed);
});

test.each([
  ['TLS 1.2, by the session cache', { maxVersion: 'TLSv1.2' as const, secureOptions: constants.SSL_OP_NO_TICKET }],
  ['TLS 1.2, by a ticket', { maxVersion: 'TLSv1.2' as const }],
  ['TLS 1.3, by a ticket', {}],
])('a session is resumed on whichever worker: %s', async (_what, options) => {
  const first = await handshake(gateway, options);
  expect(first.resumed).toBe(false);
  expect(first.session).toBeDefined();
  for (let i = 0; i < 8; i += 1) {
    const again = await handshake(gateway, {
      ...options,
      ...(first.session === undefined ? {} : { session: first.session }),
    });
    expect(again.resumed).toBe(true);
  }
});
