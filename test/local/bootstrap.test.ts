import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { repoDir, runs, Sandbox, start, type Started, until } from './sandbox';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
  sandbox.real(
    'sh',
    'cat',
    'cmp',
    'cp',
    'dirname',
    'find',
    'head',
    'ln',
    'mkdir',
    'mv',
    'node',
    'rm',
    'rmdir',
    'sed',
    'sleep',
    'uname',
  );
  mkdirSync(sandbox.path('app', 'local'), { recursive: true });
  for (const file of ['bootstrap.sh', 'check-modules.mjs']) {
    copyFileSync(join(repoDir, 'local', file), sandbox.path('app', 'local', file));
  }
  sandbox.write('app/package.json', '{"name":"app","private":true}');
  lockFile('1');
  sandbox.write(
    'app/local/entry.ts',
    'const words: string[] = process.argv.slice(2);\nconsole.log(process.pid, JSON.stringify(words));\n',
  );
  npm();
});
afterEach(() => {
  sandbox.remove();
});

/** An npm that installs tsx from this checkout; `before` comes when the old node_modules is gone already. */
function npm(before = ''): void {
  sandbox.fake(
    'npm',
    `rm -rf node_modules; mkdir node_modules
     ${before}
     ln -s '${repoDir}/node_modules/tsx' node_modules/tsx; cp package-lock.json node_modules/.package-lock.json`,
  );
}

function lockFile(integrity: string): void {
  const packages = {
    '': {},
    'node_modules/tsx': { version: tsxVersion(), integrity },
    'node_modules/none': { optional: true },
  };
  sandbox.write('app/package-lock.json', JSON.stringify({ packages }));
}

function tsxVersion(): string {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- read at run time, whatever version is installed
  return (require(join(repoDir, 'node_modules/tsx/package.json')) as { version: string }).version;
}

function bootstrap(...args: readonly string[]): Started {
  return start('sh', [sandbox.path('app', 'local', 'bootstrap.sh'), 'local/entry.ts', ...args], {
    cwd: sandbox.dir,
    env: sandbox.env(),
  });
}

const installs = (): number => sandbox.calls().filter((call) => call.startsWith('npm ci ')).length;

it('installs on a fresh checkout, once, and becomes node with the arguments as they are', async () => {
  const first = bootstrap('--a', 'b c', '', '*');
  const outcome = await first.outcome;
  expect(outcome.stderr).toBe('causeway: installing the npm packages (once, about a minute)\n');
  expect(outcome.stdout).toBe(`${first.process.pid ?? 0} ["--a","b c","","*"]\n`);
  expect(sandbox.calls()).toEqual(['npm ci --include=dev --no-audit --no-fund --loglevel=error']);
  expect(existsSync(sandbox.path('app', '.causeway', 'install.lock'))).toBe(false);

  expect(await bootstrap().outcome).toMatchObject({ code: 0, stderr: '' });
  expect(installs()).toBe(1);
});

it('installs anew when the lock file changes', async () => {
  await bootstrap().outcome;
  lockFile('2');
  await bootstrap().outcome;
  await bootstrap().outcome;
  expect(installs()).toBe(2);
});

it('takes what was installed by hand, if it is whole and the right one', async () => {
  const modules = sandbox.path('app', 'node_modules');
  mkdirSync(modules);
  symlinkSync(join(repoDir, 'node_modules', 'tsx'), join(modules, 'tsx'));
  // npm's own list does not have the optional package that was not for this platform.
  const packages = { 'node_modules/tsx': { version: tsxVersion(), integrity: '1' } };
  writeFileSync(join(modules, '.package-lock.json'), JSON.stringify({ packages }));
  expect(await bootstrap().outcome).toMatchObject({ code: 0, stderr: '' });
  expect(installs()).toBe(0);

  // A package is gone, and the stamp with it.
  rmSync(join(modules, 'tsx'));
  rmSync(join(modules, '.causeway-lock.json'));
  expect(await bootstrap().outcome).toMatchObject({ code: 0 });
  expect(installs()).toBe(1);
});

it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('mends an install that was cut off by %s', async (signal) => {
  npm('echo $$ >"$SANDBOX/npm-pid"; exec sleep 30');
  const cut = bootstrap();
  await until(() => sandbox.read('npm-pid') !== '');
  const pid = Number(sandbox.read('npm-pid'));
  const before = Date.now();
  cut.process.kill(signal);
  const { code, stdout } = await cut.outcome;
  expect(stdout).toBe('');
  expect(code).toBe({ SIGTERM: 143, SIGINT: 130, SIGKILL: null }[signal]);
  expect(Date.now() - before).toBeLessThan(5000);
  if (signal === 'SIGKILL') process.kill(pid, 'SIGKILL');
  await until(() => !runs(pid));

  npm();
  const again = await bootstrap().outcome;
  expect(again).toMatchObject({ code: 0, stderr: 'causeway: installing the npm packages (once, about a minute)\n' });
  expect(readdirSync(sandbox.path('app', '.causeway'))).toEqual(['npm-ci.log']);
});

it('installs once when started several times at once', async () => {
  npm('sleep 0.5');
  const outcomes = await Promise.all([1, 2, 3, 4].map((n) => bootstrap(String(n)).outcome));
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  expect(installs()).toBe(1);
});

it('takes over the lock of one that is gone', async () => {
  sandbox.write('app/.causeway/install.lock/pid', '99999999\n');
  const outcomes = await Promise.all([1, 2, 3].map((n) => bootstrap(String(n)).outcome));
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(installs()).toBe(1);
});

it.each([
  [
    'npm error code ENOTFOUND\nnpm error network request to https://registry.example/ failed',
    'the npm registry was not reached (ENOTFOUND): check the network',
  ],
  [
    'npm ERR! code EUSAGE\nnpm ERR!\nnpm ERR! out of sync\n',
    'the npm packages could not be installed (EUSAGE): out of sync',
  ],
  ['something else', 'the npm packages could not be installed: npm ci failed'],
])('says in one message why the install failed: %j', async (output, message) => {
  writeFileSync(sandbox.path('output'), `${output}\n`);
  npm('cat "$SANDBOX/output" >&2; exit 1');
  const { code, stderr } = await bootstrap().outcome;
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  expect(sandbox.read('app/.causeway/npm-ci.log')).toContain(output.trim());
  npm();
  expect(await bootstrap().outcome).toMatchObject({ code: 0 });
});

it.each([
  ['v20.10.9', 'Node.js 20.11 or newer is needed, and this is v20.10.9'],
  ['v18.20.0', 'Node.js 20.11 or newer is needed, and this is v18.20.0'],
  ['nonsense', 'Node.js 20.11 or newer is needed, and `node --version` says nonsense'],
  ['', 'there is no node on PATH'],
])('refuses Node %j', async (version, message) => {
  rmSync(sandbox.path('bin', 'node'));
  if (version !== '') sandbox.fake('node', `echo ${version}`);
  const { code, stderr } = await bootstrap().outcome;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^causeway: .*\n$/);
  expect(stderr).toContain(message);
  expect(installs()).toBe(0);
});

it('takes newer Nodes', async () => {
  rmSync(sandbox.path('bin', 'node'));
  sandbox.fake('node', `[ "$1" != --version ] || { echo v24.1.0; exit; }\nexec '${process.execPath}' "$@"`);
  expect(await bootstrap('x').outcome).toMatchObject({ code: 0 });
});

it('says that npm or the entry point is missing', async () => {
  rmSync(sandbox.path('app', 'local', 'entry.ts'));
  expect((await bootstrap().outcome).stderr).toMatch(/^causeway: there is no local\/entry\.ts in /);
  sandbox.write('app/local/entry.ts', '');
  rmSync(sandbox.path('bin', 'npm'));
  expect((await bootstrap().outcome).stderr).toMatch(/npm is needed/);
});

it('gives node the signals, and passes on its exit code', async () => {
  sandbox.write(
    'app/local/entry.ts',
    `process.on('SIGTERM', () => process.exit(33));\nsetInterval(() => {}, 1000);\nconsole.log('ready');\n`,
  );
  const started = bootstrap();
  await started.printed('ready');
  started.process.kill('SIGTERM');
  expect((await started.outcome).code).toBe(33);
});
