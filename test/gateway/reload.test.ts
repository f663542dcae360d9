import { writeFileSync } from 'node:fs';
import http from 'node:http';

import { issueLeaf } from '../../local/pki';
import { UserError } from '../../local/user-error';
import { eventually, sleep, startGateway, type TestGateway } from './harness';
import {
  beginStream,
  headersOf,
  messageBody,
  readStream,
  send,
  type Answer,
  type Exchange,
} from './support/http-client';
import { sendByFetch, startLoad } from './support/load';
import { connectRaw, type RawClient } from './support/raw-client';

const STREAMS = 100;

/** A change that can be seen from outside: 2 KB to another route are taken before, refused with 413 after. */
const CHANGED = { bodies: { other: 1024 } };

async function statusOf2Kb(gateway: TestGateway): Promise<number> {
  return (await send(gateway, { path: '/v1/echo', body: 'x'.repeat(2048) })).status;
}

/** Reloads, and waits until new connections are served by the new configuration. */
async function reload(gateway: TestGateway): Promise<void> {
  await gateway.nginx.reload(gateway.resolve(CHANGED));
  await eventually(async () => ((await statusOf2Kb(gateway)) === 413 ? true : undefined), 10_000);
}

/** Streams of some seconds, half of them over TLS, all of them under way. */
async function openStreams(gateway: TestGateway): Promise<{ text: string; exchange: Exchange }[]> {
  const streams = Array.from({ length: STREAMS }, (_, index) => {
    const text = `stream ${index} `.repeat(20);
    return { text, exchange: beginStream(gateway, { text, deltas: 40, deltaMs: 100 }, { tls: index % 2 === 0 }) };
  });
  await eventually(() => (streams.every(({ exchange }) => exchange.bytes() > 0) ? true : undefined), 20_000);
  return streams;
}

/** Each stream came to its end with every byte that the mock sent. */
async function expectWhole(gateway: TestGateway, streams: { text: string; exchange: Exchange }[]): Promise<void> {
  const sent = new Map(gateway.mock.requests().map((record) => [record.requestId, record]));
  for (const { text, exchange } of streams) {
    const answer = await exchange.answer;
    expect(answer.status).toBe(200);
    expect(readStream(answer.text)).toEqual({ text, complete: true, error: undefined });
    const record = sent.get(String(answer.headers['request-id']));
    expect(record?.sentBytes).toBe(Buffer.byteLength(answer.text));
    expect(record?.aborted).toBe(false);
  }
}

interface HalfRequest {
  readonly client: RawClient;
  readonly rest: string;
}

/** Requests of which the first bytes have arrived: in the request line, in the headers, in a body that is kept, in one that streams. */
async function halfRequests(gateway: TestGateway): Promise<HalfRequest[]> {
  const headers = Object.entries({ ...headersOf(gateway), host: 'gateway' })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const body = messageBody();
  const message = `POST /v1/messages HTTP/1.1\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;
  const echo = `POST /v1/files/echo HTTP/1.1\r\n${headers}content-length: 20\r\n\r\n${'x'.repeat(20)}`;
  const cuts: [string, number][] = [
    [message, 6],
    [message, message.indexOf('x-api-key') + 20],
    [message, message.length - 10],
    [echo, echo.length - 10],
  ];
  const halves = await Promise.all(
    cuts.map(async ([text, at]) => {
      const client = await connectRaw(gateway.httpPort);
      client.write(text.slice(0, at));
      return { client, rest: text.slice(at) };
    }),
  );
  // Accepted and read: the unbuffered one has reached the mock by then.
  await eventually(() => gateway.mock.requests().find(({ url }) => url === '/v1/files/echo'));
  return halves;
}

/** Each is answered by the mock once the rest has come; `connection: close` tells the client not to stay. */
async function expectAnswered(halves: readonly HalfRequest[]): Promise<void> {
  for (const { client, rest } of halves) client.write(rest);
  const answers = await Promise.all(halves.map(({ client }) => client.closed));
  expect(answers.map((text) => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1])).toEqual(['200', '200', '200', '405']);
  for (const text of answers) expect(text).toMatch(/^x-mock-name: mock-claude\r$/im);
}

describe('a reload', () => {
  let gateway: TestGateway;
  beforeEach(async () => {
    gateway = await startGateway();
  });
  afterEach(() => gateway.stop());

  test('loses no byte of 100 open streams, and no request whose first bytes had arrived', async () => {
    const streams = await openStreams(gateway);
    const halves = await halfRequests(gateway);
    await reload(gateway);
    await expectAnswered(halves);
    await expectWhole(gateway, streams);
  });

  test('fails no request of keep-alive clients under load', async () => {
    const loads = [
      startLoad(gateway, { clients: 24, pauseMs: 5 }),
      startLoad(gateway, { clients: 8, tls: true }),
      startLoad(gateway, { clients: 8, pauseMs: 3, sender: sendByFetch }),
    ];
    const configs = [CHANGED, {}, CHANGED];
    for (const config of configs) {
      await gateway.nginx.reload(gateway.resolve(config));
      const before = loads.map((load) => load.succeeded());
      await eventually(
        () => (loads.every((load, i) => load.succeeded() > (before[i] ?? 0) + 100) ? true : undefined),
        20_000,
      );
    }
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap((load) => load.failures())).toEqual([]);
  });

  test('serves idle connections for a while and asks their clients to leave', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const get = (path: string): Promise<Answer> => send(gateway, { agent, method: 'GET', path });
    expect((await get('/v1/models')).headers.connection).toBe('keep-alive');
    const old = gateway.nginx.workers();
    const socket = Object.values(agent.freeSockets).flat()[0];
    await reload(gateway);
    // New workers serve some milliseconds before the old ones see it.
    await eventually(async () => {
      const ready = await get('/readyz');
      expect(ready.status).toBe(200);
      return ready.headers.connection === 'close' ? true : undefined;
    });
    // Answered on the old connection, which the client then left.
    await eventually(() => (socket?.destroyed === true ? true : undefined));
    agent.destroy();
    await eventually(() => (gateway.nginx.workers().some((pid) => old.includes(pid)) ? undefined : true), 15_000);
    expect(gateway.nginx.workers()).toHaveLength(2);
  });

  test.each([
    ['an environment that nginx cannot take', 'no-such-ca.pem', undefined],
    ['a key on disk that does not match', undefined, 'key values mismatch'],
    ['a certificate on disk that has expired', undefined, 'has expired'],
  ])('is refused with one message for %s, and the old configuration serves on', async (_what, caFile, reason) => {
    const good = gateway.resolve(CHANGED);
    const load = startLoad(gateway, { clients: 4 });
    if (reason === 'key values mismatch') writeFileSync(gateway.files.key, gateway.authority.intermediate.key);
    if (reason === 'has expired') {
      const past = { notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() - 3_600_000) };
      const leaf = await issueLeaf({ authority: gateway.authority, hosts: ['localhost'], ...past });
      writeFileSync(gateway.files.key, leaf.key);
      writeFileSync(gateway.files.chain, leaf.chain);
    }
    const upstreams = caFile === undefined ? good.upstreams : good.upstreams.map((each) => ({ ...each, caFile }));
    const problem = await gateway.nginx.reload({ ...good, upstreams }).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(UserError);
    expect((problem as UserError).message).toMatch(/^nginx refuses the configuration: [^\n]*$/);
    expect((problem as UserError).message).toContain(reason ?? caFile);
    // Whoever sends SIGHUP by hand gets the old one too: the rendered files were not replaced.
    process.kill(gateway.nginx.pid, 'SIGHUP');
    await sleep(300);
    expect(await statusOf2Kb(gateway)).toBe(200);
    await load.stop();
    expect(load.failures()).toEqual([]);
    expect(load.succeeded()).toBeGreaterThan(0);
  });
});

describe('a graceful stop', () => {
  let gateway: TestGateway;
  beforeEach(async () => {
    gateway = await startGateway();
  });
  afterEach(() => gateway.stop());

  test('loses no byte of 100 open streams, and no request whose first bytes had arrived', async () => {
    const streams = await openStreams(gateway);
    const halves = await halfRequests(gateway);
    const stopped = gateway.nginx.stop(30_000);
    await eventually(
      () =>
        fetch(`${gateway.baseUrl}/healthz`).then(
          () => undefined,
          () => true as const,
        ),
      10_000,
    );
    await expectAnswered(halves);
    await expectWhole(gateway, streams);
    await stopped;
    expect(gateway.errorLog()).not.toMatch(/\[(error|crit|alert|emerg)\]/);
  });

  test('answers under load every request that reached the upstream', async () => {
    const load = startLoad(gateway, { clients: 16, script: { delayMs: 50 } });
    await eventually(() => (load.succeeded() > 50 ? true : undefined), 20_000);
    await gateway.nginx.stop(10_000);
    await load.stop();
    const requests = gateway.mock.requests();
    expect(requests.filter(({ aborted }) => aborted)).toEqual([]);
    expect(load.succeeded()).toBe(requests.length);
  });

  test('cuts what is left when the time is up', async () => {
    const exchange = beginStream(gateway, { silence: { ms: 60_000 } });
    await exchange.head;
    await gateway.nginx.stop(300);
    await expect(exchange.answer).rejects.toThrow();
  });
});
