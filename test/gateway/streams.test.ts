import http from 'node:http';
import http2 from 'node:http2';

import type { RecordedRequest } from '../../local/mock-claude/server';
import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { begin, beginStream, headersOf, messageBody, readStream, type Exchange } from './support/http-client';
import { peakMegabytes } from './support/workers';

/** Longer than any default of nginx, Node or a load balancer: those are 60 s. */
const SILENCE_MS = 65_000;

let gateway: TestGateway;
let patient: Exchange;
beforeAll(async () => {
  gateway = await startGateway();
  // It only waits, so the other tests run meanwhile; the last one looks at it.
  patient = beginStream(gateway, { text: 'before and after', deltas: 4, silence: { ms: SILENCE_MS, afterEvents: 4 } });
  await eventually(() => (patient.bytes() > 0 ? true : undefined));
});
afterAll(() => gateway.stop());

function recordsOf(marker: string): RecordedRequest[] {
  return gateway.mock.requests().filter(({ headers }) => headers['x-test'] === marker);
}

describe('a client that leaves', () => {
  const script = {
    'before the headers': { hang: true },
    'in the middle of the stream': { silence: { ms: 600_000, afterEvents: 3 } },
    'while the stream flows': { deltas: 10_000, deltaMs: 5 },
  };

  /** Sends the request, leaves once it has arrived (and once bytes came, if any will), and tells when. */
  const leave = {
    'HTTP/1.1': async (marker: string, what: keyof typeof script): Promise<number> => {
      const exchange = beginStream(gateway, script[what], { headers: { 'x-test': marker } });
      await eventually(() => recordsOf(marker)[0]);
      if (what !== 'before the headers') await eventually(() => (exchange.bytes() > 0 ? true : undefined));
      exchange.request.destroy();
      return Date.now();
    },
    'HTTP/2': async (marker: string, what: keyof typeof script): Promise<number> => {
      const session = http2.connect(gateway.tlsUrl, { ca: gateway.authority.root });
      const headers = headersOf(gateway, { script: script[what], headers: { 'x-test': marker } });
      const stream = session.request({ ':method': 'POST', ':path': '/v1/messages', ...headers });
      let bytes = 0;
      stream.on('data', (data: Buffer) => (bytes += data.length));
      stream.on('error', () => undefined);
      stream.end(messageBody({ stream: true }));
      await eventually(() => recordsOf(marker)[0]);
      if (what !== 'before the headers') await eventually(() => (bytes > 0 ? true : undefined));
      // One stream is given up; the connection, on which others may run, stays.
      stream.close(http2.constants.NGHTTP2_CANCEL);
      const left = Date.now();
      void eventually(() => recordsOf(marker)[0]?.abortedTime).finally(() => {
        session.close();
      });
      return left;
    },
  };

  test.each(
    (Object.keys(leave) as (keyof typeof leave)[]).flatMap((protocol) =>
      (Object.keys(script) as (keyof typeof script)[]).map((what) => [protocol, what] as const),
    ),
  )('over %s %s ends the upstream request within a second', async (protocol, what) => {
    const marker = `${protocol} ${what}`;
    const left = await leave[protocol](marker, what);
    const aborted = await eventually(() => recordsOf(marker)[0]?.abortedTime);
    expect(aborted - left).toBeLessThan(1000);
    expect(recordsOf(marker)).toHaveLength(1);
    const upstreamRequestId = what === 'before the headers' ? undefined : recordsOf(marker)[0]?.requestId;
    const line = await gateway.waitForLine(
      (each) =>
        each['status'] === 499 &&
        each['protocol'] === (protocol === 'HTTP/2' ? 'HTTP/2.0' : protocol) &&
        each['upstreamRequestId'] === upstreamRequestId,
    );
    expect(line).toMatchObject({ aborted: true, consumer: 'team-a', ClientAborts: 1 });
  });
});

describe('silence', () => {
  let impatient: TestGateway;
  beforeAll(async () => {
    impatient = await startGateway({ config: { timeouts: { upstream: { readSeconds: { generate: 2 } } } } });
  });
  afterAll(() => impatient.stop());

  test('shorter than the configured bound is delivered', async () => {
    const stream = beginStream(impatient, { text: 'on it goes', silence: { ms: 1000, afterEvents: 4 } });
    expect(readStream((await stream.answer).text)).toEqual({ text: 'on it goes', complete: true, error: undefined });
  });

  test('longer than the configured bound in mid-stream cuts the stream, so that it is not taken for a whole one', async () => {
    const stream = beginStream(impatient, { silence: { ms: 6000, afterEvents: 4 } });
    expect((await stream.head).statusCode).toBe(200);
    await expect(stream.answer).rejects.toThrow(/aborted/);
    expect(stream.bytes()).toBeGreaterThan(0);
  });

  test('longer than the configured bound before the headers is 504 in the shape of the API', async () => {
    const answer = await begin(impatient, { script: { delayMs: 6000 } }).answer;
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'error', error: { type: 'timeout_error' } });
    expect(answer.headers['request-id']).toMatch(/^req_/);
  });
});

describe('memory', () => {
  let small: TestGateway;
  beforeAll(async () => {
    small = await startGateway();
  });
  afterAll(() => small.stop());

  test('stays flat while 100 streams drip and a slow client reads 200 MB', async () => {
    const bytes = 200_000_000;
    const dripping = Array.from({ length: 100 }, (_, index) =>
      beginStream(small, { text: `drop ${index} `.repeat(10), deltas: 50, drip: { bytes: 40, ms: 10 } }),
    );
    await eventually(() => (dripping.every((stream) => stream.bytes() > 0) ? true : undefined), 20_000);
    const before = Math.max(...small.nginx.workers().map(peakMegabytes));

    const { received, paused } = await readSlowly(small, bytes);
    expect(received).toBe(bytes);
    // The test really held the gateway up, and the gateway the mock.
    expect(paused).toBeGreaterThan(10);
    for (const [index, stream] of dripping.entries()) {
      const whole = { text: `drop ${index} `.repeat(10), complete: true, error: undefined };
      expect(readStream((await stream.answer).text)).toEqual(whole);
    }
    const after = Math.max(...small.nginx.workers().map(peakMegabytes));
    expect(after - before).toBeLessThan(10);
  });
});

/** Reads an answer with a pause each 5 MB. */
async function readSlowly(from: TestGateway, size: number): Promise<{ received: number; paused: number }> {
  const exchange = http.request(`${from.baseUrl}/v1/messages`, {
    method: 'POST',
    agent: false,
    headers: headersOf(from, { script: { sizeBytes: size } }),
  });
  exchange.end(messageBody());
  const response = await new Promise<http.IncomingMessage>((settle, reject) => {
    exchange.once('response', settle);
    exchange.once('error', reject);
  });
  let received = 0;
  let paused = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    received += chunk.length;
    if (Math.floor(received / 5_000_000) > paused) {
      paused += 1;
      await sleep(50);
    }
  }
  return { received, paused };
}

// Last, as it takes longest; begun before all others.
test(
  'a stream that is silent for longer than any default timeout goes on and is delivered whole',
  async () => {
    const answer = await patient.answer;
    expect(readStream(answer.text)).toEqual({ text: 'before and after', complete: true, error: undefined });
    // The mock notes the end once its own socket says so, which may be after the client has it all.
    const endTime = await eventually(() => gateway.mock.requests()[0]?.endTime);
    const record = gateway.mock.requests()[0];
    expect(endTime - (record?.time ?? 0)).toBeGreaterThanOrEqual(SILENCE_MS);
    expect(record?.sentBytes).toBe(Buffer.byteLength(answer.text));
  },
  SILENCE_MS + 30_000,
);
