import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppConfigClient } from '@aws-sdk/client-appconfig';
import { RegionalAppConfig } from '../../lib/registry/app-config-client';
import { AppConfigStore } from '../../lib/registry/app-config-store';
import { runKeys } from '../../lib/registry/cli/run';
import { hashKey, type RegistryDocument } from '../../lib/registry/document';
import { FakeAppConfig } from './fake-app-config';

const ROOT = join(__dirname, '..', '..');
const NAMES = { application: 'causeway-prod', environment: 'gateway', registry: 'registry' };
const REGIONS = ['us-east-1', 'eu-central-1'] as const;
const NOW = Date.parse('2026-11-23T12:00:00Z');

let fake: FakeAppConfig;
beforeEach(async () => {
  fake = await FakeAppConfig.start();
});
afterEach(async () => {
  await fake.close();
});

function storeOf(region: string, names = NAMES, options: { graceMs?: number } = {}): AppConfigStore {
  const client = new AppConfigClient({
    region,
    endpoint: fake.endpoint,
    credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
    retryMode: 'standard',
    maxAttempts: 2,
  });
  const appConfig = new RegionalAppConfig(region, names, client);
  return new AppConfigStore({ appConfig, pollMs: 5, say: (line) => said.push(line), ...options });
}

let said: string[] = [];
let stores: AppConfigStore[] = [];
let made = 0;
beforeEach(() => {
  said = [];
  stores = REGIONS.map((region) => storeOf(region));
});

interface Ran {
  readonly printed: string;
  readonly problem: string | undefined;
}

async function keys(...argv: readonly string[]): Promise<Ran> {
  let printed = '';
  made += 1;
  const secret = `cwk_${made}`;
  try {
    await runKeys([...argv, '--env', 'prod'], {
      places: ({ regions }) => stores.filter(({ name }) => regions.length === 0 || regions.includes(name)),
      now: NOW,
      who: 'ann@laptop',
      print: (text) => (printed += text),
      say: (line) => said.push(line),
      createKey: () => secret,
    });
    return { printed, problem: undefined };
  } catch (error) {
    return { printed, problem: (error as Error).message };
  }
}

const latest = (region: string): RegistryDocument =>
  JSON.parse(fake.region(region).versions.at(-1)?.content ?? '') as RegistryDocument;
const deployed = (region: string): RegistryDocument => JSON.parse(fake.region(region).deployed) as RegistryDocument;

test('a key that is added reaches every region, as a version that is deployed and tells who made it', async () => {
  const { printed, problem } = await keys('add', 'team-a', '--rate', '5');
  expect(problem).toBeUndefined();
  const secret = /cwk_\d+/.exec(printed)?.[0] ?? '';
  for (const region of REGIONS) {
    expect(deployed(region).consumers).toMatchObject([{ id: 'team-a', rate: 5, keys: [{ sha256: hashKey(secret) }] }]);
    const { versions } = fake.region(region);
    expect(versions).toHaveLength(2);
    expect(JSON.parse(versions[1]?.description ?? '')).toMatchObject({
      when: '2026-11-23T12:00:00Z',
      who: 'ann@laptop',
      what: 'add team-a',
      changes: [{ to: expect.stringMatching(/^sha256 .{8}…$/) as string }, { member: 'team-a.rate', to: 5 }],
    });
    expect(versions[1]?.description).not.toContain(hashKey(secret));
    expect(versions[1]?.description).not.toContain(secret);
  }
  expect(said).toEqual(
    expect.arrayContaining(
      REGIONS.flatMap((region) => [`${region}: deployment 2 started`, `${region}: version 2 is deployed`]),
    ),
  );
  const { printed: history } = await keys('history', 'team-a', '--region', 'us-east-1');
  expect(history).toMatch(/^2026-11-23T12:00:00Z {2}ann@laptop {2}add team-a\n/);
});

test('every command works on what the ones before it wrote', async () => {
  await keys('add', 'team-a');
  await keys('rotate', 'team-a', '--keep-for', '24h', '--key-id', 'new');
  await keys('set', 'team-a', '--disabled', 'true');
  for (const region of REGIONS) {
    expect(deployed(region).consumers).toMatchObject([
      { id: 'team-a', disabled: true, keys: [{ notAfter: '2026-11-24T12:00:00Z' }, { id: 'new' }] },
    ]);
  }
  expect((await keys('list')).printed).toMatch(/^team-a +2 +default .* disabled$/m);
  await keys('revoke', 'team-a');
  for (const region of REGIONS) expect(deployed(region).consumers).toEqual([]);
});

test('what changes nothing writes nothing, but is deployed where it was not', async () => {
  await keys('add', 'team-a', '--rate', '5');
  for (const each of fake.region('eu-central-1').deployments) if (each.version === 2) each.state = 'ROLLED_BACK';
  const { printed, problem } = await keys('set', 'team-a', '--rate', '5');
  expect({ printed, problem }).toEqual({
    printed: 'Nothing is changed: consumer "team-a" is so already.\n',
    problem: undefined,
  });
  expect(fake.region('eu-central-1').versions).toHaveLength(2);
  expect(fake.region('us-east-1').deployments).toHaveLength(2);
  expect(fake.region('eu-central-1').deployments).toHaveLength(3);
  expect(deployed('eu-central-1').consumers).toHaveLength(1);
});

test('many at the same time lose nothing', async () => {
  const names = Array.from({ length: 8 }, (_, index) => `team-${index}`);
  const ran = await Promise.all(names.map((name) => keys('add', name)));
  expect(ran.filter(({ problem }) => problem !== undefined)).toEqual([]);
  for (const region of REGIONS) {
    expect(
      deployed(region)
        .consumers.map(({ id }) => id)
        .sort(),
    ).toEqual(names);
    expect(fake.region(region).versions).toHaveLength(9);
  }
});

test('a change is made anew on what somebody else has written meanwhile', async () => {
  const region = fake.region('us-east-1');
  region.beforeCreate = () => {
    region.versions.push({
      content: JSON.stringify({
        version: 1,
        consumers: [{ id: 'other', keys: [{ id: 'k', sha256: 'f'.repeat(64) }] }],
      }),
      description: 'by hand',
    });
  };
  expect((await keys('add', 'team-a', '--region', 'us-east-1')).problem).toBeUndefined();
  expect(deployed('us-east-1').consumers.map(({ id }) => id)).toEqual(['other', 'team-a']);
});

test('a version whose answer was lost is not written twice', async () => {
  fake.region('us-east-1').loseAnswers = 1;
  expect((await keys('add', 'team-a')).problem).toBeUndefined();
  expect(fake.region('us-east-1').versions).toHaveLength(2);
});

test('a deployment in progress is waited for, whatever it deploys', async () => {
  const { deployments } = fake.region('us-east-1');
  deployments.push({
    number: 2,
    profile: 'prof002',
    version: 7,
    state: 'DEPLOYING',
    percent: 20,
    looks: 5,
    description: '',
  });
  expect((await keys('add', 'team-a')).problem).toBeUndefined();
  expect(said).toContain('us-east-1: deployment 2 has to end first');
  expect(deployed('us-east-1').consumers).toHaveLength(1);
});

test('a deployment that does not end is told, with the way out', async () => {
  const { deployments } = fake.region('us-east-1');
  deployments.push({
    number: 2,
    profile: 'prof002',
    version: 7,
    state: 'DEPLOYING',
    percent: 20,
    looks: 1e9,
    description: '',
  });
  stores = [storeOf('us-east-1', NAMES, { graceMs: 50 }), storeOf('eu-central-1')];
  const { printed, problem } = await keys('add', 'team-a');
  expect(printed).toMatch(/cwk_/);
  expect(problem).toMatch(/^not deployed in us-east-1: us-east-1: deployment 2 has not ended \(.*20 %\)/);
  expect(deployed('eu-central-1').consumers).toHaveLength(1);
});

test('a deployment that is taken back is told, with AppConfig’s reason, and sync deploys it again', async () => {
  fake.region('eu-central-1').outcome = 'ROLLED_BACK';
  const { printed, problem } = await keys('add', 'team-a');
  expect(printed).toMatch(/cwk_/);
  expect(problem).toMatch(/AppConfig took version 2 back \(deployment 2\): an alarm went off\./);
  expect(problem).toContain('`npm run keys -- sync --env prod --from us-east-1` finishes it');
  expect(deployed('eu-central-1').consumers).toHaveLength(0);

  fake.region('eu-central-1').outcome = 'COMPLETE';
  expect(await keys('sync')).toEqual({
    printed: 'All places have the same registry, and it is in use.\n',
    problem: undefined,
  });
  expect(deployed('eu-central-1').consumers).toHaveLength(1);
});

test('what cannot be read anywhere is written nowhere', async () => {
  fake.region('eu-central-1').down = { status: 403, type: 'AccessDeniedException' };
  const { printed, problem } = await keys('add', 'team-a');
  expect(printed).toBe('');
  expect(problem).toMatch(
    /^eu-central-1: AppConfig: .*\(AccessDeniedException\): docs\/consumers\.md lists the permissions/,
  );
  expect(fake.region('us-east-1').versions).toHaveLength(1);
  // A region that is down is left out on purpose.
  expect((await keys('add', 'team-a', '--region', 'us-east-1')).problem).toBeUndefined();
});

test('a region that fails half-way is told with the key and the way out, and sync makes it good', async () => {
  const region = fake.region('eu-central-1');
  region.beforeCreate = () => {
    region.versions.push({ content: '{"version":1,"consumers":[{"id":"x"}]}', description: 'broken by hand' });
  };
  const { printed, problem } = await keys('add', 'team-a');
  expect(printed).toMatch(/cwk_/);
  expect(problem).toMatch(
    /^not written in eu-central-1: eu-central-1: version 2 of the registry: consumer "x": keys: must be a list/,
  );
  expect(problem).toMatch(/written in us-east-1: `npm run keys -- sync --env prod --from us-east-1` finishes it$/);
  expect(deployed('us-east-1').consumers).toHaveLength(1);
  expect((await keys('sync', '--from', 'us-east-1')).problem).toBeUndefined();
  expect(deployed('eu-central-1')).toEqual(deployed('us-east-1'));
});

test('regions that differ are told, and only what makes them alike, or revokes, goes on', async () => {
  await keys('add', 'team-a');
  await keys('add', 'team-b', '--region', 'us-east-1');
  stores = REGIONS.map((region) => storeOf(region));
  expect((await keys('list')).printed).toMatch(/team-b/);
  expect(said).toContainEqual(
    expect.stringMatching(/^eu-central-1 differs in team-b\.keys\.k-.*`sync --from <region>`/),
  );
  expect((await keys('add', 'team-c')).problem).toMatch(
    /^the registries of us-east-1 and eu-central-1 differ \(team-b/,
  );
  expect((await keys('sync')).problem).toMatch(/^us-east-1 and eu-central-1 differ: say by --from which/);
  // A revocation does not wait for order.
  expect((await keys('revoke', 'team-b')).problem).toBeUndefined();
  expect((await keys('revoke', 'team-b')).problem).toBe(
    'there is no consumer "team-b": `list` shows those that are there',
  );
  for (const region of REGIONS) expect(latest(region).consumers.map(({ id }) => id)).toEqual(['team-a']);

  await keys('set', 'team-a', '--rate', '9', '--region', 'eu-central-1');
  expect((await keys('sync', '--from', 'eu-central-1')).problem).toBeUndefined();
  for (const region of REGIONS) expect(deployed(region).consumers).toMatchObject([{ id: 'team-a', rate: 9 }]);
  expect(fake.region('us-east-1').versions.at(-1)?.description).toContain('"what":"sync eu-central-1"');
}, 30_000);

test('an endpoint that cannot be reached is told with the way out', async () => {
  await fake.close();
  expect((await keys('list', '--region', 'us-east-1')).problem).toMatch(
    /^us-east-1: AppConfig: .*ECONNREFUSED.*: check the network; --region leaves out a region that is down$/,
  );
  fake = await FakeAppConfig.start();
});

test('an environment that is not deployed is told by name', async () => {
  stores = [storeOf('us-east-1', { ...NAMES, application: 'causeway-new' })];
  expect((await keys('list')).problem).toBe(
    'us-east-1: there is no AppConfig application "causeway-new" in this account: deploy the environment there first, or sign in to the account that holds it',
  );
});

test('the program itself finds the regions in the config and AppConfig by its names', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'causeway-keys-aws-'));
  try {
    const config = join(directory, 'test.config.ts');
    const regions = REGIONS.map((region) => ({ region }));
    writeFileSync(config, `export default ${JSON.stringify({ environments: { prod: { regions } } })};\n`);
    const args = ['bin/keys.ts', 'add', 'team-a', '--env', 'prod', '--config', config, '--json'];
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], {
      cwd: ROOT,
      env: {
        ...process.env,
        AWS_ENDPOINT_URL_APPCONFIG: fake.endpoint,
        AWS_ACCESS_KEY_ID: 'AKIATEST',
        AWS_SECRET_ACCESS_KEY: 'test',
      },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const status = await new Promise((done) => child.once('close', done));
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('version 2 is deployed') as string,
    });
    const answer = JSON.parse(stdout) as { key: { secret: string }; places: unknown };
    expect(answer.places).toEqual(REGIONS.map((name) => ({ name, version: 2 })));
    for (const region of REGIONS) {
      expect(deployed(region).consumers[0]?.keys[0]?.sha256).toBe(hashKey(answer.key.secret));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
