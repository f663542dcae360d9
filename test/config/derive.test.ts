import fc from 'fast-check';
import { LADDER, ROUTE_CLASSES, type EnvironmentInput } from '../../lib/config';
import { environment, problemsOf } from './environment';

const broken = (input: EnvironmentInput): string[] => problemsOf(() => environment(input, LADDER));

test.each([1, 2, 30, 60, 119, 120, 121, 899, 900, 901, 3599, 3600])(
  'maxStreamSeconds = %i derives a ladder that keeps every rule',
  (maxStreamSeconds) => {
    expect(broken({ timeouts: { maxStreamSeconds } })).toEqual([]);
    expect(broken({ timeouts: { maxStreamSeconds }, edge: { enabled: true } })).toEqual([]);
  },
);

test('so does any combination of what the ladder starts from', () => {
  const read = fc.integer({ min: 1, max: 3900 });
  const inputs = fc.record({
    timeouts: fc.record(
      {
        maxStreamSeconds: fc.integer({ min: 1, max: 3600 }),
        upstream: fc.record(
          {
            connectSeconds: fc.integer({ min: 1, max: 75 }),
            sendSeconds: fc.integer({ min: 1, max: 3900 }),
            // `models` is left out: with the edge enabled, what is said there may rightly break a rule.
            readSeconds: fc.record(
              Object.fromEntries(ROUTE_CLASSES.filter((each) => each !== 'models').map((each) => [each, read])),
              { requiredKeys: [] },
            ),
          },
          { requiredKeys: [] },
        ),
        edgeReadSeconds: fc.integer({ min: 2, max: 120 }),
      },
      { requiredKeys: [] },
    ),
    edge: fc.record({ enabled: fc.boolean() }),
  });
  fc.assert(
    fc.property(inputs, (input) => {
      expect(broken(input)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test('where one step of the ladder is given, the others are fitted to it', () => {
  const above = fc.integer({ min: 1, max: 900 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), above, (read, step) => {
      const readSeconds = Object.fromEntries(ROUTE_CLASSES.map((each) => [each, read]));
      const timeouts = { upstream: { readSeconds } };
      expect(broken({ timeouts: { ...timeouts, loadBalancerIdleSeconds: read + 1 + step } })).toEqual([]);
      expect(broken({ timeouts: { ...timeouts, client: { sendSeconds: read + step } } })).toEqual([]);
    }),
  );
});

test('the highest steps that may be given leave room for those above', () => {
  expect(broken({ timeouts: { client: { sendSeconds: 3950 } } })).toEqual([]);
  expect(broken({ timeouts: { loadBalancerIdleSeconds: 4000 } })).toEqual([]);
});

test('the defaults', () => {
  const { timeouts, breaker } = environment();
  expect(timeouts).toEqual({
    maxStreamSeconds: 3600,
    upstream: {
      connectSeconds: 5,
      sendSeconds: 60,
      readSeconds: { generate: 900, count: 60, models: 30, batches: 900, files: 900, other: 900 },
    },
    client: { headerSeconds: 15, bodySeconds: 30, sendSeconds: 915, keepaliveSeconds: 945 },
    loadBalancerIdleSeconds: 930,
    drainSeconds: 3600,
    edgeReadSeconds: 60,
  });
  expect(breaker.streamFirstByteSeconds).toBe(120);
});

describe('upstreams that are waited for one after the other', () => {
  const upstreams = (first: { repeatAfterSent?: boolean }, more = {}): EnvironmentInput['upstreams'] => [
    { id: 'a', host: 'a.example', ...first },
    { id: 'b', host: 'b.example', ...more },
  ];
  const idle = (input: EnvironmentInput): number => environment(input, LADDER).timeouts.loadBalancerIdleSeconds;

  test('lengthen what outer hops wait, where a message is repeated after its timeout', () => {
    expect(idle({ upstreams: upstreams({}) })).toBe(930);
    expect(idle({ upstreams: upstreams({ repeatAfterSent: true }) })).toBe(1830);
    // The last one's flag means nothing: nobody is asked after it.
    expect(idle({ upstreams: upstreams({}, { repeatAfterSent: true }) })).toBe(930);
  });

  test('are only those that a request may be sent to', () => {
    const passthrough: EnvironmentInput = { auth: { mode: 'passthrough' } };
    const first = { repeatAfterSent: true };
    expect(idle({ ...passthrough, upstreams: upstreams(first) })).toBe(930);
    expect(idle({ ...passthrough, upstreams: upstreams(first, { takesClientCredential: true }) })).toBe(1830);
    expect(
      idle({ upstreams: upstreams(first, { routeClasses: ['count', 'models', 'batches', 'files', 'other'] }) }),
    ).toBe(930);
  });

  test('share what the edge waits for a list of models', () => {
    const input: EnvironmentInput = { edge: { enabled: true }, upstreams: upstreams({}) };
    expect(environment(input, LADDER).timeouts.upstream.readSeconds.models).toBe(29);
    const many = Array.from({ length: 9 }, (_, index) => ({ id: `u${index}`, host: `u${index}.example` }));
    expect(environment({ ...input, upstreams: many }, LADDER).timeouts.upstream.readSeconds.models).toBe(14);
  });
});

test('what is given is kept', () => {
  const given: EnvironmentInput = {
    timeouts: {
      maxStreamSeconds: 100,
      upstream: {
        connectSeconds: 1,
        sendSeconds: 2,
        readSeconds: { generate: 3, count: 4, models: 5, batches: 6, files: 7, other: 8 },
      },
      client: { headerSeconds: 1, bodySeconds: 2, sendSeconds: 9, keepaliveSeconds: 11 },
      loadBalancerIdleSeconds: 10,
      drainSeconds: 200,
      edgeReadSeconds: 6,
    },
    breaker: { streamFirstByteSeconds: 3 },
  };
  expect(environment(given)).toMatchObject(given);
});
