import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startMockClaude, type MockClaude, type MockScript } from '../../local/mock-claude/server';
import { issueLeaf } from '../../local/pki';
import { authority, eventually, startGateway, UPSTREAM_HOST, UPSTREAM_SECRET, type TestGateway } from './harness';
import { beginStream, headersOf, messageBody, readStream, send } from './support/http-client';
import { startDnsServer, type DnsBehaviour, type DnsServer } from './support/dns-server';
import { startLoad } from './support/load';

const [OLD, NEW, DEAD] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const TTL = 2;

let dns: DnsServer;
let gateway: TestGateway;
let second: MockClaude;
let directory: string;

interface StartOptions {
  /** @default true */
  readonly waitReady?: boolean;
  /** Where the DNS server listens. @default '127.0.0.1' */
  readonly host?: '127.0.0.1' | '::1';
  /** Further DNS servers of the gateway, before that one. @default [] */
  readonly others?: readonly string[];
  /** One worker that has few connections. @default false */
  readonly scarce?: boolean;
}

/** A gateway that finds its upstream by DNS, and a second mock on the same port of another address. */
async function start(
  first: DnsBehaviour,
  { waitReady = true, host = '127.0.0.1', others = [], scarce = false }: StartOptions = {},
): Promise<void> {
  dns = await startDnsServer(first, host);
  const ca = await authority();
  const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST], authority: ca });
  const tls = { cert: leaf.chain, key: leaf.key };
  directory = mkdtempSync(join(tmpdir(), 'causeway-dns-'));
  const caFile = join(directory, 'ca.pem');
  writeFileSync(caFile, ca.root);
  second = await startMockClaude({ host: NEW, name: 'second', requireKeys: [UPSTREAM_SECRET], tls });
  gateway = await startGateway({
    mock: { host: OLD, port: second.port, tls },
    config: {
      upstreams: [
        {
          ...{ id: 'mock', host: UPSTREAM_HOST, port: second.port, caFile },
          // Idle ones would hold for a minute what is scarce.
          ...(scarce ? { keepaliveConnections: 8 } : {}),
        },
      ],
      ...(scarce ? { limits: { workerConnections: 64 } } : {}),
    },
    ...(scarce ? { workers: 1 } : {}),
    placement: { resolvers: [...others, dns.address] },
    waitReady,
  });
}

afterEach(async () => {
  await gateway.stop();
  await second.close();
  await dns.close();
  rmSync(directory, { recursive: true });
});

async function readiness(): Promise<{ status: number; missing?: string[] }> {
  const answer = await send(gateway, { method: 'GET', path: '/readyz' });
  return { ...(JSON.parse(answer.text) as { missing?: string[] }), status: answer.status };
}

/** Waits until so many more requests were answered. */
function progress(load: { succeeded(): number }, requests: number): Promise<true> {
  const before = load.succeeded();
  return eventually(() => (load.succeeded() >= before + requests ? true : undefined), 20_000);
}

test('a changed address takes the new connections within its TTL and 5 s, and no request fails', async () => {
  await start({ addresses: [OLD], ttl: TTL });
  const load = startLoad(gateway, { clients: 8 });
  await progress(load, 100);
  expect(second.requests()).toEqual([]);
  const stream = beginStream(gateway, { text: 'from the old one', deltas: 60, deltaMs: 100 });
  await stream.head;

  dns.behave({ addresses: [NEW], ttl: TTL });
  const changed = Date.now();
  await eventually(() => (second.requests().length > 0 ? true : undefined), 15_000);
  expect((second.requests()[0]?.time ?? 0) - changed).toBeLessThan((TTL + 5) * 1000);
  await eventually(
    async () => {
      const before = gateway.mock.requests().length;
      await progress(load, 100);
      return gateway.mock.requests().length === before ? true : undefined;
    },
    (TTL + 5) * 1000,
  );
  await load.stop();
  expect(load.failures()).toEqual([]);
  // What was open stays where it was.
  expect(readStream((await stream.answer).text)).toMatchObject({ text: 'from the old one', complete: true });
  expect(new Set(dns.queries())).toEqual(new Set([UPSTREAM_HOST]));
  expect(second.requests().every(({ servername }) => servername === UPSTREAM_HOST)).toBe(true);
});

test.each(['silence', 'nxdomain', 'servfail'] as const)(
  'when DNS answers with %s the last good addresses serve on, for a worker that is born then too',
  async (behaviour) => {
    await start({ addresses: [OLD], ttl: 1 });
    const load = startLoad(gateway, { clients: 4, keepAlive: false, pauseMs: 10 });
    await progress(load, 20);
    dns.behave(behaviour);
    await gateway.waitForLog('the last good addresses serve on');
    await progress(load, 50);
    await gateway.waitForLine(
      (line) => Number(line['UpstreamDnsFailures'] ?? 0) > 0 && line['UpstreamAddresses'] === 1,
    );
    await load.stop();
    expect(load.failures()).toEqual([]);

    const before = gateway.nginx.workers();
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await eventually(() => {
      const workers = gateway.nginx.workers();
      return workers.length === before.length && workers.every((pid) => !before.includes(pid)) ? true : undefined;
    });
    const later = startLoad(gateway, { clients: 4, keepAlive: false, pauseMs: 10 });
    await progress(later, 50);
    await later.stop();
    expect(later.failures()).toEqual([]);
    expect((await readiness()).status).toBe(200);

    dns.behave({ addresses: [NEW], ttl: 1 });
    await eventually(async () => {
      await send(gateway);
      return second.requests().length > 0 ? true : undefined;
    }, 15_000);
  },
);

test('before the first answer the gateway is not ready, and says so; then it is', async () => {
  await start('silence', { waitReady: false });
  const red = await eventually(async () => {
    const state = await readiness();
    return state.missing?.join() === 'dns:mock' ? state : undefined;
  });
  expect(red.status).toBe(503);
  const refused = await send(gateway);
  expect(refused.status).toBe(502);
  expect(JSON.parse(refused.text)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
  dns.behave({ addresses: [OLD], ttl: TTL });
  await eventually(async () => ((await readiness()).status === 200 ? true : undefined), 15_000);
  expect((await send(gateway)).status).toBe(200);
});

test('of two addresses a dead one costs no request, and nothing that was sent is sent again', async () => {
  await start({ addresses: [OLD, DEAD], ttl: TTL });
  const load = startLoad(gateway, { clients: 4, keepAlive: false });
  await progress(load, 100);
  await load.stop();
  expect(load.failures()).toEqual([]);
  const tried = gateway.lines().flatMap((line) => line['upstreamAddress'] ?? []);
  expect(new Set(tried)).toEqual(new Set([`${OLD}:${gateway.mock.port}`]));

  // Both alive: an address that takes the request and then breaks the connection is not a reason to ask the other.
  dns.behave({ addresses: [OLD, NEW], ttl: TTL });
  await eventually(async () => {
    await send(gateway);
    return second.requests().length > 0 ? true : undefined;
  }, 15_000);
  const breaks: MockScript[] = [{ reset: true }, { cut: { beforeHeaders: true } }];
  for (const [index, script] of breaks.entries()) {
    const marker = `once-${index}`;
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => send(gateway, { script, headers: { 'x-test': `${marker}-${i}` } })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(502));
    const arrived = [...gateway.mock.requests(), ...second.requests()]
      .map(({ headers }) => headers['x-test'] ?? '')
      .filter((text) => text.startsWith(marker));
    expect(arrived.sort()).toEqual(Array.from({ length: 6 }, (_, i) => `${marker}-${i}`));
  }
});

test('a DNS server may have an IPv6 address, and one that no route leads to does not stand in the way of others', async () => {
  // Without a zone, no socket can be connected to a link-local address.
  await start({ addresses: [OLD], ttl: TTL }, { host: '::1', others: ['fe80::53'] });
  expect(await readiness()).toMatchObject({ status: 200 });
  expect(dns.queries()).toContain(UPSTREAM_HOST);
  expect((await send(gateway, { method: 'GET', path: '/v1/models' })).status).toBe(200);
});

test('an answer that is no DNS does not end the asking', async () => {
  await start('broken', { waitReady: false });
  await eventually(() => (dns.queries().length >= 2 * 2 ? true : undefined), 10_000);
  expect(await readiness()).toMatchObject({ status: 503 });
  dns.behave({ addresses: [OLD], ttl: TTL });
  await eventually(async () => ((await readiness()).status === 200 ? true : undefined), 10_000);
});

test('a worker that had no connection left for a while goes on asking', async () => {
  await start({ addresses: [OLD], ttl: 1 }, { scarce: true });
  const session = http2.connect(gateway.tlsUrl, { ca: gateway.authority.root });
  const headers = { ':method': 'POST', ':path': '/v1/messages', ...headersOf(gateway, { script: { delayMs: 3000 } }) };
  const ends = Array.from({ length: 200 }, () => {
    const request = session.request(headers);
    request.resume();
    request.end(messageBody());
    return once(request, 'close');
  });
  await gateway.waitForLog('lua failed to run timer');
  // Every look of the time in which nothing is left falls flat.
  await Promise.all(ends);
  session.close();
  const asked = dns.queries().length;
  await eventually(() => (dns.queries().length > asked + 1 ? true : undefined));
}, 60_000);
