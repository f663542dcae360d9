import { createAuthority, issueLeaf, type Authority, type LeafOptions } from '../../local/pki';
import { authority, startGateway, UPSTREAM_HOST } from './harness';
import { beginStream, send } from './support/http-client';

const DAY = 86_400_000;

/** Certificates with which somebody might stand in for the upstream. */
const impostors: Readonly<Record<string, (own: Authority) => Promise<LeafOptions>>> = {
  'the name of another host': (own) => Promise.resolve({ authority: own, hosts: ['other.claude.test', '127.0.0.1'] }),
  'an authority that is not trusted': async () => ({ authority: await createAuthority(), hosts: [UPSTREAM_HOST] }),
  'a date that has passed': (own) =>
    Promise.resolve({
      authority: own,
      hosts: [UPSTREAM_HOST],
      notBefore: new Date(Date.now() - 2 * DAY),
      notAfter: new Date(Date.now() - DAY),
    }),
};

test.each(Object.entries(impostors))(
  'an upstream with %s gets no request, and the client a 502',
  async (_what, make) => {
    const leaf = await issueLeaf(await make(await authority()));
    const gateway = await startGateway({ mock: { tls: { cert: leaf.chain, key: leaf.key } } });
    try {
      for (const path of ['/v1/messages', '/v1/files']) {
        const answer = await send(gateway, { path });
        expect(answer.status).toBe(502);
        expect(JSON.parse(answer.text)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
        expect(answer.headers['request-id']).toMatch(/^req_/);
      }
      expect(gateway.mock.requests()).toEqual([]);
      await gateway.waitForLog(/upstream SSL certificate (verify error|does not match)/);
      await gateway.waitForLine((line) => line['refusal'] === 'upstream_unreachable' && line['status'] === 502);
    } finally {
      await gateway.stop();
    }
  },
);

describe('connections to the upstream', () => {
  test('are kept: 200 requests one after the other use no more of them than there are workers', async () => {
    const gateway = await startGateway({ workers: 2 });
    try {
      for (let i = 0; i < 200; i += 1) expect((await send(gateway)).status).toBe(200);
      const used = new Set(gateway.mock.requests().map(({ connection }) => connection));
      expect(gateway.mock.requests()).toHaveLength(200);
      expect(used.size).toBeLessThanOrEqual(2);
      expect(gateway.mock.connections()).toBeLessThanOrEqual(2);
      const [first] = gateway.mock.requests();
      expect(first).toMatchObject({ servername: UPSTREAM_HOST, tlsProtocol: 'TLSv1.3' });
      expect(first?.headers['host']).toBe(`${UPSTREAM_HOST}:${gateway.mock.port}`);
    } finally {
      await gateway.stop();
    }
  });

  test('are used again after streams and errors, and not after one that was cut', async () => {
    const gateway = await startGateway({ workers: 1 });
    try {
      await beginStream(gateway, {}).answer;
      expect((await send(gateway, { script: { status: 529 } })).status).toBe(529);
      await expect(beginStream(gateway, { cut: { afterEvents: 2 } }).answer).rejects.toThrow();
      expect((await send(gateway)).status).toBe(200);
      expect(gateway.mock.requests().map(({ connection }) => connection)).toEqual([1, 1, 1, 2]);
    } finally {
      await gateway.stop();
    }
  });
});
