import { eventually } from './harness';
import { asking, CACHEABLE } from './support/cacheable';
import { exchange, lastRequest, messageBody, sha256, type Received } from './support/exchange';
import { useGateway } from './support/gateways';
import { requestLines } from './support/metering';

const gateway = useGateway({ workers: 2, consumers: [{ id: 'team-a' }, { id: 'team-b' }] });

const calls = (): number => gateway().mock.requests().length;
const stateOf = (answer: Received): string | undefined => answer.headers['x-causeway-cache'];
/** What an outage looks like to whoever asks. */
const FAILURES = {
  'says 529': { status: 529 },
  'says 500': { status: 500 },
  'breaks the connection': { reset: true },
} as const;

describe.each(CACHEABLE)('$what', ({ what, routeClass, stream, sending }) => {
  const marked = (name: string) => sending(`${what}: ${name}`);

  it('is fetched once and then stands in memory, to the byte', async () => {
    const first = await exchange(gateway(), marked('hit'));
    const second = await exchange(gateway(), marked('hit'));
    expect([first.status, second.status]).toEqual([200, 200]);
    expect([stateOf(first), stateOf(second)]).toEqual(['MISS', 'HIT']);
    expect(sha256(second.body)).toBe(sha256(first.body));
    expect(calls()).toBe(1);
    expect(first.headers['request-id']).toBe(lastRequest(gateway()).requestId);
    const kept = ['content-type', 'request-id', 'x-mock-name', 'x-causeway-upstream', 'x-causeway-region', 'vary'];
    for (const name of [...kept, 'cache-control'])
      expect([name, second.headers[name]]).toEqual([name, first.headers[name]]);
    expect(second.headers).toMatchObject({
      age: '0',
      etag: `"${sha256(first.body).slice(0, 32)}"`,
      'content-length': String(first.body.length),
      'cache-control': routeClass === 'models' ? 'private, no-cache' : 'private, no-store',
      'x-causeway-region': 'test-region-1',
    });
    // What was true of the moment is not said again.
    expect(Object.keys(second.headers).filter((name) => name.startsWith('anthropic-ratelimit-'))).toEqual([]);
  });

  it('is told apart on the lines: what the upstream did stands on the fetch’s, and a copy costs nothing', async () => {
    await exchange(gateway(), marked('lines'));
    const { requestId } = lastRequest(gateway());
    await exchange(gateway(), marked('lines'));
    const lines = await requestLines(gateway(), 2, (line) => line['upstreamRequestId'] === requestId);
    const [miss, hit] = ['MISS', 'HIT'].map((state) => lines.find((line) => line['cache'] === state));
    const fetched = await gateway().waitForLine(
      (line) => line['fetch'] === true && line['upstreamRequestId'] === requestId,
    );
    const client = {
      RouteClass: routeClass,
      consumer: 'team-a',
      Requests: 1,
      status: 200,
      stream,
      clientAddress: '127.0.0.1',
    };
    expect(miss).toMatchObject({ ...client, CacheMisses: 1 });
    expect(hit).toMatchObject({ ...client, CacheHits: 1, cacheTier: 'l1', cached: true });
    for (const line of [miss, hit]) {
      expect(line?.['Upstream'] ?? line?.['TimeToFirstByte'] ?? line?.['coalesced']).toBeUndefined();
    }
    expect(fetched).toMatchObject({
      requestId: miss?.['requestId'],
      RouteClass: routeClass,
      consumer: 'team-a',
      Upstream: 'mock',
      upstreamStatus: 200,
      stream,
    });
    expect(Number(fetched['TimeToFirstByte'])).toBeGreaterThanOrEqual(0);
    expect(fetched['Requests'] ?? fetched['Latency']).toBeUndefined();
    const tokens = [miss, hit, fetched].map((line) => [line?.['InputTokens'], line?.['OutputTokens']]);
    const usage = Object.values(gateway().mock.usage())[0]?.reported;
    expect(tokens).toEqual(
      routeClass === 'generate'
        ? [
            [undefined, undefined],
            [0, 0],
            [usage?.inputTokens, usage?.outputTokens],
          ]
        : [
            [undefined, undefined],
            [undefined, undefined],
            [undefined, undefined],
          ],
    );
  });

  it('goes past the cache where the client says so, and changes nothing in it', async () => {
    const first = await exchange(gateway(), marked('bypass'));
    const past = await exchange(gateway(), sending(`${what}: bypass`, asking('no-store')));
    const after = await exchange(gateway(), marked('bypass'));
    expect([first, past, after].map(stateOf)).toEqual(['MISS', 'BYPASS', 'HIT']);
    expect(calls()).toBe(2);
    expect(past.headers['request-id']).not.toBe(first.headers['request-id']);
    expect(after.headers['request-id']).toBe(first.headers['request-id']);
    const [line] = await requestLines(gateway(), 1, (each) => each['upstreamRequestId'] === past.headers['request-id']);
    expect(line).toMatchObject({ cache: 'BYPASS', cacheBypass: 'no_store', CacheBypasses: 1, Upstream: 'mock' });
  });

  it('is fetched anew for whom no copy is young enough', async () => {
    const name = `${what}: anew`;
    const states: (string | undefined)[] = [];
    for (let i = 0; i < 3; i += 1) states.push(stateOf(await exchange(gateway(), sending(name, asking('max-age=0')))));
    expect(states).toEqual(['MISS', 'MISS', 'MISS']);
    expect(calls()).toBe(3);
    // What they left serves others.
    const other = await exchange(gateway(), sending(name, asking('max-age=60')));
    expect([stateOf(other), other.headers['request-id']]).toEqual(['HIT', lastRequest(gateway()).requestId]);
  });

  it.each(Object.entries(FAILURES))('is answered by an older copy where the upstream %s', async (failure, script) => {
    const name = `${what}: stale, ${failure}`;
    const first = await exchange(gateway(), sending(name));
    const stale = await exchange(gateway(), sending(name, { ...asking('max-age=0'), script }));
    expect(stale.status).toBe(200);
    expect(sha256(stale.body)).toBe(sha256(first.body));
    expect(stale.headers).toMatchObject({
      'x-causeway-cache': 'STALE',
      age: expect.stringMatching(/^\d+$/) as string,
      'request-id': first.headers['request-id'],
      'cache-control': routeClass === 'models' ? 'private, no-cache' : 'private, no-store',
    });
    // nginx asks once more by itself where a kept connection breaks.
    if ('status' in script) expect(calls()).toBe(2);
    const [line] = await requestLines(
      gateway(),
      1,
      (each) => each['cache'] === 'STALE' && each['upstreamRequestId'] === first.headers['request-id'],
    );
    expect(line).toMatchObject({ status: 200, CacheStale: 1, cached: true });
    expect(line?.['refusal'] ?? line?.['Errors5xx']).toBeUndefined();
    const failed = await gateway().waitForLine(
      (each) => each['fetch'] === true && each['requestId'] === line?.['requestId'],
    );
    expect(failed).toMatchObject({ UpstreamErrors5xx: 1 });
    // The outage over, the copy has served its time.
    expect(stateOf(await exchange(gateway(), sending(name, asking('max-age=0'))))).toBe('MISS');
  });

  it.each([429, 404, 400])(
    'is not answered by a copy where the upstream says %i, which is an answer',
    async (status) => {
      const name = `${what}: ${status}`;
      await exchange(gateway(), sending(name));
      const refused = await exchange(
        gateway(),
        sending(name, { ...asking('max-age=0'), script: { status, message: 'No.', headers: { 'retry-after': '7' } } }),
      );
      expect(refused.status).toBe(status);
      expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { message: 'No.' } });
      expect(refused.headers).toMatchObject({ 'x-causeway-cache': 'MISS', 'retry-after': '7' });
      expect(refused.headers['cache-control']).toBeUndefined();
      expect(stateOf(await exchange(gateway(), sending(name)))).toBe('HIT');
    },
  );

  it('without a copy is the upstream’s own failure, unmodified', async () => {
    const script = { status: 529, message: 'Too much of everything.', headers: { 'x-should-retry': 'false' } };
    const failed = await exchange(gateway(), sending(`${what}: nothing to stand in`, { script }));
    expect(failed.status).toBe(529);
    expect(failed.headers).toMatchObject({
      'x-causeway-cache': 'MISS',
      'x-should-retry': 'false',
      'request-id': lastRequest(gateway()).requestId,
    });
    expect(JSON.parse(failed.body.toString())).toMatchObject({
      type: 'error',
      error: { type: 'overloaded_error', message: 'Too much of everything.' },
    });
    const own = await exchange(gateway(), sending(`${what}: nobody there`, { script: { reset: true } }));
    expect(own.status).toBe(502);
    expect(JSON.parse(own.body.toString())).toMatchObject({
      type: 'error',
      error: { type: 'api_error' },
      request_id: own.headers['request-id'],
    });
    const [line] = await requestLines(gateway(), 1, (each) => each['requestId'] === own.headers['request-id']);
    expect(line).toMatchObject({
      status: 502,
      refusal: 'upstream_unreachable',
      Refusals: 1,
      Errors5xx: 1,
      cache: 'MISS',
    });
  });

  it('asked for outages only is fetched each time, and kept for when that fails', async () => {
    const name = `${what}: outage`;
    const asked = sending(name, asking('outage'));
    const answers = [await exchange(gateway(), asked), await exchange(gateway(), asked)];
    expect(answers.map(stateOf)).toEqual(['MISS', 'MISS']);
    expect(calls()).toBe(2);
    const stale = await exchange(gateway(), { ...asked, script: { status: 503 } });
    expect([stale.status, stateOf(stale)]).toEqual([200, 'STALE']);
    expect(stale.headers['request-id']).toBe(answers[1]?.headers['request-id']);
  });

  it('never passes from one consumer to another', async () => {
    const name = `${what}: two consumers`;
    const as = (consumer: string) =>
      exchange(gateway(), sending(name, { credential: [['x-api-key', gateway().keys[consumer] ?? '']] }));
    const [a, b] = [await as('team-a'), await as('team-b')];
    expect([a, b].map(stateOf)).toEqual(['MISS', 'MISS']);
    const again = [await as('team-a'), await as('team-b')];
    expect(again.map(stateOf)).toEqual(['HIT', 'HIT']);
    expect(again.map(({ headers }) => headers['request-id'])).toEqual(
      [a, b].map(({ headers }) => headers['request-id']),
    );
    expect(a.headers['request-id']).not.toBe(b.headers['request-id']);
  });

  it('keeps what is said to the cache, and among the gateway’s parts, from the upstream', async () => {
    for (const words of ['max-age=5', 'no-store', 'outage']) {
      const headers = [...asking(words).headers, ['x-causeway-fetch', 'forged'], ['X_Causeway_Cache', 'x']] as const;
      await exchange(gateway(), sending(`${what}: headers`, { headers }));
      const names = Object.keys(lastRequest(gateway()).headers);
      expect(names.filter((name) => name.startsWith('x-causeway'))).toEqual([]);
    }
  });
});

describe('a list of models', () => {
  const get = (name: string, tag?: string, method = 'GET') =>
    exchange(gateway(), {
      method,
      target: `/v1/models?name=${name}`,
      headers: tag === undefined ? [] : [['If-None-Match', tag]],
    });

  it.each(['first', 'second'])(
    'is not sent again to a client that has it: the %s time it is asked for',
    async (time) => {
      const name = `304-${time}`;
      const { headers, body } = await get(`known-${name}`);
      const tag = headers['etag'] ?? '';
      if (time === 'second') await get(name);
      // The mock's lists are the same but for the id of the request, which is no part of them.
      for (const sent of [tag, `W/${tag}`, `"other", ${tag}`, '*', `"a,b" ,W/${tag}`]) {
        const answer = await get(name, sent);
        expect([sent, answer.status, answer.body.length]).toEqual([sent, 304, 0]);
        expect(answer.headers).toMatchObject({ etag: tag, 'cache-control': 'private, no-cache' });
        expect(answer.headers['content-length'] ?? answer.headers['content-type']).toBeUndefined();
      }
      for (const sent of ['"other"', tag.replaceAll('"', ''), '""', `"${tag}"`, tag.toUpperCase()]) {
        const answer = await get(name, sent);
        expect([sent, answer.status, sha256(answer.body)]).toEqual([sent, 200, sha256(body)]);
      }
      expect(
        gateway()
          .mock.requests()
          .every((record) => record.headers['if-none-match'] === undefined),
      ).toBe(true);
    },
  );

  it('is only stored for a GET without a body', async () => {
    for (let i = 0; i < 2; i += 1) {
      expect(stateOf(await get('head', undefined, 'HEAD'))).toBeUndefined();
      const odd = await exchange(gateway(), { method: 'GET', target: '/v1/models?name=body', body: '{}' });
      expect(stateOf(odd)).toBe('BYPASS');
    }
    expect(calls()).toBe(4);
  });
});

test('a tag in a POST’s If-None-Match is nothing', async () => {
  const request = (more: object = {}) =>
    exchange(gateway(), { target: '/v1/messages/count_tokens', body: messageBody(), ...more });
  await request();
  const { headers } = await request();
  const answer = await request({ headers: [['If-None-Match', headers['etag']]] });
  expect([answer.status, stateOf(answer)]).toEqual([200, 'HIT']);
});

test('a header to the cache that cannot be read is refused', async () => {
  for (const words of ['no-stor', 'max-age', 'max-age=1.5', 'outage, outage']) {
    const answer = await exchange(gateway(), { body: messageBody(), ...asking(words) });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      error: { type: 'invalid_request_error', message: expect.stringContaining('x-causeway-cache') as string },
    });
  }
  expect(calls()).toBe(0);
});

test('a message is neither stored nor labelled where nobody asked', async () => {
  const answers = [
    await exchange(gateway(), { body: messageBody() }),
    await exchange(gateway(), { body: messageBody() }),
  ];
  expect(answers.map(stateOf)).toEqual([undefined, undefined]);
  expect(calls()).toBe(2);
});

test('what was stored is counted', async () => {
  const count = (): number =>
    gateway()
      .lines()
      .filter((line) => line['RouteClass'] === 'count')
      .reduce((sum, line) => sum + Number(line['CacheStores'] ?? 0), 0);
  const before = await eventually(
    () =>
      gateway()
        .lines()
        .some((line) => 'CacheStores' in line)
        ? count()
        : undefined,
    15_000,
  );
  for (let i = 0; i < 3; i += 1) {
    const body = messageBody({ messages: [{ role: 'user', content: `stored ${i}` }] });
    await exchange(gateway(), { target: '/v1/messages/count_tokens', body });
  }
  await eventually(() => (count() >= before + 3 ? true : undefined), 15_000);
});
