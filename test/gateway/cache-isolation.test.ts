import fc from 'fast-check';

import { exchange, messageBody, type HeaderLines, type Received, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';
import { random } from './support/json-text';

const REQUESTS = 800;
const seed = Number(process.env['CAUSEWAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const gateway = useGateway({ consumers: [{ id: 'team-a' }, { id: 'team-b' }] });

/** What the gateway may tell requests apart by, and nothing else. */
interface Identity {
  readonly consumer: string;
  readonly route: Pick<Sending, 'method' | 'target'>;
  /** Lines of one name stay in their order. */
  readonly headers: HeaderLines;
  readonly body: string | undefined;
}

const headers = fc
  .tuple(
    fc.constantFrom<HeaderLines>([['anthropic-version', '2023-06-01']], [['anthropic-version', '2026-10-21']]),
    fc.constantFrom<HeaderLines>(
      [],
      [['anthropic-beta', 'a,b']],
      [
        ['anthropic-beta', 'a'],
        ['anthropic-beta', 'b'],
      ],
      [
        ['anthropic-beta', 'b'],
        ['anthropic-beta', 'a'],
      ],
    ),
    fc.constantFrom<HeaderLines>([], [['anthropic-what-comes-next', '1']], [['accept', 'application/json']]),
  )
  .map((parts) => parts.flat());

const posts = fc.constantFrom(
  { method: 'POST', target: '/v1/messages/count_tokens' },
  { method: 'POST', target: '/v1/messages/count_tokens?beta=true' },
  { method: 'POST', target: '/v1/messages' },
  { method: 'POST', target: '/v1/messages?beta=true' },
);
const bodies = fc.constantFrom(
  messageBody(),
  `${messageBody()} `,
  messageBody({ system: 'other' }),
  messageBody({ metadata: { user_id: 'one' } }),
);
const consumer = fc.constantFrom('team-a', 'team-a', 'team-b');

const identity: fc.Arbitrary<Identity> = fc.oneof(
  fc.record({ consumer, route: posts, headers, body: bodies }),
  fc.record({
    consumer,
    route: fc.constantFrom({ method: 'GET', target: '/v1/models' }, { method: 'GET', target: '/v1/models?limit=2' }),
    headers,
    body: fc.constant(undefined),
  }),
);

/** One of the ways to send it: credentials, cases, orders, and what says nothing of the answer. */
function spelled({ consumer: id, route, headers: lines, body }: Identity, pick: (below: number) => number): Sending {
  const key = gateway().keys[id] ?? '';
  const noise: HeaderLines = [
    ['user-agent', `client ${pick(100)}`],
    ['X-Claude-Code-Session-Id', String(pick(100))],
    ['x-stainless-retry-count', String(pick(3))],
  ];
  const counted = lines.map(([name, value]) => [
    name.replace(/[a-z]/g, (letter) => (pick(3) === 0 ? letter.toUpperCase() : letter)),
    value,
  ]) as unknown as HeaderLines;
  const others = [...noise.filter(() => pick(2) === 0), ['x-causeway-cache', `max-age=${1000 + pick(100)}`]] as const;
  // Headers of other names go before, after and between them.
  const at = pick(counted.length + 1);
  return {
    ...route,
    ...(body === undefined ? {} : { body }),
    credential: pick(2) === 0 ? [['x-api-key', key]] : [['Authorization', `Bearer ${key}`]],
    headers: [...counted.slice(0, at), ...others, ...counted.slice(at)] as HeaderLines,
  };
}

test(`${REQUESTS} requests: those that are the same share an answer, and no others (seed ${seed})`, async () => {
  const pick = random(seed);
  const answers = new Map<string, Received>();
  let hits = 0;
  for (const one of fc.sample(identity, { numRuns: REQUESTS, seed })) {
    const name = JSON.stringify(one);
    const answer = await exchange(gateway(), spelled(one, pick));
    const before = answers.get(name);
    const got = [answer.status, answer.headers['x-causeway-cache'], answer.headers['request-id']];
    if (before === undefined) {
      expect([name, ...got]).toEqual([name, 200, 'MISS', gateway().mock.requests().at(-1)?.requestId]);
      answers.set(name, answer);
    } else {
      expect([name, ...got]).toEqual([name, 200, 'HIT', before.headers['request-id']]);
      expect(answer.body.equals(before.body)).toBe(true);
      hits += 1;
    }
  }
  expect(gateway().mock.requests()).toHaveLength(answers.size);
  expect(hits).toBeGreaterThan(REQUESTS / 10);
  expect(answers.size).toBeGreaterThan(REQUESTS / 4);
}, 120_000);
