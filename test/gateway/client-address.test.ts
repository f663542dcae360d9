import http from 'node:http';

import { freePort } from '../../local/ports';
import { eventually, startGateway, type TestGateway } from './harness';
import { headersOf } from './support/http-client';

/** What the access record says of a request with these X-Forwarded-For lines, sent from an address of this machine. */
async function clientAddress(gateway: TestGateway, from: string, forwardedFor: readonly string[]): Promise<unknown> {
  const marker = `test/${process.hrtime.bigint()}`;
  const url = from === '::1' ? `http://[::1]:${gateway.httpPort}` : gateway.baseUrl;
  await new Promise<void>((done, fail) => {
    const request = http.get(
      `${url}/v1/models`,
      {
        agent: false,
        localAddress: from,
        headers: {
          ...headersOf(gateway, { headers: { 'user-agent': marker } }),
          ...(forwardedFor.length > 0 ? { 'x-forwarded-for': [...forwardedFor] } : {}),
        },
      },
      (response) => {
        response.resume().once('end', done);
      },
    );
    request.once('error', fail);
  });
  return (await gateway.waitForLine((line) => line['userAgent'] === marker))['clientAddress'];
}

async function start(trustedHops: string[], singleHop = false): Promise<TestGateway> {
  const port = await freePort();
  const gateway = await startGateway({
    config: { clientAddress: { trustedHops } },
    placement: { singleHop, httpListen: [`127.0.0.1:${port}`, `[::1]:${port}`] },
    waitReady: false,
  });
  const baseUrl = `http://127.0.0.1:${port}`;
  await eventually(async () => ((await fetch(`${baseUrl}/readyz`)).status === 200 ? true : undefined));
  return { ...gateway, httpPort: port, baseUrl };
}

describe('without a trusted hop', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await start([]);
  });
  afterAll(() => gateway.stop());

  test('a client is seen at its own address, whatever it says', async () => {
    const cases = [
      ['127.0.0.1', []],
      ['127.0.0.1', ['203.0.113.9']],
      ['127.0.0.9', ['203.0.113.9', '127.0.0.1']],
      ['::1', ['2001:db8::9']],
    ] as const;
    const seen = await Promise.all(cases.map(([from, forwardedFor]) => clientAddress(gateway, from, forwardedFor)));
    expect(seen).toEqual(cases.map(([from]) => from));
  });
});

describe('with one hop, in a range that clients are in too', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await start(['127.0.0.0/8', '10.0.0.0/8'], true);
  });
  afterAll(() => gateway.stop());

  test.each([
    ['what the hop appended', ['203.0.113.9'], '203.0.113.9'],
    ['a client of that range that forges another address', ['203.0.113.9, 10.1.2.3'], '10.1.2.3'],
  ])('%s: %j is seen as %s', async (_what, forwardedFor, seen) => {
    expect(await clientAddress(gateway, '127.0.0.1', forwardedFor)).toBe(seen);
  });
});

describe('with trusted hops', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await start(['127.0.0.8/29', '10.0.0.0/8', '::1/128', '2001:db8:1::/48']);
  });
  afterAll(() => gateway.stop());

  test('the client is the last address before them', async () => {
    const cases = [
      ['one hop', '127.0.0.9', ['203.0.113.9'], '203.0.113.9'],
      ['a chain of trusted hops', '127.0.0.9', ['203.0.113.9, 10.1.2.3, 10.1.2.4'], '203.0.113.9'],
      ['what the client forged before it', '127.0.0.9', ['198.51.100.1, 203.0.113.9, 10.1.2.3'], '203.0.113.9'],
      ['forged lines of its own', '127.0.0.9', ['198.51.100.1', '203.0.113.9'], '203.0.113.9'],
      ['a trusted address forged at the front', '127.0.0.9', ['10.9.9.9, 203.0.113.9'], '203.0.113.9'],
      ['an IPv6 client', '127.0.0.9', ['2001:db8:2::7'], '2001:db8:2::7'],
      ['an IPv6 hop', '::1', ['203.0.113.9, 2001:db8:1::5'], '203.0.113.9'],
      ['no address', '127.0.0.9', ['unknown'], '127.0.0.9'],
      ['nothing', '127.0.0.9', [], '127.0.0.9'],
      ['an untrusted peer', '127.0.0.1', ['203.0.113.9'], '127.0.0.1'],
      ['an untrusted peer that names a trusted hop', '127.0.0.1', ['203.0.113.9, 10.1.2.3'], '127.0.0.1'],
    ] as const;
    const seen = await Promise.all(
      cases.map(async ([what, from, forwardedFor]) => [what, await clientAddress(gateway, from, forwardedFor)]),
    );
    expect(seen).toEqual(cases.map(([what, , , address]) => [what, address]));
  });

  test('what the hops say of the client does not reach the upstream', () => {
    const names = gateway.mock.requests().flatMap(({ headers }) => Object.keys(headers));
    expect(names).toContain('user-agent');
    expect(names.filter((name) => /forwarded|real-ip|^via$/.test(name))).toEqual([]);
  });
});
