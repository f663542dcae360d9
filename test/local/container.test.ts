import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { containerImage, type ContainerRun, dockerRunArgs } from '../../local/container';
import { examplePackages, gatewayPackages } from '../../local/debian-packages';
import { repoDir, Sandbox, startTypeScript } from './sandbox';

const base: ContainerRun = {
  repoDir: '/home/me/causeway',
  image: 'causeway-local:1',
  entry: 'local/start.ts',
  args: [],
  ports: [8443],
  envNames: [],
  tty: false,
};

describe('dockerRunArgs', () => {
  it('is this command', () => {
    const args = dockerRunArgs({
      ...base,
      args: ['--upstream', 'anthropic', '--port', '8443'],
      envNames: ['ANTHROPIC_API_KEY'],
      tty: true,
      user: '1000:1000',
    });
    expect(args).toEqual([
      'run',
      '--rm',
      '--init',
      '--interactive',
      '--tty',
      '--security-opt',
      'label=disable',
      '--publish',
      '127.0.0.1:8443:8443',
      '--user',
      '1000:1000',
      '--mount',
      'type=bind,source=/home/me/causeway,target=/app',
      '--mount',
      expect.stringMatching(/^type=volume,source=causeway-node-modules-[0-9a-f]{12},target=\/app\/node_modules$/),
      '--env',
      'HOME=/tmp',
      '--env',
      'CAUSEWAY_IN_CONTAINER=1',
      '--env',
      'ANTHROPIC_API_KEY',
      '--workdir',
      '/app',
      'causeway-local:1',
      'sh',
      'local/bootstrap.sh',
      'local/start.ts',
      '--upstream',
      'anthropic',
      '--port',
      '8443',
    ]);
  });

  it('asks for no terminal where there is none', () => {
    expect(dockerRunArgs(base)).not.toContain('--tty');
  });

  it('quotes paths that the syntax of mounts would take apart', () => {
    expect(dockerRunArgs({ ...base, repoDir: '/a,b "c:d' })).toContain('type=bind,"source=/a,b ""c:d",target=/app');
  });

  it('translates paths: inside the checkout, and elsewhere by mounting their directory', () => {
    const args = dockerRunArgs({
      ...base,
      args: [
        '--config',
        '/home/me/causeway/my.config.ts',
        '--cert=/etc/tls/a.pem',
        '--key',
        '../tls/a.key',
        '--port',
        '1',
        '/x',
      ],
    });
    expect(args.slice(args.indexOf('local/start.ts') + 1)).toEqual([
      '--config',
      'my.config.ts',
      '--cert=/mnt/host-1/a.pem',
      '--key',
      '/mnt/host-2/a.key',
      '--port',
      '1',
      '/x',
    ]);
    expect(args).toContain('type=bind,source=/etc/tls,target=/mnt/host-1,readonly');
    expect(args).toContain('type=bind,source=/home/me/tls,target=/mnt/host-2,readonly');
  });
});

it('has an image for each Dockerfile', () => {
  expect(containerImage('FROM a')).toMatch(/^causeway-local:[0-9a-f]{12}$/);
  expect(containerImage('FROM a')).not.toBe(containerImage('FROM b'));
});

it('bakes in the packages that `npm start` would install', () => {
  const dockerfile = readFileSync(join(repoDir, 'local', 'Dockerfile'), 'utf8');
  const words = new Set(dockerfile.split(/\s+/));
  for (const choice of [...gatewayPackages, ...examplePackages]) {
    expect([choice].flat().some((name) => words.has(name))).toBe(true);
  }
});

describe('runInContainer', () => {
  let sandbox: Sandbox;
  beforeEach(() => {
    sandbox = new Sandbox();
    sandbox.real('cat', 'sleep', 'env');
  });
  afterEach(() => {
    sandbox.remove();
  });
  const start = (env: Readonly<Record<string, string>> = {}) =>
    startTypeScript(
      sandbox,
      'main.ts',
      `import { runInContainer } from '${repoDir}/local/container';
       import { runMain } from '${repoDir}/local/user-error';
       runMain(() => runInContainer({ repoDir: ${JSON.stringify(sandbox.path('repo'))}, args: ['--port', '8443'], ports: [8443] }));`,
      sandbox.env(env),
    );

  it('builds the image once, and passes on output, exit code and variables, but no value of one', async () => {
    sandbox.fake(
      'docker',
      `case $1 in
         image) [ -e "$SANDBOX/image" ] ;;
         build) cat >"$SANDBOX/image" ;;
         run) echo "key \${#ANTHROPIC_API_KEY}"; exit 9 ;;
       esac`,
    );
    const env = { ANTHROPIC_API_KEY: 'sk-secret' };
    const first = await start(env).outcome;
    expect(first).toMatchObject({ code: 9, stdout: 'key 9\n' });
    expect(first.stderr).toBe('causeway: building the container image (once, a few minutes)\n');
    expect(sandbox.read('image')).toBe(readFileSync(join(repoDir, 'local', 'Dockerfile'), 'utf8'));
    const second = await start(env).outcome;
    expect(second).toMatchObject({ code: 9, stderr: '' });
    const calls = sandbox.calls();
    expect(calls.map((call) => call.split(' ')[1])).toEqual([
      'version',
      'image',
      'build',
      'run',
      'version',
      'image',
      'run',
    ]);
    expect(calls.join('\n')).toContain(' --env ANTHROPIC_API_KEY ');
    expect(calls.join('\n')).not.toContain('secret');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('passes on %s, and waits for the end', async (signal) => {
    sandbox.fake(
      'docker',
      `[ $1 = run ] || exit 0
       trap 'echo stopped; exit 0' ${signal.slice(3)}
       echo running
       while :; do sleep 0.05; done`,
    );
    const started = start();
    await started.printed('running');
    started.process.kill(signal);
    expect(await started.outcome).toMatchObject({ code: 0, stdout: 'running\nstopped\n' });
  });

  it.each([
    ['', /^causeway: there is no docker on PATH: /],
    ['exit 1', /^causeway: docker is installed, but its engine does not answer: start it/],
    ['[ $1 = version ]', /\ncauseway: the container image could not be built \(docker build exited with 1\)\n$/],
  ])('says what is wrong with docker: %j', async (script, stderr) => {
    if (script !== '') sandbox.fake('docker', script);
    const outcome = await start().outcome;
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(stderr);
  });
});
