import { rmSync } from 'node:fs';
import http from 'node:http';

import { runCache } from '../../lib/registry/cli/cache';
import { runKeys } from '../../lib/registry/cli/run';
import { hashKey } from '../../lib/registry/document';
import { FileStore } from '../../lib/registry/file-store';
import { writeJsonState } from '../../local/state-file';
import { eventually, startGateway, startNodes, UPSTREAM_SECRET, type TestGateway, type TestNodes } from './harness';
import { messageBody, send, type Answer } from './support/http-client';

/** What the issue allows: a purge is seen by two nodes within 5 s. */
const BOUND_MS = 5000;
const CONSUMERS = [{ id: 'team-a' }, { id: 'team-b' }];
const BODY = messageBody({ messages: [{ role: 'user', content: 'Hello, cache' }] });

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function nodesOf(...args: Parameters<typeof startNodes>): Promise<TestNodes> {
  const nodes = await startNodes(...args);
  stops.push(() => nodes.stop());
  return nodes;
}

async function gatewayOf(...args: Parameters<typeof startGateway>): Promise<TestGateway> {
  const gateway = await startGateway(...args);
  stops.push(() => gateway.stop());
  return gateway;
}

/** `npm run cache -- …` or `npm run keys -- …` on the registry of some nodes. */
async function command(program: 'cache' | 'keys', registry: string, ...argv: readonly string[]): Promise<string> {
  let printed = '';
  await (program === 'cache' ? runCache : runKeys)(argv, {
    places: () => [new FileStore(registry)],
    environment: () => undefined,
    now: Date.now(),
    who: 'test',
    print: (text) => (printed += text),
    say: () => undefined,
  });
  return printed;
}

interface Asked {
  readonly key?: string;
  readonly header?: string;
}

/** One message, on a connection of its own, so that any worker may answer it. */
async function ask(gateway: TestGateway, { key = gateway.key, header = 'max-age=300' }: Asked = {}): Promise<Answer> {
  const agent = new http.Agent({ keepAlive: false });
  return send(gateway, { key, body: BODY, headers: { 'x-causeway-cache': header }, agent });
}

const stateOf = ({ headers }: Answer): string => String(headers['x-causeway-cache']);

/** Several at once: so many that each worker of the node answers some. */
function several(gateway: TestGateway, asked: Asked = {}): Promise<Answer[]> {
  return Promise.all(Array.from({ length: 16 }, () => ask(gateway, asked)));
}

/** Waits until no worker of any of the nodes serves this answer any more, and tells how long that took in ms. */
async function untilGone(nodes: readonly TestGateway[], text: string, asked: Asked = {}): Promise<number> {
  const began = Date.now();
  await eventually(async () => {
    const answers = (await Promise.all(nodes.map((node) => several(node, asked)))).flat();
    return answers.every((answer) => answer.status === 200 && answer.text !== text) ? true : undefined;
  }, BOUND_MS);
  return Date.now() - began;
}

/** Stores an answer on the first node, and sees it served by all of them. */
async function store(
  { nodes, valkey }: Pick<TestNodes, 'nodes'> & Partial<Pick<TestNodes, 'valkey'>>,
  key: string,
): Promise<string> {
  const shared = async (): Promise<number> => ((await valkey?.command('KEYS', 'cw:*:cache:*')) as string[]).length;
  const before = valkey === undefined ? 0 : await shared();
  const { text, status } = await ask(nodes[0], { key });
  expect(status).toBe(200);
  if (valkey !== undefined) await eventually(async () => ((await shared()) > before ? true : undefined));
  for (const node of nodes) {
    const answers = await several(node, { key });
    expect(answers.map((answer) => [stateOf(answer), answer.text])).toEqual(answers.map(() => ['HIT', text]));
  }
  return text;
}

test('a purge is seen by two nodes within 5 s: of one consumer, whose answers alone go, and of all', async () => {
  const region = await nodesOf(2, { consumers: CONSUMERS });
  const { nodes, keys } = region;
  const { registry } = nodes[0].files;
  const [a, b] = [keys['team-a'] ?? '', keys['team-b'] ?? ''];
  const [ofA, ofB] = [await store(region, a), await store(region, b)];

  await command('cache', registry, 'purge', '--consumer', 'team-a');
  await untilGone(nodes, ofA, { key: a });
  for (const node of nodes) {
    for (const answer of await several(node, { key: b })) expect([stateOf(answer), answer.text]).toEqual(['HIT', ofB]);
    // It does not come back.
    for (const answer of await several(node, { key: a })) expect(answer.text).not.toBe(ofA);
  }

  const anew = (await ask(nodes[0], { key: a })).text;
  await command('cache', registry, 'purge');
  await Promise.all([untilGone(nodes, anew, { key: a }), untilGone(nodes, ofB, { key: b })]);
  // What is stored from then on is served again, by both.
  await eventually(async () => {
    const answers = (await Promise.all(nodes.map((node) => several(node, { key: b })))).flat();
    return answers.every((answer) => stateOf(answer) === 'HIT') ? true : undefined;
  });
}, 60_000);

test('a node that starts after a purge does not find what was stored before it', async () => {
  const region = await nodesOf(2, { consumers: [{ id: 'team-a' }] });
  const { nodes, valkey } = region;
  const [first] = nodes;
  const old = await store(region, first.key);
  await command('cache', first.files.registry, 'purge');
  await untilGone(nodes, old);
  const third = await gatewayOf({ beside: first, valkey });
  for (const answer of await several(third, { key: first.key })) expect(answer.text).not.toBe(old);
}, 60_000);

test('who is given the name of a consumer that was taken away is not answered from what that one left', async () => {
  const region = await nodesOf(2, { consumers: CONSUMERS });
  const { nodes } = region;
  const [first] = nodes;
  const { registry } = first.files;
  const old = await store(region, first.key);
  await command('keys', registry, 'revoke', 'team-a');
  const printed = await command('keys', registry, 'add', 'team-a', '--rate', '1000', '--burst', '1000');
  const key = first.secret(/cwk_[\w-]{43}/.exec(printed)?.[0] ?? '');
  await eventually(async () => {
    const answers = (await Promise.all(nodes.map((node) => several(node, { key })))).flat();
    for (const answer of answers) expect(answer.text).not.toBe(old);
    return answers.every(({ status }) => status === 200) ? true : undefined;
  }, BOUND_MS);
}, 60_000);

test('a purge takes away what an outage would have been answered with', async () => {
  const gateway = await gatewayOf({ consumers: [{ id: 'team-a' }], config: { breaker: { enabled: false } } });
  const { text } = await ask(gateway, { header: 'outage' });
  gateway.mock.script({ script: { status: 529 } });
  await eventually(async () => {
    const answers = await several(gateway, { header: 'outage' });
    return answers.every((answer) => stateOf(answer) === 'STALE' && answer.text === text) ? true : undefined;
  });
  await command('cache', gateway.files.registry, 'purge', '--consumer', 'team-a');
  await eventually(async () => {
    const answers = await several(gateway, { header: 'outage' });
    return answers.every(({ status }) => status === 529) ? true : undefined;
  }, BOUND_MS);
}, 60_000);

test('in passthrough a purge finds a client’s own credential, as the access record calls it', async () => {
  const [one, other] = [UPSTREAM_SECRET, 'sk-ant-another-credential-of-a-client'];
  const gateway = await gatewayOf({
    config: {
      auth: { mode: 'passthrough' },
      limits: { perAddress: { rate: 10_000, burst: 10_000 } },
      consumers: { defaults: { rate: 10_000, burst: 10_000 } },
    },
    mock: { requireKeys: [one, other] },
  });
  gateway.secret(other);
  rmSync(gateway.files.registry);
  // Whom the upstream has accepted may have stored answers.
  for (const key of [one, other]) expect((await ask(gateway, { key })).status).toBe(200);
  const stored = async (key: string): Promise<string> => {
    const { text } = await ask(gateway, { key });
    return eventually(async () => {
      const answers = await several(gateway, { key });
      return answers.every((answer) => stateOf(answer) === 'HIT' && answer.text === text) ? text : undefined;
    });
  };
  const [ofOne, ofOther] = [await stored(one), await stored(other)];
  const id = `credential-${hashKey(one).slice(0, 16)}`;
  expect(gateway.lines().some((line) => line['consumer'] === id)).toBe(true);
  await command('cache', gateway.files.registry, 'purge', '--consumer', id);
  await untilGone([gateway], ofOne, { key: one });
  for (const answer of await several(gateway, { key: other })) {
    expect([stateOf(answer), answer.text]).toEqual(['HIT', ofOther]);
  }
}, 60_000);

test('in passthrough a credential that the upstream takes back gets no copies, however often it asks for them', async () => {
  const gateway = await gatewayOf({
    config: {
      auth: { mode: 'passthrough', pollSeconds: 1, revocationSeconds: 5 },
      limits: { perAddress: { rate: 10_000, burst: 10_000 } },
      consumers: { defaults: { rate: 10_000, burst: 10_000 } },
    },
  });
  const asked = { key: UPSTREAM_SECRET };
  await ask(gateway, asked);
  await ask(gateway, asked);
  expect(stateOf(await ask(gateway, asked))).toBe('HIT');
  gateway.mock.script({ script: { status: 401 } });
  // Without Valkey its copy would be young enough for a minute.
  await eventually(async () => ((await ask(gateway, asked)).status === 401 ? true : undefined), 20_000);
  expect((await several(gateway, asked)).map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 401));
}, 60_000);

test('what is stored is served only while purges are heard of: a registry that falls silent ends it', async () => {
  const gateway = await gatewayOf({
    consumers: [{ id: 'team-a' }],
    config: { auth: { pollSeconds: 1, revocationSeconds: 5 } },
  });
  const text = await store({ nodes: [gateway] }, gateway.key);
  const { document } = await new FileStore(gateway.files.registry).read();
  rmSync(gateway.files.registry);
  // For so long it is still served: the source may be back in a moment.
  expect(stateOf(await ask(gateway))).toBe('HIT');
  const silent = await eventually(async () => {
    const answers = await several(gateway);
    return answers.every((answer) => stateOf(answer) !== 'HIT') ? answers : undefined;
  }, 20_000);
  // Clients are served all the same.
  expect(silent.map(({ status }) => status)).toEqual(silent.map(() => 200));
  for (const answer of silent) expect(answer.text).not.toBe(text);

  writeJsonState(gateway.files.registry, document);
  await eventually(async () => {
    const answers = await several(gateway);
    return answers.every((answer) => stateOf(answer) === 'HIT') ? true : undefined;
  });
}, 60_000);
