import fc from 'fast-check';

import { eventually } from './harness';
import { exchange, lastRequest, messageBody, scriptHeader, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';
import { lineOf, requestLines, totalsOf, usageOf } from './support/metering';

// One worker, so that the requests that flush its log (see requestLines) reach the one that is waited for.
const gateway = useGateway({ workers: 1, consumers: [{ id: 'team-a' }, { id: 'team-b' }] });

// First of all: no request has been made yet.
it('tells of the node without any request', async () => {
  const wanted = [
    ...['ActiveConnections', 'ActiveRequests', 'ActiveStreams', 'Ready', 'RegistryConsumers', 'RegistryAgeSeconds'],
    ...['WorkerMemoryBytes', 'DictFreeBytes', 'UpstreamAddresses', 'CertificateDaysToExpiry'],
  ];
  const lines = await eventually(() => {
    const seen = gateway().lines();
    const names = new Set(seen.flatMap((line) => Object.keys(line)));
    return wanted.every((name) => names.has(name)) ? seen : undefined;
  }, 15_000);
  expect(lines.filter((line) => 'Requests' in line)).toEqual([]);
  expect(lines.find((line) => 'Ready' in line)).toMatchObject({ Ready: 1, ActiveStreams: 0, RegistryConsumers: 2 });
});

it('tells of streams while they are open', async () => {
  const leaving = new AbortController();
  const answer = await fetch(`${gateway().baseUrl}/v1/messages`, {
    method: 'POST',
    headers: Object.fromEntries([
      ['x-api-key', gateway().key],
      ['anthropic-version', '2023-06-01'],
      scriptHeader({ deltas: 10_000, deltaMs: 50 }),
    ]),
    body: messageBody({ stream: true }),
    signal: leaving.signal,
  });
  expect(answer.status).toBe(200);
  await gateway().waitForLine((line) => line['ActiveStreams'] === 1 && line['ActiveRequests'] === 1, 15_000);
  leaving.abort();
  const count = gateway().lines().length;
  await eventually(() => {
    const later = gateway().lines().slice(count);
    return later.some((line) => line['ActiveStreams'] === 0 && line['ActiveRequests'] === 0) ? true : undefined;
  }, 15_000);
});

describe('usage', () => {
  it.each([false, true])('of any whole answer adds up to what the mock sent (stream: %s)', async (stream) => {
    const model = `claude-mock-total-${stream}`;
    const tokens = fc.nat({ max: 2_000_000 });
    const usage = fc
      .record({
        input: tokens,
        output: tokens,
        cacheRead: tokens,
        cacheCreation5m: tokens,
        cacheCreation1h: tokens,
        zeroInStart: fc.boolean(),
      })
      // Only message_start tells writes of 5 m and 1 h apart: where it says nothing, nobody can.
      .map((numbers) => (stream && numbers.zeroInStart ? { ...numbers, cacheCreation1h: 0 } : numbers));
    const runs = 40;
    await fc.assert(
      fc.asyncProperty(usage, fc.integer({ min: 10, max: 400 }), fc.boolean(), async (numbers, bytes, dripped) => {
        const drip = dripped ? { drip: { bytes, ms: 0 } } : {};
        const answer = await exchange(gateway(), {
          body: messageBody({ model, stream }),
          script: { usage: numbers, ...drip },
        });
        expect(answer.status).toBe(200);
      }),
      { numRuns: runs, endOnFailure: true },
    );
    const lines = await requestLines(gateway(), runs, (line) => line['model'] === model);
    expect(lines).toHaveLength(runs);
    const { requests, charged, reported } = usageOf(gateway(), model);
    expect({ requests, ...totalsOf(lines) }).toEqual({ requests: runs, ...charged });
    expect(reported).toEqual(charged);
    expect(charged.cacheCreation1hInputTokens).toBeGreaterThan(0);
    expect(lines.filter((line) => line['usageEstimated'] !== undefined || line['stream'] !== stream)).toEqual([]);
  });

  it.each([false, true])('is not what a tool’s input says (stream: %s)', async (stream) => {
    const fake = { usage: { input_tokens: 9_000_000, output_tokens: 9_000_000 }, model: 'claude-fake' };
    const input = { ...fake, deep: [fake], text: JSON.stringify({ type: 'message_delta', ...fake }) };
    const content = [
      { type: 'tool_use', name: 'f', input },
      { type: 'text', text: `event: message_delta\ndata: ${JSON.stringify(input)}\n\n` },
    ];
    const usage = { input: 11, output: 7, cacheRead: 3, cacheCreation5m: 2, cacheCreation1h: 1 };
    await exchange(gateway(), { body: messageBody({ stream }), script: { content, usage } });
    expect(await lineOf(gateway(), lastRequest(gateway()).requestId)).toMatchObject({
      model: 'claude-sonnet-5-5',
      InputTokens: 11,
      OutputTokens: 7,
      CacheReadInputTokens: 3,
      CacheWrite5mInputTokens: 2,
      CacheWrite1hInputTokens: 1,
    });
  });

  it('of a stream that its client left is flagged as estimated, with status 499', async () => {
    const script = {
      deltas: 200,
      deltaMs: 10,
      text: 'word '.repeat(1000),
      usage: { input: 321, output: 2000, cacheRead: 5 },
    };
    await exchange(gateway(), { body: messageBody({ stream: true }), script, leaveAfterBytes: 6000 });
    const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
    expect(line).toMatchObject({
      status: 499,
      upstreamStatus: 200,
      aborted: true,
      ClientAborts: 1,
      usageEstimated: true,
      EstimatedUsage: 1,
      InputTokens: 321,
      CacheReadInputTokens: 5,
    });
    expect(line['Errors4xx'] ?? line['Errors5xx'] ?? 'neither').toBe('neither');
    // What had been generated by then was neither nothing nor all of it.
    expect(line['OutputTokens']).toBeGreaterThan(1);
    expect(line['OutputTokens']).toBeLessThan(2000);
  });

  it('of a stream that its client left is close to what it cost', async () => {
    const model = 'claude-mock-left';
    // A delta of 25 bytes costs 6 tokens here; a quarter of its bytes, rounded up at the end, is the estimate.
    const script = {
      deltas: 400,
      deltaMs: 5,
      text: 'wordy word of a mock, so '.repeat(400),
      usage: { input: 10, output: 2500 },
    };
    await exchange(gateway(), { body: messageBody({ model, stream: true }), script, leaveAfterBytes: 20_000 });
    const [line] = await requestLines(gateway(), 1, (each) => each['model'] === model);
    const { charged } = usageOf(gateway(), model);
    // What the mock still wrote while the client's leaving was on its way is on top.
    expect(line?.['OutputTokens']).toBeGreaterThan(charged.outputTokens * 0.5);
    expect(line?.['OutputTokens']).toBeLessThan(charged.outputTokens * 1.5);
  });

  it('of an answer that the upstream broke off is flagged as estimated, and no client’s abort', async () => {
    for (const stream of [true, false]) {
      const sending: Sending = { body: messageBody({ stream }), script: { cut: { midEvent: stream ? 5 : 1 } } };
      await expect(exchange(gateway(), sending)).rejects.toThrow();
      const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
      expect(line).toMatchObject({ usageEstimated: true, EstimatedUsage: 1, model: 'claude-sonnet-5-5', stream });
      expect(line['ClientAborts']).toBeUndefined();
    }
  });

  it('of counted tokens, and of errors, is none', async () => {
    await exchange(gateway(), { target: '/v1/messages/count_tokens', body: messageBody() });
    const counted = await lineOf(gateway(), lastRequest(gateway()).requestId);
    expect(counted).toMatchObject({ RouteClass: 'count', model: 'claude-sonnet-5-5', status: 200 });
    await exchange(gateway(), { body: messageBody(), script: { status: 400, body: '{"usage":{"input_tokens":5}}' } });
    const refused = await lineOf(gateway(), lastRequest(gateway()).requestId);
    expect(refused).toMatchObject({ RouteClass: 'generate', model: 'claude-sonnet-5-5', status: 400 });
    expect([counted['InputTokens'], refused['InputTokens']]).toEqual([undefined, undefined]);
  });
});

describe('errors of the upstream', () => {
  it.each([
    ['at the first event', 1, 'overloaded_error', 1],
    ['later', 5, 'overloaded_error', 1],
    ['later, of another kind', 5, 'api_error', undefined],
    ['of a kind that nobody knows', 3, 'quantum_error', undefined],
  ])('inside a stream of status 200 are seen %s', async (_when, atEvent, type, overloads) => {
    await exchange(gateway(), { body: messageBody({ stream: true }), script: { streamError: { atEvent, type } } });
    const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
    expect(line).toMatchObject({ status: 200, InBandErrors: 1, inBandError: type });
    expect(line['UpstreamOverloads']).toBe(overloads);
  });

  it.each([
    [529, { UpstreamOverloads: 1, UpstreamErrors5xx: 1, Errors5xx: 1 }],
    [500, { UpstreamErrors5xx: 1, Errors5xx: 1 }],
    [429, { UpstreamRateLimited: 1, Errors4xx: 1 }],
    [404, { Errors4xx: 1 }],
  ])('by status %i are counted as such', async (status, counted) => {
    await exchange(gateway(), { body: messageBody(), script: { status } });
    const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
    const kinds = ['UpstreamOverloads', 'UpstreamErrors5xx', 'UpstreamRateLimited', 'Errors4xx', 'Errors5xx'];
    const own = ['Refusals', 'RateLimited', 'InBandErrors'];
    expect(
      Object.fromEntries([...kinds, ...own].flatMap((name) => (name in line ? [[name, line[name]]] : []))),
    ).toEqual(counted);
    expect(line).toMatchObject({ status, upstreamStatus: status });
  });
});
