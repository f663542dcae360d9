import type Anthropic from '@anthropic-ai/sdk';

import { eventually, startGateway, startNodes, type TestGateway, type TestNodes } from './harness';
import { asking, CACHEABLE } from './support/cacheable';
import { exchange, sha256, type Received, type Sending } from './support/exchange';
import { requestLines } from './support/metering';
import { ASK, SDK_RELEASES } from './support/sdk-releases';

const stateOf = ({ headers }: Received): string | undefined => headers['x-causeway-cache'];

let fleet: TestNodes;
beforeAll(async () => {
  fleet = await startNodes(2);
});
beforeEach(() => {
  fleet.mock.clear();
});
afterAll(() => fleet.stop());
const node = (index: number): TestGateway => fleet.nodes[index] ?? fleet.nodes[0];

/** Asks a node for something new, and waits until Valkey has it: its client does not. */
async function store(on: TestGateway, sending: Sending): Promise<Received> {
  const copies = async (): Promise<number> => {
    const keys = await fleet.valkey.command('KEYS', 'cw:*:cache:*');
    return Array.isArray(keys) ? keys.length : 0;
  };
  const before = await copies();
  const answer = await exchange(on, sending);
  await eventually(async () => ((await copies()) > before ? true : undefined));
  return answer;
}

describe.each(CACHEABLE)('$what', ({ what, sending }) => {
  it('that one node fetched is there on another, from Valkey and then from its memory', async () => {
    const asked = sending(`${what}: second node`);
    const first = await store(node(0), asked);
    const second = await exchange(node(1), asked);
    const third = await exchange(node(1), asked);
    expect([first, second, third].map(stateOf)).toEqual(['MISS', 'HIT', 'HIT']);
    for (const each of [second, third]) {
      expect(sha256(each.body)).toBe(sha256(first.body));
      expect(each.headers['etag']).toBe(`"${sha256(first.body).slice(0, 32)}"`);
      expect(each.headers['request-id']).toBe(first.headers['request-id']);
    }
    expect(fleet.mock.requests()).toHaveLength(1);
    const lines = await requestLines(node(1), 2, (line) => line['upstreamRequestId'] === first.headers['request-id']);
    const tiers = lines.filter((line) => line['cache'] === 'HIT').map((line) => line['cacheTier']);
    expect(tiers).toEqual(expect.arrayContaining(['l1', 'l2']));
  });

  it('stands in for an upstream that fails on a node that never fetched it', async () => {
    const name = `${what}: stale elsewhere`;
    const first = await store(node(0), sending(name));
    const stale = await exchange(node(1), sending(name, { ...asking('max-age=0'), script: { status: 529 } }));
    expect([stateOf(stale), stale.status, sha256(stale.body)]).toEqual(['STALE', 200, sha256(first.body)]);
  });

  it('is answered without Valkey too, from the node’s memory and by the upstream', async () => {
    const alone = await startGateway({ valkey: { host: '127.0.0.1', port: 1 } });
    try {
      const asked = sending(`${what}: no Valkey`);
      const answers = [await exchange(alone, asked), await exchange(alone, asked)];
      expect(answers.map(stateOf)).toEqual(['MISS', 'HIT']);
    } finally {
      await alone.stop();
    }
  });
});

it('survives a node that is started anew', async () => {
  const first = await startGateway({ beside: node(0), valkey: fleet.valkey });
  const answers: Received[] = [];
  const names = CACHEABLE.map(({ what }) => `${what}: restart`);
  try {
    for (const [index, { sending }] of CACHEABLE.entries())
      answers.push(await store(first, sending(names[index] ?? '')));
    expect(answers.map(stateOf)).toEqual(CACHEABLE.map(() => 'MISS'));
  } finally {
    await first.stop();
  }
  const second = await startGateway({ beside: node(0), valkey: fleet.valkey });
  try {
    for (const [index, { sending }] of CACHEABLE.entries()) {
      const again = await exchange(second, sending(names[index] ?? ''));
      expect([stateOf(again), sha256(again.body)]).toEqual(['HIT', sha256(answers[index]?.body ?? '')]);
    }
    expect(fleet.mock.requests()).toHaveLength(CACHEABLE.length);
  } finally {
    await second.stop();
  }
});

describe.each(SDK_RELEASES)('@anthropic-ai/sdk $release', ({ release, create }) => {
  const client = (index: number): Anthropic =>
    create({
      apiKey: node(0).key,
      baseURL: node(index).baseUrl,
      maxRetries: 0,
      defaultHeaders: { 'x-causeway-cache': 'max-age=60' },
    });
  const body = { ...ASK, messages: [{ role: 'user' as const, content: `by SDK ${release}` }] };

  it('gets a message, counted tokens and models from copies, on either node', async () => {
    const message = await client(0).messages.create(body).withResponse();
    const models = await client(0).models.list().withResponse();
    const counted = await client(0).messages.countTokens({ model: body.model, messages: body.messages }).withResponse();
    for (const index of [0, 1]) {
      await eventually(async () => {
        const again = await client(index).messages.create(body).withResponse();
        expect(again.data).toEqual(message.data);
        return again.response.headers.get('x-causeway-cache') === 'HIT' ? true : undefined;
      });
      const list = await client(index).models.list().withResponse();
      expect([list.response.headers.get('x-causeway-cache'), list.data.data]).toEqual(['HIT', models.data.data]);
      const count = await client(index)
        .messages.countTokens({ model: body.model, messages: body.messages })
        .withResponse();
      expect([count.response.headers.get('x-causeway-cache'), count.data]).toEqual(['HIT', counted.data]);
    }
  });

  it('reads a stream that is played back like the first one', async () => {
    const request = { ...body, stream: true as const };
    const collect = async (index: number) => {
      const { data, response } = await client(index).messages.create(request).withResponse();
      const events: unknown[] = [];
      for await (const event of data) events.push(event);
      return { state: response.headers.get('x-causeway-cache'), events };
    };
    const first = await collect(0);
    expect(first.state).toBe('MISS');
    for (const index of [0, 1]) {
      const again = await eventually(async () => {
        const each = await collect(index);
        return each.state === 'HIT' ? each : undefined;
      });
      expect(again.events).toEqual(first.events);
    }
    const helper = client(1).messages.stream(body);
    const final = await helper.finalMessage();
    expect(final.stop_reason).toBe('end_turn');
    expect(final.content).toHaveLength(1);
  });
});
