import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { placesOf } from '../../lib/registry/cli/places';
import { runKeys } from '../../lib/registry/cli/run';
import { hashKey, type RegistryDocument } from '../../lib/registry/document';
import { RegistryError, UsageError } from '../../lib/registry/errors';
import { runCommand, type Ended } from './command';

const ROOT = join(__dirname, '..', '..');

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-keys-'));
  file = join(directory, 'state', 'registry.json');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const run = (...args: readonly string[]): Promise<Ended> => runCommand('bin/keys.ts', args);
const keys = (...args: readonly string[]): Promise<Ended> => run(...args, '--file', file);

const registry = (): RegistryDocument => JSON.parse(readFileSync(file, 'utf8')) as RegistryDocument;
const audit = (): { what: string; who: string; when: string; changes: unknown[] }[] =>
  readFileSync(join(directory, 'state', 'audit.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { what: string; who: string; when: string; changes: unknown[] });

test('a consumer from its first key to its last', async () => {
  const added = await keys('add', 'team-a', '--rate', '5', '--burst', '10', '--by', 'ann');
  expect(added).toMatchObject({ status: 0, stderr: '' });
  const first = /cwk_[\w-]{43}/.exec(added.stdout)?.[0] ?? '';
  expect(registry()).toEqual({
    version: 1,
    consumers: [
      {
        id: 'team-a',
        keys: [{ id: `k-${hashKey(first).slice(0, 8)}`, sha256: hashKey(first) }],
        rate: 5,
        burst: 10,
      },
    ],
  });

  const rotated = await keys('rotate', 'team-a', '--keep-for', '1h', '--json');
  const answer = JSON.parse(rotated.stdout) as { key: { id: string; secret: string } };
  expect(registry().consumers[0]?.keys.map(({ sha256 }) => sha256)).toEqual([
    hashKey(first),
    hashKey(answer.key.secret),
  ]);

  expect(await keys('set', 'team-a', '--models', 'claude-*', '--unset', 'burst')).toMatchObject({
    status: 0,
    stdout: 'Consumer "team-a" is changed.\n',
  });
  expect(await keys('set', 'team-a', '--models', 'claude-*')).toMatchObject({
    status: 0,
    stdout: 'Nothing is changed: consumer "team-a" is so already.\n',
  });

  const shown = await keys('show', 'team-a');
  expect(shown.stdout).toMatch(/^rate +5\nburst +default$/m);
  expect(shown.stdout).toMatch(new RegExp(`^${answer.key.id} +valid$`, 'm'));
  expect((await keys('list')).stdout).toMatch(/^team-a +2 +5 +default +default +enabled$/m);
  const listed = JSON.parse((await keys('list', '--json')).stdout) as { consumers: unknown[] };
  expect(listed.consumers).toMatchObject([
    { id: 'team-a', rate: 5, models: ['claude-*'], keys: [{}, { notAfter: null }] },
  ]);

  const old = registry().consumers[0]?.keys[0]?.id ?? '';
  expect(await keys('revoke', 'team-a', '--key', old)).toMatchObject({
    status: 0,
    stdout: `Key "${old}" of consumer "team-a" is revoked.\n`,
  });
  expect(await keys('revoke', 'team-a')).toMatchObject({
    status: 0,
    stdout: 'Consumer "team-a" is revoked: all its keys, policies and stored answers are gone.\n',
  });
  const word = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z-[0-9a-f]{8}$/) as string;
  // Whoever gets the name next must not be answered from what this consumer left.
  expect(registry()).toEqual({ version: 1, consumers: [], purges: { consumers: { 'team-a': word } } });

  expect(audit().map(({ what }) => what)).toEqual([
    'add team-a',
    'rotate team-a',
    'set team-a',
    'revoke team-a',
    'revoke team-a',
  ]);
  expect(audit()[0]).toMatchObject({ who: 'ann', when: expect.stringMatching(/^\d{4}-.*Z$/) as string });
  expect(audit()[1]?.who).toMatch(/^.+@.+$/);
  expect((await keys('history', 'team-a')).stdout).toContain('team-a.burst: 10 → none');

  // Neither key stands anywhere, nor does a whole hash beyond the registry.
  for (const name of readdirSync(join(directory, 'state'))) {
    const text = readFileSync(join(directory, 'state', name), 'utf8');
    for (const secret of [first, answer.key.secret]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(hashKey(secret));
    }
  }
  expect(readdirSync(join(directory, 'state')).sort()).toEqual(['audit.jsonl', 'registry.json']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'state', 'audit.jsonl')).mode & 0o777).toBe(0o600);
});

test('twenty that add at the same time lose none', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `team-${index}`);
  const ended = await Promise.all(names.map((name) => keys('add', name, '--json')));
  expect(ended.filter(({ status }) => status !== 0)).toEqual([]);
  const secrets = ended.map(({ stdout }) => (JSON.parse(stdout) as { key: { secret: string } }).key.secret);
  const { consumers } = registry();
  expect(consumers.map(({ id }) => id).sort()).toEqual([...names].sort());
  for (const [index, name] of names.entries()) {
    expect(consumers.find(({ id }) => id === name)?.keys[0]?.sha256).toBe(hashKey(secrets[index] ?? ''));
  }
  expect(audit()).toHaveLength(20);
  expect(existsSync(join(directory, 'state', 'registry.lock'))).toBe(false);
}, 180_000);

test('of several that add the same consumer one gets it, and the others are told', async () => {
  const ended = await Promise.all(Array.from({ length: 4 }, () => keys('add', 'team-a')));
  expect(ended.map(({ status }) => status).sort()).toEqual([0, 1, 1, 1]);
  expect(ended.filter(({ stderr }) => stderr.includes('consumer "team-a" is there already'))).toHaveLength(3);
  expect(registry().consumers).toHaveLength(1);
});

test.each([
  [['add', 'team-a', '--rate', '0'], 1, '--rate is "0"; must be a number above 0 and at most 100000'],
  [['add', 'Team A'], 2, 'the consumer must be 1 to 63 of a-z, 0-9 and -, not beginning with -'],
  [
    ['add', 'team-a', '--not-after', '2020-01-01T00:00:00Z'],
    1,
    '--not-after is "2020-01-01T00:00:00Z"; must lie in the future',
  ],
  [['add'], 2, '`add` needs a consumer'],
  [['add', 'a', 'b'], 2, '"b" is too much for `add`'],
  [['list', 'a'], 2, '"a" is too much for `list`'],
  [['list', '--rate', '5'], 2, '`list` takes no --rate'],
  [['set', 'a'], 2, '`set` needs a policy, such as --rate 5'],
  [['rotate', 'a'], 1, 'there is no consumer "a": `list` shows those that are there'],
  [['revoke', 'a'], 1, 'there is no consumer "a": `list` shows those that are there'],
  [['sync', '--from', 'x'], 2, /^--from is "x"; must be one of .*registry\.json/],
  [['frobnicate'], 2, /^"frobnicate" is no command; there are add, /],
  [['add', 'a', '--rat', '5'], 2, /^Unknown option '--rat'/],
  [['add', 'a', '--rate'], 2, /^Option '--rate' argument is ambiguous/],
  [['list', '--region', 'eu-central-1'], 2, /^--region needs --env/],
])('%j is refused with one message, and nothing is written', async (args, status, message) => {
  const outcome = await runKeys([...args, '--file', file], {
    places: (parsed) => placesOf(parsed, ROOT, () => undefined),
    now: Date.now(),
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
  expect(existsSync(join(directory, 'state', 'audit.jsonl'))).toBe(false);
});

test('what is refused makes the process fail, and shows no key', async () => {
  expect(await keys('add', 'team-a', '--rate', '0')).toEqual({
    status: 1,
    stdout: '',
    stderr: 'causeway: --rate is "0"; must be a number above 0 and at most 100000\n',
  });
  expect(await keys('add')).toEqual({
    status: 2,
    stdout: '',
    stderr: 'causeway: `add` needs a consumer; see npm run keys -- --help\n',
  });
});

test('a broken registry is named and left as it is', async () => {
  mkdirSync(join(directory, 'state'));
  const text = '{"version":1,"consumers":[{"id":"a","keys":[{"id":"k","sha256":"x"}]}]}';
  writeFileSync(file, text);
  expect(await keys('add', 'team-a')).toEqual({
    status: 1,
    stdout: '',
    stderr: `causeway: ${file}: consumer "a": keys[1].sha256: must be the key's SHA-256 in 64 hexadecimal digits (the value is not shown)\n`,
  });
  expect(readFileSync(file, 'utf8')).toBe(text);
  expect(readdirSync(join(directory, 'state'))).toEqual(['registry.json']);
});

test('without room for a record there is no change, and no key is shown', async () => {
  mkdirSync(join(directory, 'state', 'audit.jsonl'), { recursive: true });
  const ended = await keys('add', 'team-a');
  expect(ended).toMatchObject({ status: 1, stdout: '' });
  expect(ended.stderr).toMatch(/audit\.jsonl cannot be written, and nothing is changed without a record/);
  expect(existsSync(file)).toBe(false);
});

test('an environment without regions, or that is none, is told before AWS is asked', async () => {
  const config = join(directory, 'test.config.ts');
  writeFileSync(
    config,
    `export default ${JSON.stringify({ environments: { prod: { regions: [{ region: 'eu-central-1' }] }, flat: {} } })};\n`,
  );
  const asked = async (...args: readonly string[]) => (await run('list', '--config', config, ...args)).stderr;
  expect(await asked('--env', 'flat')).toMatch(/environment "flat" has no regions to be deployed to/);
  expect(await asked('--env', 'none')).toMatch(/environments\.none: does not exist; there are: local, prod, flat/);
  expect(await asked('--env', 'prod', '--region', 'us-east-1')).toMatch(
    /environment "prod" has no region "us-east-1"; it has eu-central-1/,
  );
  expect(await asked('--env', 'prod', '--file', file)).toMatch(/--file and --env are two places; give one of them/);
});

test('--help, or nothing at all, prints the help', async () => {
  for (const args of [['--help'], ['add', '--help'], []]) {
    const { status, stdout, stderr } = await run(...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^Consumers of the gateway, their keys and their policies\.\n/);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  }
});
