import { rmSync } from 'node:fs';

import { createKey, hashKey, type RegisteredConsumer } from '../../lib/registry/document';
import { timestamp } from '../../lib/registry/time';
import { writeJsonState, writeStateFile } from '../../local/state-file';
import { eventually, startGateway, UPSTREAM_SECRET, type TestGateway } from './harness';
import { send } from './support/http-client';
import { startLoad, type Load } from './support/load';

const LIMITS = { rate: 100_000, burst: 100_000, concurrency: 10_000, maxStreams: 10_000 };

let gateway: TestGateway;
let load: Load;
beforeEach(async () => {
  // Failed authentications are asked for by the dozen.
  gateway = await startGateway({ config: { limits: { perAddress: { rate: 100_000, burst: 100_000 } } } });
  load = startLoad(gateway, { clients: 4, pauseMs: 20 });
});
afterEach(async () => {
  await load.stop();
  expect(load.succeeded()).toBeGreaterThan(0);
  expect(load.failures()).toEqual([]);
  await gateway.stop();
});

/** The consumer that the load belongs to. */
function teamA(): RegisteredConsumer {
  return { id: 'team-a', ...LIMITS, keys: [{ id: 'k1', sha256: hashKey(gateway.key) }] };
}

function writeRegistry(...consumers: RegisteredConsumer[]): void {
  writeJsonState(gateway.files.registry, { version: 1, consumers });
}

/** How often something was said in the error log. */
function said(text: string): number {
  return gateway.errorLog().split(text).length - 1;
}

/** Sum of a gauge's counts over all lines. */
function total(name: string): number {
  return gateway.lines().reduce((sum, line) => sum + Number(line[name] ?? 0), 0);
}

async function untilAllWorkersAnswer(key: string, status: number): Promise<void> {
  await eventually(async () => {
    // Both workers have to say it: each polls for itself.
    const answers = await Promise.all(Array.from({ length: 12 }, () => send(gateway, { key })));
    return answers.every((answer) => answer.status === status) ? true : undefined;
  }, 5000);
}

/** Waits for two more of the gateway's looks at its documents: gauges come as often. */
async function twoPolls(): Promise<void> {
  const gauges = (): number => gateway.lines().filter((line) => line['RegistryAgeSeconds'] !== undefined).length;
  const seen = gauges();
  await eventually(() => (gauges() > seen + 1 ? true : undefined), 10_000);
}

/** Broken edits, and what is said of them. */
const broken: Readonly<Record<string, { text: () => string; said: RegExp }>> = {
  'no JSON': { text: () => '{"version":1,"consumers":[', said: /the registry is not valid JSON: / },
  'an unknown member': {
    text: () => JSON.stringify({ version: 1, consumers: [{ ...teamA(), rat: 5 }] }),
    said: /team-a.*"rat" is no member of a consumer/,
  },
  'a key that stands twice': {
    text: () => JSON.stringify({ version: 1, consumers: [teamA(), { ...teamA(), id: 'team-b' }] }),
    said: /team-b.*team-a/,
  },
  'a version of the future': {
    text: () => JSON.stringify({ version: 2, consumers: [teamA()] }),
    said: /version is 2: must be 1/,
  },
};

test('each broken registry edit is refused and told once, and the last good one serves on', async () => {
  for (const [index, [what, edit]] of Object.entries(broken).entries()) {
    writeStateFile(gateway.files.registry, edit.text());
    await eventually(() => (total('RegistryRefused') > index ? true : undefined));
    await twoPolls();
    const messages = gateway.errorLog().match(/registry refused: .*; the last good one serves on/g);
    expect([what, messages?.length, total('RegistryRefused')]).toEqual([what, index + 1, index + 1]);
    expect(messages?.at(-1)).toMatch(edit.said);
  }
  expect((await send(gateway, { method: 'GET', path: '/readyz' })).status).toBe(200);
});

test('workers that start while the registry is broken serve with the last good one', async () => {
  await untilAllWorkersAnswer(gateway.key, 200);
  writeStateFile(gateway.files.registry, 'broken');
  await eventually(() => (said('registry refused: ') > 0 ? true : undefined));
  // Whose connections die with their workers.
  await load.stop();
  const before = gateway.nginx.workers();
  for (const pid of before) process.kill(pid, 'SIGKILL');
  await eventually(() => (gateway.nginx.workers().some((pid) => !before.includes(pid)) ? true : undefined));
  await untilAllWorkersAnswer(gateway.key, 200);

  const meanwhile = startLoad(gateway, { clients: 4, keepAlive: false, pauseMs: 5 });
  await gateway.nginx.reload(gateway.environment);
  await eventually(() => (meanwhile.succeeded() > 200 ? true : undefined), 20_000);
  await meanwhile.stop();
  expect(meanwhile.failures()).toEqual([]);
});

test('a good registry edit is taken within 5 s: new keys, keys that are gone, a rotation that ends', async () => {
  const [fresh, rotated] = [gateway.secret(createKey()), gateway.secret(createKey())];
  await untilAllWorkersAnswer(fresh, 401);
  const rotation = { id: 'old', sha256: hashKey(rotated), notAfter: timestamp(Date.now() + 3_600_000) };
  writeRegistry(teamA(), { id: 'team-b', ...LIMITS, keys: [{ id: 'new', sha256: hashKey(fresh) }, rotation] });
  await untilAllWorkersAnswer(fresh, 200);
  await untilAllWorkersAnswer(rotated, 200);

  const over = { ...rotation, notAfter: timestamp(Date.now() - 1000) };
  writeRegistry(teamA(), { id: 'team-b', ...LIMITS, keys: [over] });
  await untilAllWorkersAnswer(fresh, 401);
  await untilAllWorkersAnswer(rotated, 401);
  await gateway.waitForLine((line) => line['RegistryConsumers'] === 2);

  writeRegistry(teamA(), { id: 'team-b', ...LIMITS, keys: [{ id: 'new', sha256: hashKey(fresh) }], disabled: true });
  await eventually(async () => {
    await send(gateway, { key: fresh });
    return gateway.lines().find((line) => line['refusal'] === 'disabled_consumer');
  });
  await eventually(() => (said('registry reloaded') >= 2 ? true : undefined));
  expect(total('RegistryRefused')).toBe(0);
});

test('a broken registry that is mended is taken again', async () => {
  const fresh = gateway.secret(createKey());
  writeStateFile(gateway.files.registry, 'broken');
  await eventually(() => (total('RegistryRefused') > 0 ? true : undefined));
  writeRegistry(teamA(), { id: 'team-b', ...LIMITS, keys: [{ id: 'new', sha256: hashKey(fresh) }] });
  await untilAllWorkersAnswer(fresh, 200);
});

test('a registry that is gone is told once, and the last good one serves on', async () => {
  rmSync(gateway.files.registry);
  await eventually(() => (total('RegistryRefused') > 0 ? true : undefined));
  await twoPolls();
  expect(total('RegistryRefused')).toBe(1);
  expect(said('No such file or directory')).toBe(1);
  expect((await send(gateway, { method: 'GET', path: '/readyz' })).status).toBe(200);
});

test('broken credentials are refused and told once without being shown, and the last good ones serve on', async () => {
  const almost = gateway.secret('sk-ant-with-a space-in-it');
  writeJsonState(gateway.files.credentials, { version: 1, credentials: { mock: almost } });
  await eventually(() => (total('CredentialsRefused') > 0 ? true : undefined));
  await twoPolls();
  expect(total('CredentialsRefused')).toBe(1);
  expect(said('credentials refused: ')).toBe(1);
  writeJsonState(gateway.files.credentials, { version: 1, credentials: { other: 'sk-ant-other' } });
  await eventually(() => (said('credentials.mock is missing; upstream "mock" needs it') === 1 ? true : undefined));
});

test('replaced credentials reach the upstream within seconds', async () => {
  const replaced = gateway.secret('sk-ant-replaced-credential-9876543210');
  await load.stop();
  writeJsonState(gateway.files.credentials, { version: 1, credentials: { mock: replaced } });
  const seen = await eventually(async () => {
    await Promise.all(Array.from({ length: 12 }, () => send(gateway)));
    const last = gateway.mock.requests().slice(-12);
    return last.every(({ headers }) => headers['x-api-key'] === replaced) ? last : undefined;
  }, 5000);
  // The mock was started to take only the old one: that the gateway passes its 401 on untouched shows who refused.
  expect(seen.every(({ status }) => status === 401)).toBe(true);
  writeJsonState(gateway.files.credentials, { version: 1, credentials: { mock: UPSTREAM_SECRET } });
  await untilAllWorkersAnswer(gateway.key, 200);
});

test('without a registry at the start the gateway is not ready and refuses with 503; once it appears it serves', async () => {
  const starting = await startGateway({ placement: { registrySource: `${gateway.dir}/later.json` }, waitReady: false });
  try {
    const ready = (): Promise<number> =>
      send(starting, { method: 'GET', path: '/readyz' }).then(({ status, text }) => {
        if (status === 503) expect(JSON.parse(text)).toEqual({ status: 'not ready', missing: ['registry'] });
        return status;
      });
    await eventually(async () => ((await ready()) === 503 ? true : undefined));
    const refused = await send(starting);
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(JSON.parse(refused.text)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
    expect(starting.mock.requests()).toEqual([]);
    writeJsonState(`${gateway.dir}/later.json`, {
      version: 1,
      consumers: [{ id: 'team-a', keys: [{ id: 'k1', sha256: hashKey(starting.key) }] }],
    });
    await eventually(async () => ((await ready()) === 200 && (await send(starting)).status === 200 ? true : undefined));
  } finally {
    await starting.stop();
  }
});
