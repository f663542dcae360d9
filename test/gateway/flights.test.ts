import http2 from 'node:http2';

import type { MockScript } from '../../local/mock-claude/server';
import { eventually, sleep } from './harness';
import { asking, CACHEABLE, GATHER_MS } from './support/cacheable';
import { exchange, messageBody, type Received, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';
import { begin, headersOf, readStream, type Exchange } from './support/http-client';
import { expectNothingHeld, freeFlightMemory } from './support/held';
import { requestLines } from './support/metering';

const MANY = 100;

// Connections spread over both workers by their ports: of a hundred, some reach each.
const gateway = useGateway({ workers: 2, consumers: [{ id: 'team-a' }, { id: 'team-b' }] });
/** Free memory of the dictionary through which workers share flights, before the first. */
let free = 0;
beforeAll(async () => {
  free = await freeFlightMemory(gateway());
});

const calls = () => gateway().mock.requests().length;
const states = (answers: readonly Received[]) => new Set(answers.map(({ headers }) => headers['x-causeway-cache']));
const times = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));
/** So long that all hundred are there before the answer's end. */
const slow = (stream: boolean) => (stream ? { deltas: 30, deltaMs: GATHER_MS / 30 } : { delayMs: GATHER_MS });

describe.each(CACHEABLE)('$what', ({ what, stream, sending }) => {
  it(`asked for ${MANY} times at once costs one upstream call`, async () => {
    const asked = sending(`${what}: at once`, { script: slow(stream) });
    const answers = await times(MANY, () => exchange(gateway(), asked));
    expect(calls()).toBe(1);
    const [record] = gateway().mock.requests();
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ headers }) => headers['request-id']))).toEqual(new Set([record?.requestId]));
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1);
    expect(states(answers)).toEqual(new Set(['MISS']));
    const lines = await requestLines(gateway(), MANY, (line) => line['upstreamRequestId'] === record?.requestId);
    expect(lines).toHaveLength(MANY);
    expect(lines.filter((line) => line['coalesced'] === true && line['CoalescedRequests'] === 1)).toHaveLength(
      MANY - 1,
    );
    expect(lines.every((line) => line['CacheMisses'] === 1 && line['InputTokens'] === undefined)).toBe(true);
    const fetched = gateway()
      .lines()
      .filter((line) => line['fetch'] === true && line['upstreamRequestId'] === record?.requestId);
    expect(fetched).toHaveLength(1);
    expect(lines.find((line) => line['coalesced'] === undefined)?.['requestId']).toBe(fetched[0]?.['requestId']);
  });

  it(`asked for ${MANY} times at once past the cache makes as many calls`, async () => {
    const asked = sending(`${what}: each by itself`, { ...asking('no-store'), script: slow(stream) });
    const answers = await times(MANY, () => exchange(gateway(), asked));
    expect(calls()).toBe(MANY);
    expect(new Set(answers.map(({ headers }) => headers['request-id'])).size).toBe(MANY);
    expect(states(answers)).toEqual(new Set(['BYPASS']));
  });

  it('asked for by two consumers at once costs a call each, and neither sees the other’s', async () => {
    const as = (consumer: string): Promise<Received> => {
      const credential = [['x-api-key', gateway().keys[consumer] ?? '']] as const;
      return exchange(gateway(), sending(`${what}: two`, { credential, script: slow(stream) }));
    };
    const answers = await times(40, (index) => as(index % 2 === 0 ? 'team-a' : 'team-b'));
    const ids = [0, 1].map(
      (rest) => new Set(answers.filter((_, index) => index % 2 === rest).map(({ headers }) => headers['request-id'])),
    );
    expect(ids.map(({ size }) => size)).toEqual([1, 1]);
    expect([...(ids[0] ?? [])]).not.toEqual([...(ids[1] ?? [])]);
    expect(calls()).toBe(2);
  });

  it('that fails fails once for all who wait', async () => {
    const failure = { status: 529, message: 'Too much.', delayMs: GATHER_MS, headers: { 'retry-after': '3' } };
    const asked = sending(`${what}: fails`, { script: failure });
    const answers = await times(MANY, () => exchange(gateway(), asked));
    expect(calls()).toBe(1);
    expect(new Set(answers.map(({ status, headers }) => `${status} ${headers['retry-after']}`))).toEqual(
      new Set(['529 3']),
    );
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1);
    // The next one flies anew.
    expect((await exchange(gateway(), sending(`${what}: fails`))).status).toBe(200);
    expect(calls()).toBe(2);
  });

  it('that fails is answered by one older copy for all who wait', async () => {
    const name = `${what}: stands in`;
    const first = await exchange(gateway(), sending(name));
    const asked = sending(name, { ...asking('max-age=0'), script: { status: 529, delayMs: GATHER_MS } });
    const answers = await times(MANY, () => exchange(gateway(), asked));
    expect(calls()).toBe(2);
    expect(states(answers)).toEqual(new Set(['STALE']));
    expect(answers.every(({ status, body }) => status === 200 && body.equals(first.body))).toBe(true);
  });
});

// A GET nginx itself sends anew, on each connection that was kept and breaks.
describe.each(CACHEABLE.filter(({ routeClass }) => routeClass !== 'models'))(
  '$what',
  ({ what, routeClass, sending }) => {
    it('whose upstream breaks the connection is one own error for all who wait', async () => {
      const asked = sending(`${what}: breaks`, { script: { cut: { beforeHeaders: true }, delayMs: GATHER_MS } });
      const answers = await times(20, () => exchange(gateway(), asked));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]));
      expect(new Set(answers.map(({ headers }) => headers['request-id'])).size).toBe(1);
      expect(calls()).toBe(1);
      await requestLines(
        gateway(),
        20,
        (line) => line['RouteClass'] === routeClass && line['refusal'] === 'upstream_unreachable',
      );
    });
  },
);

/** Begins a request that asks for a stored answer. */
function start(sending: Sending, options: { tls?: boolean } = {}): Exchange {
  return begin(gateway(), {
    path: sending.target ?? '/v1/messages',
    method: sending.method ?? 'POST',
    ...(sending.body === undefined ? {} : { body: sending.body }),
    ...(sending.script === undefined ? {} : { script: sending.script }),
    headers: Object.fromEntries(sending.headers ?? []),
    ...options,
  });
}

describe.each(CACHEABLE)('a client that leaves $what', ({ what, stream, sending }) => {
  it('which it asked for first leaves it to those who came after', async () => {
    const asked = sending(`${what}: the first leaves`, { script: slow(stream) });
    const first = start(asked);
    await eventually(() => (calls() === 1 ? true : undefined));
    const others = times(MANY - 1, () => exchange(gateway(), asked));
    if (stream) await eventually(() => (first.bytes() > 0 ? true : undefined));
    else await sleep(200);
    first.request.destroy();
    const answers = await others;
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    if (stream) for (const { body } of answers) expect(readStream(body.toString()).complete).toBe(true);
    expect(calls()).toBe(1);
    expect(gateway().mock.requests()[0]?.aborted).toBe(false);
  });

  it.each(['HTTP/1.1', 'HTTP/2'])(
    'to nobody, over %s, ends the call, and nothing of it is stored',
    async (protocol) => {
      // Longer than it takes to notice.
      const long = stream ? slow(stream) : { delayMs: 5000 };
      const asked = sending(`${what}: all leave over ${protocol}`, { script: long });
      const marker = `left-${what}-${protocol}`;
      if (protocol === 'HTTP/1.1') {
        const alone = start({ ...asked, headers: [...(asked.headers ?? []), ['user-agent', marker]] });
        await eventually(() => (calls() === 1 ? true : undefined));
        alone.request.destroy();
      } else {
        const session = http2.connect(gateway().tlsUrl, { ca: gateway().authority.root });
        const headers = {
          ...headersOf(gateway(), { script: long }),
          ...Object.fromEntries(asked.headers ?? []),
          'user-agent': marker,
          ...(asked.body === undefined ? {} : { 'content-length': String(asked.body.length) }),
        };
        const request = session.request({ ':method': asked.method ?? 'POST', ':path': asked.target ?? '', ...headers });
        request.on('error', () => undefined);
        request.end(asked.body);
        await eventually(() => (calls() === 1 ? true : undefined));
        request.close(http2.constants.NGHTTP2_CANCEL);
        await gateway().waitForLine((line) => line['userAgent'] === marker);
        session.close();
      }
      const line = await gateway().waitForLine((each) => each['userAgent'] === marker);
      expect(line).toMatchObject({ status: 499, aborted: true, ClientAborts: 1, cache: 'MISS' });
      const record = gateway().mock.requests()[0];
      await eventually(() => (record?.endTime === undefined ? undefined : true), 10_000);
      expect(record?.aborted).toBe(true);
      const next = await exchange(gateway(), sending(`${what}: all leave over ${protocol}`));
      expect(next.headers['x-causeway-cache']).toBe('MISS');
      expect(next.headers['request-id']).not.toBe(record?.requestId);
      expect(calls()).toBe(2);
    },
  );
});

describe('a stream that is shared', () => {
  const ANEW = [['content-type', 'application/json'], ...asking('max-age=0').headers] as const;
  const asked = (name: string, script: MockScript): Sending => ({
    headers: [['content-type', 'application/json'], ...asking('max-age=60').headers],
    body: messageBody({ stream: true, messages: [{ role: 'user', content: name }] }),
    script,
  });

  it('goes out as it comes, to whoever asked first and to whoever came later, from its beginning', async () => {
    const sending = asked('as it comes', {
      text: 'before and after',
      deltas: 4,
      silence: { ms: 2500, afterEvents: 4 },
    });
    const first = start(sending);
    await eventually(() => (first.bytes() > 200 ? true : undefined));
    // The upstream still holds the rest. Both workers take some.
    const later = Array.from({ length: 12 }, () => start(sending));
    await eventually(() => (later.every((each) => each.bytes() > 200) ? true : undefined));
    expect(
      gateway()
        .mock.requests()
        .map(({ endTime }) => endTime),
    ).toEqual([undefined]);
    const texts = await Promise.all([first, ...later].map(async ({ answer }) => (await answer).text));
    expect(new Set(texts).size).toBe(1);
    expect(readStream(texts[0] ?? '')).toEqual({ text: 'before and after', complete: true, error: undefined });
    expect(calls()).toBe(1);
  });

  it('is seen to be cut by each who reads it, and is not stored', async () => {
    const sending = asked('cut', { deltas: 20, deltaMs: 30, cut: { afterEvents: 12 } });
    const all = Array.from({ length: 20 }, () => start(sending));
    const ends = await Promise.allSettled(all.map(({ answer }) => answer));
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(['rejected']));
    for (const each of all) expect(each.bytes()).toBeGreaterThan(0);
    expect(calls()).toBe(1);
    const lines = await requestLines(
      gateway(),
      20,
      (line) => line['upstreamRequestId'] === gateway().mock.requests()[0]?.requestId,
    );
    expect(lines.filter((line) => 'ClientAborts' in line)).toEqual([]);
    expect((await exchange(gateway(), asked('cut', {}))).headers['x-causeway-cache']).toBe('MISS');
  });

  it('whose first event is an error is a failure for which a copy stands in', async () => {
    const name = 'in-band at first';
    await exchange(gateway(), asked(name, {}));
    const stale = await exchange(gateway(), {
      ...asked(name, { streamError: { atEvent: 1 } }),
      headers: ANEW,
    });
    expect(stale.headers['x-causeway-cache']).toBe('STALE');
    expect(readStream(stale.body.toString())).toMatchObject({ complete: true, error: undefined });
    // Later, bytes are out.
    const late = await exchange(gateway(), {
      ...asked(name, { streamError: { atEvent: 4 }, silence: { ms: 300, afterEvents: 2 } }),
      headers: ANEW,
    });
    expect(readStream(late.body.toString()).error).toBe('overloaded_error');
    // And without a copy it is the upstream's own answer.
    const alone = await exchange(gateway(), asked('in-band alone', { streamError: { atEvent: 1 } }));
    expect([alone.status, readStream(alone.body.toString()).error]).toEqual([200, 'overloaded_error']);
  });
});

test('what was fetched adds up to what the mock charged', async () => {
  const before = gateway().lines().length;
  const body = (index: number) =>
    messageBody({
      stream: index % 2 === 0,
      model: 'claude-fetched',
      messages: [{ role: 'user', content: `sum ${index}` }],
    });
  await times(60, (index) =>
    exchange(gateway(), {
      ...asking('max-age=60'),
      body: body(index % 6),
      script: { delayMs: GATHER_MS, usage: { input: 1000 + (index % 6), output: 10 } },
    }),
  );
  expect(calls()).toBe(6);
  const total = gateway().mock.usage()['claude-fetched']?.reported;
  await eventually(() => {
    const lines = gateway()
      .lines()
      .slice(before)
      .filter((line) => line['model'] === 'claude-fetched');
    const sum = (name: string): number => lines.reduce((all, line) => all + Number(line[name] ?? 0), 0);
    expect(lines.filter((line) => line['Requests'] === 1)).toHaveLength(60);
    expect([sum('InputTokens'), sum('OutputTokens')]).toEqual([total?.inputTokens, total?.outputTokens]);
    return true;
  });
});

test('of all that nothing is held afterwards', async () => {
  await expectNothingHeld(gateway());
  expect(await freeFlightMemory(gateway())).toBe(free);
});
