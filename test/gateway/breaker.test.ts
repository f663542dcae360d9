import Anthropic from '@anthropic-ai/sdk';

import type { EnvironmentInput } from '../../lib/config';
import type { MockScript } from '../../local/mock-claude/server';
import { eventually, sleep, startGateway, type GatewayOptions, type TestGateway } from './harness';
import { begin, messageBody, send, type Answer, type Exchange, type RequestOptions } from './support/http-client';
import { hostOf } from './support/other-upstreams';

/** Quick to open and to come back, so that a test can see both. */
const BREAKER = {
  windowSeconds: 5,
  minRequests: 6,
  minConsumers: 2,
  openSeconds: 1,
  probes: 1,
  closeAfter: 2,
  streamFirstByteSeconds: 1,
} satisfies EnvironmentInput['breaker'];

/** Does not come back within a test. */
const STAYS_OPEN = { ...BREAKER, openSeconds: 60 };

const TEAMS = ['team-a', 'team-b'] as const;
const [OPUS, SONNET] = ['claude-opus-5', 'claude-sonnet-5-5'];
const OVERLOADED: MockScript = { status: 529 };

const running: TestGateway[] = [];

async function start(options: GatewayOptions = {}): Promise<TestGateway> {
  const gateway = await startGateway({
    consumers: TEAMS.map((id) => ({ id })),
    ...options,
    config: { breaker: BREAKER, ...options.config },
  });
  running.push(gateway);
  return gateway;
}

afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.stop();
});

/** An upstream that hangs is given up after a second. */
const IMPATIENT = { upstream: { readSeconds: { generate: 1 } } };

/** The n-th request of a row, by the consumers in turn. */
function ask(gateway: TestGateway, index: number, options: RequestOptions & { model?: string; stream?: boolean } = {}) {
  const { model = SONNET, stream = false, ...rest } = options;
  return begin(gateway, {
    key: gateway.keys[TEAMS[index % 2] ?? ''] ?? '',
    body: messageBody({ model, stream }),
    ...rest,
  });
}

/** So many requests, one after the other. */
async function askAll(gateway: TestGateway, count: number, options: Parameters<typeof ask>[2] = {}): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let index = 0; index < count; index += 1) answers.push(await ask(gateway, index, options).answer);
  return answers;
}

const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status);
const isRejection = ({ text, headers }: Answer): boolean =>
  text.includes('"overloaded_error"') && headers['retry-after'] !== undefined && headers['x-mock-name'] === undefined;

/** Asks until the breaker answers in the upstream's place. */
async function askUntilOpen(gateway: TestGateway, options: Parameters<typeof ask>[2] = {}): Promise<Answer> {
  let index = 0;
  return eventually(async () => {
    const answer = await ask(gateway, (index += 1), options).answer;
    return isRejection(answer) ? answer : undefined;
  }, 15_000);
}

/** Asks until the upstream answers well so many times in a row. */
async function askUntilWell(gateway: TestGateway, options: Parameters<typeof ask>[2] = {}): Promise<void> {
  let [index, well] = [0, 0];
  await eventually(async () => {
    well = (await ask(gateway, (index += 1), options).answer).status === 200 ? well + 1 : 0;
    return well === 5 ? true : undefined;
  }, 15_000);
}

/** What the gauges' lines have said of an upstream's breakers. */
function told(gateway: TestGateway, metric: string, upstream = 'mock'): number {
  return gateway
    .lines()
    .filter((line) => line['Upstream'] === upstream)
    .reduce((sum, line) => sum + Number(line[metric] ?? 0), 0);
}

function openNow(gateway: TestGateway, upstream = 'mock'): unknown {
  return gateway
    .lines()
    .filter((line) => line['Upstream'] === upstream && 'BreakerOpenNow' in line)
    .at(-1)?.['BreakerOpenNow'];
}

describe('an upstream that fails', () => {
  test('is left alone: others get an own error at once; when it is well again it is asked again', async () => {
    const gateway = await start({ config: { timeouts: IMPATIENT } });
    expect(statuses(await askAll(gateway, 3))).toEqual([200, 200, 200]);

    gateway.mock.script({ script: OVERLOADED });
    const rejected = await askUntilOpen(gateway);
    expect(rejected.status).toBe(503);
    expect(JSON.parse(rejected.text)).toMatchObject({ type: 'error', error: { type: 'overloaded_error' } });
    expect(rejected.headers).toMatchObject({ 'x-should-retry': 'true', 'content-type': 'application/json' });
    expect(rejected.headers['request-id']).toMatch(/^req_/);
    expect(Number(rejected.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(Number(rejected.headers['retry-after'])).toBeLessThanOrEqual(5);
    expect(Number(rejected.headers['retry-after-ms'])).toBeGreaterThan(0);
    const line = await gateway.waitForLine((each) => each['BreakerRejections'] === 1);
    expect(line).toMatchObject({ refusal: 'breaker_open', breaker: 'open', status: 503, RouteClass: 'generate' });
    expect(line).not.toHaveProperty('Upstream');

    // What opened it goes on in other ways. The probes find out, and nobody else.
    for (const script of [{ reset: true }, { hang: true }, { status: 500 }] as const) {
      gateway.mock.clear();
      gateway.mock.script({ script });
      const before = Date.now();
      const answers: Answer[] = [];
      while (Date.now() - before < 2500) {
        const batch = await Promise.all(Array.from({ length: 10 }, (_, index) => ask(gateway, index).answer));
        answers.push(...batch);
        await sleep(20);
      }
      const asked = gateway.mock.requests().length;
      // Open for a second, then one that fails.
      expect(asked).toBeGreaterThanOrEqual(1);
      expect(asked).toBeLessThanOrEqual(4);
      expect(answers.filter(isRejection)).toHaveLength(answers.length - asked);
    }
    const latencies = gateway
      .lines()
      .filter((each) => each['BreakerRejections'] === 1)
      .map((each) => Number(each['Latency']))
      .sort((a, b) => a - b);
    expect(latencies.length).toBeGreaterThan(100);
    expect(latencies[Math.floor(latencies.length / 2)]).toBeLessThan(100);

    gateway.mock.clear();
    await askUntilWell(gateway);
    await eventually(() => (openNow(gateway) === 0 && told(gateway, 'BreakerClosed') === 1 ? true : undefined));
    expect(told(gateway, 'BreakerOpened')).toBeGreaterThanOrEqual(4);
    expect(told(gateway, 'BreakerHalfOpened')).toBe(told(gateway, 'BreakerOpened'));
    expect(gateway.lines().some((each) => each['BreakerOpenNow'] === 1)).toBe(true);
    await gateway.waitForLine((each) => each['breaker'] === 'probe' && each['status'] === 200);
    await gateway.waitForLine((each) => each['breaker'] === 'probe' && each['status'] === 502);
    await gateway.waitForLine((each) => each['breaker'] === 'probe' && each['status'] === 504);
    const notices = gateway.errorLog().match(/causeway: the breaker of mock for generate, model \S+ is \S+/g) ?? [];
    expect(new Set(notices)).toEqual(
      new Set(
        ['open:', 'open', 'half-open:', 'closed:'].map(
          (word) => `causeway: the breaker of mock for generate, model ${SONNET} is ${word}`,
        ),
      ),
    );
    await gateway.waitForLog(/is open: \d+ of \d+ requests failed, of 2 consumers/);
  });

  test('raises what the official SDK retries, and the retries get through once it is well', async () => {
    const gateway = await start();
    gateway.mock.script({ script: OVERLOADED });
    await askUntilOpen(gateway);
    const client = (maxRetries: number) => new Anthropic({ apiKey: gateway.key, baseURL: gateway.baseUrl, maxRetries });
    const asked = { model: SONNET, max_tokens: 10, messages: [{ role: 'user' as const, content: 'Hello' }] };
    const error: unknown = await client(0)
      .messages.create(asked)
      .catch((each: unknown) => each);
    expect(error).toBeInstanceOf(Anthropic.InternalServerError);
    expect(error).toMatchObject({ status: 503, error: { error: { type: 'overloaded_error' } } });
    gateway.mock.clear();
    expect(await client(5).messages.create(asked)).toMatchObject({ role: 'assistant' });
  });

  test('is not asked by a stampede when it may be probed', async () => {
    const gateway = await start();
    gateway.mock.script({ script: OVERLOADED });
    await askUntilOpen(gateway);
    gateway.mock.clear();
    gateway.mock.script({ script: { delayMs: 1000 } });
    let probe: Promise<Answer> | undefined;
    await eventually(() => {
      probe ??= ask(gateway, 0).answer.then((answer) => {
        if (isRejection(answer)) probe = undefined;
        return answer;
      });
      return gateway.mock.requests().length > 0 ? true : undefined;
    });
    const others = await Promise.all(Array.from({ length: 300 }, (_, index) => ask(gateway, index).answer));
    // The slot of a probe is given to the next after a second, the time for which it is open.
    const asked = gateway.mock.requests().length - 1;
    expect(asked).toBeLessThanOrEqual(1);
    expect(others.filter(isRejection)).toHaveLength(300 - asked);
    expect((await probe)?.status).toBe(200);
  });
});

describe('what counts', () => {
  test.each<[string, MockScript, boolean]>([
    ['a 500', { status: 500 }, false],
    ['a 503', { status: 503 }, false],
    ['a 529', { status: 529 }, false],
    ['a reset', { reset: true }, false],
    ['a connection that is closed', { cut: { beforeHeaders: true } }, false],
    ['an overload inside a stream, at its beginning', { streamError: { atEvent: 1 } }, true],
    ['an overload inside a stream, in its middle', { streamError: { atEvent: 5 } }, true],
    ['a fault of the API inside a stream', { streamError: { type: 'api_error' } }, true],
    ['a stream that is broken off', { cut: { afterEvents: 3 } }, true],
  ])('%s opens it', async (_what, script, stream) => {
    const gateway = await start({ config: { breaker: STAYS_OPEN } });
    gateway.mock.script({ script });
    for (let index = 0; index < 6; index += 1) await ask(gateway, index, { stream }).answer.catch(() => undefined);
    const answer = await eventually(async () => {
      const found = await ask(gateway, 0, { stream }).answer.catch(() => undefined);
      return found !== undefined && isRejection(found) ? found : undefined;
    });
    expect(answer.status).toBe(503);
    // Six of them: what was asked beyond those had been sent before the last of them was noted, which is when it is over:
    // an instant after its client has read the answer.
    expect(gateway.mock.requests().length).toBeLessThanOrEqual(8);
  });

  test.each<[string, MockScript]>([
    ['429', { status: 429, headers: { 'retry-after': '1' } }],
    ['400', { status: 400 }],
    ['401', { status: 401 }],
    ['404', { status: 404 }],
    ['a refusal inside a stream', { streamError: { type: 'invalid_request_error' } }],
    ['a rate limit inside a stream', { streamError: { type: 'rate_limit_error' } }],
  ])('%s opens nothing', async (_what, script) => {
    const gateway = await start();
    gateway.mock.script({ script });
    const answers = await askAll(gateway, 40, { stream: true });
    expect(answers.filter(isRejection)).toEqual([]);
    expect(gateway.mock.requests()).toHaveLength(40);
    await eventually(() => (openNow(gateway) === 0 ? true : undefined));
    expect(told(gateway, 'BreakerOpened')).toBe(0);
  });

  test('a client that leaves opens nothing, before the answer or within it', async () => {
    const gateway = await start();
    for (const script of [{ hang: true }, { silence: { ms: 60_000, afterEvents: 3 } }]) {
      gateway.mock.clear();
      gateway.mock.script({ script });
      const asked = Array.from({ length: 10 }, (_, index) => ask(gateway, index, { stream: script.hang !== true }));
      await eventually(() => (gateway.mock.requests().length === 10 ? true : undefined));
      if (script.hang !== true) {
        await eventually(() => (asked.every((each) => each.bytes() > 0) ? true : undefined));
      }
      for (const each of asked) each.request.destroy();
      await eventually(() => (gateway.mock.requests().every(({ aborted }) => aborted) ? true : undefined));
    }
    gateway.mock.clear();
    expect(statuses(await askAll(gateway, 4))).toEqual([200, 200, 200, 200]);
    expect(told(gateway, 'BreakerOpened')).toBe(0);
    const lines = gateway.lines().filter((line) => line['aborted'] === true);
    expect(lines).toHaveLength(20);
    expect(lines.filter((line) => 'UpstreamStreamsBroken' in line)).toEqual([]);
  });

  test('one consumer alone opens nothing, however often it fails', async () => {
    const gateway = await start({ config: { breaker: STAYS_OPEN } });
    gateway.mock.script({ script: OVERLOADED });
    const answers: Answer[] = [];
    for (let index = 0; index < 40; index += 1) answers.push(await ask(gateway, 0).answer);
    expect(answers.filter(isRejection)).toEqual([]);
    // A failure is noted when its request is over: the next request may still pass.
    await ask(gateway, 1).answer;
    await eventually(async () => (isRejection(await ask(gateway, 0).answer) ? true : undefined));
    await gateway.waitForLog(/is open: \d+ of \d+ requests failed, of 2 consumers/);
  });

  test('a stream whose first byte is overdue, while it hangs; an answer that only takes long does not', async () => {
    const gateway = await start();
    gateway.mock.script({ script: { hang: true } });
    const slow = Array.from({ length: 8 }, (_, index) => ask(gateway, index));
    const streams: Exchange[] = [];
    await eventually(() => (gateway.mock.requests().length === 8 ? true : undefined));
    // Longer than the deadline of a stream, and a look at those that are overdue.
    await sleep(2500);
    expect(told(gateway, 'BreakerOpened')).toBe(0);
    for (let index = 0; index < 8; index += 1) streams.push(ask(gateway, index, { stream: true }));
    await eventually(() => (gateway.mock.requests().length === 16 ? true : undefined));
    await eventually(() => (told(gateway, 'BreakerOpened') === 1 ? true : undefined));
    expect(gateway.mock.requests().filter(({ aborted }) => aborted)).toEqual([]);
    for (const each of [...slow, ...streams]) each.request.destroy();
  });

  test('streams that are broken off have a metric of their own', async () => {
    const gateway = await start();
    gateway.mock.script({ times: 1, script: { cut: { afterEvents: 3 } } });
    await expect(ask(gateway, 0, { stream: true }).answer).rejects.toThrow();
    const line = await gateway.waitForLine((each) => each['UpstreamStreamsBroken'] === 1);
    expect(line).toMatchObject({ Upstream: 'mock', stream: true, status: 200, EstimatedUsage: 1 });
    expect(line).not.toHaveProperty('aborted');
    for (const script of [{}, { streamError: { atEvent: 4 } }]) {
      gateway.mock.script({ times: 1, script });
      await ask(gateway, 0, { stream: true }).answer;
    }
    await eventually(() => (gateway.lines().filter((each) => each['stream'] === true).length === 3 ? true : undefined));
    expect(gateway.lines().filter((each) => 'UpstreamStreamsBroken' in each)).toHaveLength(1);
  });

  test('successes too, of those that nobody looked at: many of them keep it closed', async () => {
    const gateway = await start({ config: { breaker: { ...BREAKER, windowSeconds: 60 } } });
    const agents = Array.from({ length: 20 }, async (_, client) => {
      for (let index = 0; index < 50; index += 1) await ask(gateway, client + index).answer;
    });
    await Promise.all(agents);
    gateway.mock.script({ script: OVERLOADED });
    // A third of them all: far below the share, and far above that of what was looked at one by one.
    expect(statuses(await Promise.all(Array.from({ length: 500 }, (_, index) => ask(gateway, index).answer)))).toEqual(
      Array(500).fill(529),
    );
    expect((await ask(gateway, 0).answer).status).toBe(529);
    expect(gateway.errorLog()).not.toContain('is open');
  });
});

describe('each breaker is for one', () => {
  test('model: 529s of one leave the others alone, also where bodies stand in files', async () => {
    const gateway = await start({ config: { breaker: STAYS_OPEN } });
    gateway.mock.script({ match: { model: OPUS }, script: OVERLOADED });
    await askUntilOpen(gateway, { model: OPUS });
    expect(statuses(await askAll(gateway, 6, { model: SONNET }))).toEqual(Array(6).fill(200));
    expect(statuses(await askAll(gateway, 2, { model: 'claude-never-asked-before' }))).toEqual([200, 200]);
    const large = (model: string): string => messageBody({ model, metadata: { user_id: 'x'.repeat(200_000) } });
    const behind = (model: string): string =>
      JSON.stringify({ max_tokens: 9, messages: [{ role: 'user', content: 'y'.repeat(200_000) }], model });
    for (const make of [large, behind]) {
      expect(isRejection(await ask(gateway, 0, { body: make(OPUS) }).answer)).toBe(true);
      expect((await ask(gateway, 0, { body: make(SONNET) }).answer).status).toBe(200);
    }
    expect(openNow(gateway) ?? 1).toBe(1);
  });

  // Of many requests a second most are not looked at before they have failed.
  test.each<[string, MockScript, boolean]>([
    ['are answered with 529', OVERLOADED, false],
    [
      'have an error instead of an answer',
      { status: 200, body: '{"type":"error","error":{"type":"api_error"}}' },
      false,
    ],
    ['are overloaded inside a stream', { streamError: { type: 'overloaded_error' } }, true],
    ['are broken off', { cut: { afterEvents: 3 } }, true],
  ])('model: among many requests too, those count for theirs that %s', async (_what, script, stream) => {
    const gateway = await start({
      config: { breaker: STAYS_OPEN },
      placement: { workers: 1 },
      consumers: TEAMS.map((id) => ({
        id,
        rate: 10_000,
        burst: 10_000,
        models: [OPUS, SONNET],
        concurrency: 200,
        maxStreams: 40,
      })),
    });
    gateway.mock.script({ match: { model: OPUS }, script });
    await eventually(async () => {
      const good = Array.from({ length: 70 }, (_, index) => ask(gateway, index).answer);
      const bad = Array.from({ length: 10 }, (_, index) => ask(gateway, index, { model: OPUS, stream }).answer);
      await Promise.allSettled([...good, ...bad]);
      return / is open: /.test(gateway.errorLog()) ? true : undefined;
    }, 15_000);
    await gateway.waitForLog(/for generate, model claude-opus-5 is open: /);
    expect(gateway.errorLog()).not.toMatch(/model \* is open/);
    await gateway.waitForLine((line) => line['model'] === OPUS);
    const named = gateway.lines().filter((line) => line['RouteClass'] === 'generate' && line['refusal'] === undefined);
    expect(new Set(named.map((line) => line['model']))).toEqual(new Set([OPUS, SONNET]));
  });

  test('route class: messages that fail leave token counts and models alone', async () => {
    const gateway = await start();
    gateway.mock.script({ match: { path: '/v1/messages' }, script: { status: 500 } });
    await askUntilOpen(gateway);
    expect((await ask(gateway, 0, { path: '/v1/messages/count_tokens' }).answer).status).toBe(200);
    expect((await send(gateway, { method: 'GET', path: '/v1/models' })).status).toBe(200);
    expect((await send(gateway, { method: 'GET', path: '/v1/files' })).status).toBe(200);
  });

  test('and may be for classes that name no model', async () => {
    const gateway = await start();
    gateway.mock.script({ match: { path: '/v1/files' }, script: { status: 500 } });
    const options = { method: 'GET', path: '/v1/files', body: '' };
    await askUntilOpen(gateway, options);
    expect((await ask(gateway, 0).answer).status).toBe(200);
    gateway.mock.clear();
    await askUntilWell(gateway, options);
  });
});

describe('with a second upstream', () => {
  const others = [{ id: 'second' }];
  const second = (gateway: TestGateway) => {
    const mock = gateway.others['second'];
    if (mock === undefined) throw new Error('there is no second mock');
    return mock;
  };

  test('an outage of the first is not seen by its clients, and once it is open it is not asked any more', async () => {
    const gateway = await start({ others, config: { timeouts: IMPATIENT } });
    for (const script of [OVERLOADED, { reset: true }, { hang: true }] as const) {
      gateway.mock.clear();
      gateway.mock.script({ script });
      const answers = await askAll(gateway, 8);
      const last = await eventually(async () => {
        const answer = await ask(gateway, 0).answer;
        return answer.status === 200 && answer.headers['x-causeway-upstream'] === 'second' ? answer : undefined;
      });
      expect(last.headers['x-mock-name']).toBe('second');
      // A message that was sent whole and got no answer may have been billed: it is not repeated until the breaker opens.
      const expected = script === OVERLOADED ? [200] : [200, 502, 504];
      expect([...new Set(statuses(answers))].filter((status) => !expected.includes(status))).toEqual([]);
    }
    expect(
      second(gateway)
        .requests()
        .every(({ servername }) => servername === hostOf('second')),
    ).toBe(true);
    const asked = gateway.mock.requests().length;
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(gateway, index).answer));
    expect(new Set(answers.map((each) => each.headers['x-causeway-upstream']))).toEqual(new Set(['second']));
    expect(gateway.mock.requests().length - asked).toBeLessThanOrEqual(2);
    await gateway.waitForLine((each) => each['breaker'] === 'open' && each['Upstream'] === 'second');
    expect(told(gateway, 'BreakerOpened', 'second')).toBe(0);

    gateway.mock.clear();
    await eventually(async () => {
      const answer = await ask(gateway, 0).answer;
      return answer.headers['x-causeway-upstream'] === 'mock' ? true : undefined;
    }, 15_000);
    await eventually(async () => {
      await ask(gateway, 1).answer;
      return told(gateway, 'BreakerClosed') === 1 ? true : undefined;
    }, 15_000);
    expect(told(gateway, 'Failovers')).toBeGreaterThan(0);
  });

  test('where both are left alone, the error is our own', async () => {
    const gateway = await start({ others });
    gateway.mock.script({ script: OVERLOADED });
    second(gateway).script({ script: { status: 500, message: 'of the second' } });
    const answers = await askAll(gateway, 6);
    expect(answers.every(({ text }) => text.includes('of the second'))).toBe(true);
    const rejected = await askUntilOpen(gateway);
    expect(rejected.status).toBe(503);
    await gateway.waitForLine((each) => each['BreakerRejections'] === 1);
    await eventually(() => (openNow(gateway) === 1 && openNow(gateway, 'second') === 1 ? true : undefined));

    second(gateway).clear();
    await askUntilWell(gateway);
    gateway.mock.clear();
    await eventually(async () => {
      const answer = await ask(gateway, 0).answer;
      return answer.headers['x-causeway-upstream'] === 'mock' ? true : undefined;
    }, 15_000);
  });

  test('a message that must stay with the first gets the error of its breaker', async () => {
    const gateway = await start({ others });
    gateway.mock.script({ script: OVERLOADED });
    await askAll(gateway, 6);
    const content = [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }];
    const body = messageBody({ messages: [{ role: 'user', content }] });
    await askUntilOpen(gateway, { body });
    expect((await ask(gateway, 0).answer).headers['x-causeway-upstream']).toBe('second');
    expect(
      second(gateway)
        .requests()
        .some(({ sha256 }) => sha256 === ''),
    ).toBe(false);
  });
});

test('switched off, an upstream is asked whatever it answers', async () => {
  const gateway = await start({ config: { breaker: { ...BREAKER, enabled: false } } });
  gateway.mock.script({ script: OVERLOADED });
  expect(statuses(await askAll(gateway, 30))).toEqual(Array(30).fill(529));
  await gateway.waitForLine((line) => line['Upstream'] === 'mock' && 'UpstreamAddresses' in line);
  expect(gateway.lines().filter((line) => 'BreakerOpenNow' in line)).toEqual([]);
});
