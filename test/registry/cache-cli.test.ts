import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppConfigClient } from '@aws-sdk/client-appconfig';
import { resolveEnvironment, type EnvironmentInput } from '../../lib/config';
import { RegionalAppConfig } from '../../lib/registry/app-config-client';
import { AppConfigStore } from '../../lib/registry/app-config-store';
import { runCache } from '../../lib/registry/cli/cache';
import { placesOf } from '../../lib/registry/cli/places';
import { runKeys } from '../../lib/registry/cli/run';
import type { RegistryDocument } from '../../lib/registry/document';
import { RegistryError, UsageError } from '../../lib/registry/errors';
import type { RegistryStore } from '../../lib/registry/store';
import { runCommand, type Ended } from './command';
import { FakeAppConfig } from './fake-app-config';

const ROOT = join(__dirname, '..', '..');
const NOW = Date.parse('2026-11-23T18:00:00Z');
const WORD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z-[0-9a-f]{8}$/;
const A_WORD = expect.stringMatching(WORD) as string;

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-cache-'));
  file = join(directory, 'state', 'registry.json');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const cache = (...args: readonly string[]): Promise<Ended> => runCommand('bin/cache.ts', [...args, '--file', file]);
const registry = (): RegistryDocument => JSON.parse(readFileSync(file, 'utf8')) as RegistryDocument;

describe('on this machine', () => {
  const BOUND = 'The gateways that read this registry see it within auth.pollSeconds (2 s by default).\n';

  test('answers are purged, of all and of one, and the history tells who did it', async () => {
    expect((await runCommand('bin/keys.ts', ['add', 'team-a', '--file', file])).status).toBe(0);
    const { consumers } = registry();

    expect(await cache('show')).toEqual({ status: 0, stdout: 'There was no purge.\n', stderr: '' });
    expect(await cache('purge', '--consumer', 'team-a', '--by', 'ann')).toEqual({
      status: 0,
      stdout: `All stored answers of consumer "team-a" are purged.\n${BOUND}`,
      stderr: '',
    });
    const first = registry();
    expect(first).toEqual({ version: 1, consumers, purges: { consumers: { 'team-a': A_WORD } } });

    // Nobody is registered under it: in passthrough nobody is.
    expect((await cache('purge', '--consumer', 'credential-0123456789abcdef')).status).toBe(0);
    const shown = await cache('show');
    expect(shown.stdout).toMatch(
      /^PURGED +AT\ncredential-0123456789abcdef {2}\d{4}-.*Z\nteam-a {23}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/,
    );

    expect(await cache('purge')).toEqual({
      status: 0,
      stdout: `All stored answers are purged.\n${BOUND}`,
      stderr: '',
    });
    expect(registry()).toEqual({ version: 1, consumers, purges: { all: A_WORD } });
    const listed = JSON.parse((await cache('show', '--json')).stdout) as unknown;
    expect(listed).toEqual([
      { place: file, purges: [{ consumer: null, at: `${registry().purges?.all?.slice(0, 19) ?? ''}Z` }] },
    ]);

    // Each purge is a new one.
    const before = registry().purges?.all;
    const again = JSON.parse((await cache('purge', '--json')).stdout) as unknown;
    expect(again).toMatchObject({ command: 'purge', consumer: null, places: [{ name: file }] });
    expect(registry().purges?.all).not.toBe(before);

    const history = await runCommand('bin/keys.ts', ['history', '--file', file]);
    expect(history.stdout).toMatch(/ {2}ann {2}purge team-a\n {4}team-a\.purged: none → \d{4}-/);
    expect(history.stdout).toMatch(
      / {2}\S+@\S+ {2}purge\n {4}purges\.all: none → \d{4}-.*\n {4}team-a\.purged: .* → none/,
    );
    expect((await runCommand('bin/keys.ts', ['history', 'team-a', '--file', file])).stdout).toContain('purge team-a');
  });

  test('other changes of the registry leave the purges as they are', async () => {
    await runCommand('bin/keys.ts', ['add', 'team-a', '--file', file]);
    await cache('purge', '--consumer', 'team-a');
    const { purges } = registry();
    await runCommand('bin/keys.ts', ['add', 'team-b', '--file', file]);
    await runCommand('bin/keys.ts', ['set', 'team-a', '--rate', '7', '--file', file]);
    expect(registry().purges).toEqual(purges);
  });

  test.each([
    [['purge', '--consumer', 'team-b'], 1, /^there is no consumer "team-b": `npm run keys -- list` shows those/],
    [['purge', '--consumer', 'Team B'], 2, '--consumer must be 1 to 63 of a-z, 0-9 and -, not beginning with -'],
    // What would purge everybody's.
    [['purge', 'team-a'], 2, '"team-a" is too much for `purge`; see --consumer'],
    [['show', '--consumer', 'team-a'], 2, '`show` takes no --consumer'],
    [['--json'], 2, 'there is no command; there are purge, show'],
    [['clear'], 2, '"clear" is no command; there are purge, show'],
    [['purge', '--all'], 2, /^Unknown option '--all'/],
    [['purge', '--region', 'eu-central-1'], 2, /^--region needs --env/],
    [['purge', '--env', 'prod'], 2, '--file and --env are two places; give one of them'],
  ])('%j is refused with one message, and nothing is written', async (args, status, message) => {
    const outcome = await runCache([...args, '--file', file], {
      places: (parsed) => placesOf(parsed, ROOT, () => undefined),
      environment: () => undefined,
      now: NOW,
      who: 'ann',
      print: (text) => {
        throw new Error(`printed ${text}`);
      },
      say: () => undefined,
    }).catch((error: unknown) => error);
    expect(outcome).toBeInstanceOf(status === 2 ? UsageError : RegistryError);
    const text = (outcome as Error).message;
    expect(text).not.toContain('\n');
    if (typeof message === 'string') expect(text).toBe(message);
    else expect(text).toMatch(message);
    expect(existsSync(file)).toBe(false);
  });

  test('what is refused makes the process fail', async () => {
    expect(await cache('purge', 'team-a')).toEqual({
      status: 2,
      stdout: '',
      stderr: 'causeway: "team-a" is too much for `purge`; see --consumer; see npm run cache -- --help\n',
    });
    expect((await cache('purge', '--consumer', 'team-a')).status).toBe(1);
  });

  test('--help, or nothing at all, prints the help', async () => {
    for (const args of [['--help'], ['purge', '--help'], []]) {
      const { status, stdout, stderr } = await runCommand('bin/cache.ts', args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^The answers that the gateway stores\.\n/);
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    }
  });
});

describe('in a deployed environment', () => {
  const REGIONS = ['us-east-1', 'eu-central-1'] as const;
  const NAMES = { application: 'causeway-prod', environment: 'gateway', registry: 'registry' };

  let fake: FakeAppConfig;
  let stores: readonly RegistryStore[];
  let said: string[];
  beforeEach(async () => {
    fake = await FakeAppConfig.start();
    said = [];
    stores = REGIONS.map((region) => {
      const client = new AppConfigClient({
        region,
        endpoint: fake.endpoint,
        credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
        maxAttempts: 2,
      });
      const appConfig = new RegionalAppConfig(region, NAMES, client);
      return new AppConfigStore({ appConfig, pollMs: 5, say: (line) => said.push(line) });
    });
  });
  afterEach(() => fake.close());

  const places = ({ regions }: { readonly regions: readonly string[] }): readonly RegistryStore[] =>
    stores.filter(({ name }) => regions.length === 0 || regions.includes(name));

  async function asked(
    program: 'cache' | 'keys',
    argv: readonly string[],
    config: EnvironmentInput = {},
  ): Promise<{ printed: string; problem: string | undefined }> {
    let printed = '';
    const context = {
      places,
      environment: () => resolveEnvironment({ environments: { prod: config } }, 'prod'),
      now: NOW,
      who: 'ann@laptop',
      print: (text: string) => (printed += text),
      say: (line: string) => said.push(line),
    };
    try {
      await (program === 'cache' ? runCache : runKeys)([...argv, '--env', 'prod'], context);
      return { printed, problem: undefined };
    } catch (error) {
      return { printed, problem: (error as Error).message };
    }
  }

  const deployed = (region: string): RegistryDocument => JSON.parse(fake.region(region).deployed) as RegistryDocument;

  test('a purge is one word in every region, deployed, with a record of who made it', async () => {
    await asked('keys', ['add', 'team-a']);
    const { printed, problem } = await asked('cache', ['purge', '--consumer', 'team-a']);
    expect(problem).toBeUndefined();
    expect(printed).toBe(
      'All stored answers of consumer "team-a" are purged.\n' +
        'Each gateway knows it 107 s after the deployment of its region began, at the latest.\n',
    );
    const words = REGIONS.map((region) => deployed(region).purges?.consumers?.['team-a']);
    expect(words[0]).toMatch(/^2026-11-23T18:00:00\.000Z-/);
    expect(words[1]).toBe(words[0]);
    for (const region of REGIONS) {
      expect(deployed(region).consumers).toHaveLength(1);
      expect(JSON.parse(fake.region(region).versions.at(-1)?.description ?? '')).toEqual({
        when: '2026-11-23T18:00:00Z',
        who: 'ann@laptop',
        what: 'purge team-a',
        changes: [{ member: 'team-a.purged', from: null, to: words[0] }],
      });
    }
    expect(said).toEqual(expect.arrayContaining(REGIONS.map((region) => `${region}: version 3 is deployed`)));
    const shown = await asked('cache', ['show']);
    expect(shown.printed).toBe(
      REGIONS.map((region) => `${region}\nPURGED  AT\nteam-a  2026-11-23T18:00:00Z\n`).join(''),
    );
  });

  test('says how long what is before and behind the gateway may go on', async () => {
    const config: EnvironmentInput = {
      auth: { revocationSeconds: 600 },
      edge: { enabled: true },
      cache: { ttl: { clientSeconds: 30, edgeSeconds: 45 } },
    };
    expect((await asked('cache', ['purge'], config)).printed).toBe(
      'All stored answers are purged.\n' +
        'Each gateway knows it 107 s after the deployment of its region began, at the latest.\n' +
        'After that, CloudFront may serve what it has for cache.ttl.edgeSeconds (45 s) more, and ' +
        'a client may use what it keeps for cache.ttl.clientSeconds (30 s) more.\n',
    );
    expect(JSON.parse((await asked('cache', ['purge', '--json'], config)).printed)).toEqual({
      command: 'purge',
      consumer: null,
      at: '2026-11-23T18:00:00Z',
      places: REGIONS.map((name) => ({ name, version: 3 })),
      gatewaySeconds: 107,
      edgeSeconds: 45,
      clientSeconds: 30,
    });
  });

  test('a purge does not wait for regions to be alike, and making them alike does not undo it', async () => {
    await asked('keys', ['add', 'team-a']);
    await asked('keys', ['add', 'team-b', '--region', 'us-east-1']);
    expect((await asked('cache', ['purge', '--consumer', 'team-b'])).problem).toBeUndefined();
    expect((await asked('cache', ['purge', '--region', 'eu-central-1'])).problem).toBeUndefined();
    const [east, central] = REGIONS.map((region) => deployed(region).purges);
    expect([Object.keys(east?.consumers ?? {}), central]).toEqual([['team-b'], { all: A_WORD }]);

    expect((await asked('keys', ['sync', '--from', 'us-east-1'])).problem).toBeUndefined();
    for (const region of REGIONS) {
      expect(deployed(region).purges).toEqual({ ...central, ...east });
      expect(deployed(region).consumers.map(({ id }) => id)).toEqual(['team-a', 'team-b']);
    }
  });

  test('regions that were purged one by one are no reason to refuse other changes', async () => {
    await asked('cache', ['purge', '--region', 'eu-central-1']);
    expect((await asked('keys', ['add', 'team-a'])).problem).toBeUndefined();
    expect(said.filter((line) => line.includes('differs'))).toEqual([]);
    expect(deployed('eu-central-1').purges).toEqual({ all: A_WORD });
    expect(deployed('us-east-1').purges).toBeUndefined();
  });

  test('a purge that AppConfig takes back is told, with what finishes it', async () => {
    fake.region('eu-central-1').outcome = 'ROLLED_BACK';
    const { printed, problem } = await asked('cache', ['purge']);
    expect(printed).toBe('');
    expect(problem).toMatch(/^not deployed in eu-central-1: eu-central-1: AppConfig took version 2 back/);
    expect(problem).toContain('`npm run keys -- sync --env prod --from us-east-1` finishes it');
    fake.region('eu-central-1').outcome = 'COMPLETE';
    await asked('keys', ['sync', '--from', 'us-east-1']);
    expect(deployed('eu-central-1').purges).toEqual(deployed('us-east-1').purges);
  });

  test('a region that is down is named, and nothing is written', async () => {
    fake.region('eu-central-1').down = { status: 403, type: 'AccessDeniedException' };
    expect((await asked('cache', ['purge'])).problem).toMatch(/^eu-central-1: AppConfig: .*\(AccessDeniedException\)/);
    expect(fake.region('us-east-1').versions).toHaveLength(1);
  });

  test('the program itself finds the regions in the config', async () => {
    const config = join(directory, 'test.config.ts');
    const regions = REGIONS.map((region) => ({ region }));
    writeFileSync(config, `export default ${JSON.stringify({ environments: { prod: { regions } } })};\n`);
    const { status, stdout } = await runCommand('bin/cache.ts', ['purge', '--env', 'prod', '--config', config], {
      AWS_ENDPOINT_URL_APPCONFIG: fake.endpoint,
      AWS_ACCESS_KEY_ID: 'AKIATEST',
      AWS_SECRET_ACCESS_KEY: 'test',
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^All stored answers are purged\.\nEach gateway knows it \d+ s after the deployment/);
    for (const region of REGIONS) expect(deployed(region).purges).toEqual({ all: A_WORD });
  });
});
