import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-config-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function config(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'bin/config.ts', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

function write(name: string, value: unknown): string {
  const file = join(directory, name);
  writeFileSync(file, `export default ${JSON.stringify(value)};\n`);
  return file;
}

test('prints the local environment of the project’s own config', () => {
  const { status, stdout, stderr } = config();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^FIELD +VALUE +ORIGIN\n/);
  expect(stdout).toMatch(/^timeouts\.maxStreamSeconds +3600 s \(1 h\) +default$/m);
  expect(stdout).toMatch(/^timeouts\.drainSeconds +3600 s \(1 h\) +derived$/m);
});

test('prints another environment of another config, as JSON', () => {
  const file = write('json.config.ts', {
    common: { auth: { pollSeconds: 5 } },
    environments: { prod: { auth: { mode: 'passthrough' } } },
  });
  const { status, stdout } = config('--config', file, '--env', 'prod', '--json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual(
    expect.arrayContaining([
      { field: 'auth.mode', value: 'passthrough', origin: 'environment' },
      { field: 'auth.pollSeconds', value: 5, origin: 'common' },
      { field: 'auth.revocationSeconds', value: 300, origin: 'default' },
    ]),
  );
});

test('tells every problem of a config, without a stack', () => {
  const file = write('broken.config.ts', { environments: { local: { auth: { mode: 'x', pollSeconds: 0 } } } });
  expect(config('--config', file)).toEqual({
    status: 1,
    stdout: '',
    stderr:
      'causeway: broken.config.ts, environment "local" has 2 problems:\n' +
      '  auth.mode: is "x"; must be one of "keys", "passthrough"\n' +
      '  auth.pollSeconds: is 0; must be at least 1\n',
  });
});

test('tells an environment with regions what its deployment would refuse', () => {
  const file = write('deploy.config.ts', { environments: { prod: { regions: [{ region: 'eu-central-1' }] } } });
  const { status, stderr } = config('--config', file, '--env', 'prod');
  expect(status).toBe(1);
  expect(stderr).toMatch(/\bdomain: /);
});

test('tells of a file that is not there', () => {
  const file = join(directory, 'none.ts');
  expect(config('--config', file)).toEqual({
    status: 1,
    stdout: '',
    stderr: `causeway: none.ts: there is no file ${file}\n`,
  });
});

test('tells of an environment that is not there', () => {
  expect(config('--env', 'nowhere')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('environments.nowhere: does not exist; there are: local') as string,
  });
});

test('answers an unknown option with the usage', () => {
  const { status, stdout, stderr } = config('--environment', 'local');
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain("causeway: Unknown option '--environment'");
  expect(stderr).toContain('Usage: npm run config');
  expect(stderr).not.toMatch(/^ +at /m);
});

test('--help prints the usage', () => {
  expect(config('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Usage:/) as string, stderr: '' });
});
