import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { App, CfnWaitConditionHandle, Stack } from 'aws-cdk-lib';
import { GatewayImage } from '../../lib/constructs/gateway-image';
import {
  GATEWAY_PORT,
  GATEWAY_USER,
  IMAGE_PATHS,
  imagePlacement,
  renderImage,
  type ImagePlacementProps,
} from '../../lib/gateway-image';
import { renderGateway, type Placement, type RenderedFiles } from '../../lib/nginx';
import { environment } from './support/synthesize';

const ROOT = resolve(__dirname, '../..');
const env = environment({
  upstreams: [
    { id: 'anthropic', host: 'api.anthropic.com' },
    { id: 'second', host: 'claude.example.org' },
  ],
});
const PROPS: ImagePlacementProps = {
  region: { region: 'eu-central-1' },
  loadBalancerRanges: ['10.64.0.0/25', '10.64.0.128/25'],
};
const image = renderImage(env, PROPS);

const scratch = mkdtempSync(join(tmpdir(), 'causeway-image-test-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** A gateway as `npm start` places it. */
const LAPTOP: Placement = {
  prefix: '/home/dev/causeway/.causeway/run/conf',
  luaDirectory: '/home/dev/causeway/gateway/lua',
  runtimeDirectory: '/home/dev/causeway/.causeway/run/nginx',
  httpListen: ['127.0.0.1:8080'],
  httpsListen: ['127.0.0.1:8443'],
  certificate: { chainFile: '/home/dev/chain.pem', keyFile: '/home/dev/key.pem' },
  registrySource: '/home/dev/registry.json',
  credentialsSource: '/home/dev/credentials.json',
  region: 'local',
};

/** Everything in which the image may differ from a laptop: places, ports, processes, nodes, names, and who is believed. */
const STATED = [
  /^\s*(pid|client_body_temp_path|(proxy|fastcgi|uwsgi|scgi)_temp_path|lua_package_path|proxy_cache_path) /,
  /^\s*require\('causeway\.phase\.init'\)/,
  /^\s*(listen|http2) /,
  /^\s*ssl_certificate(_key)? /,
  /^\s*worker_processes /,
  /^\s*(# .*hop|set_real_ip_from|real_ip_header|real_ip_recursive)/,
  /^\s*add_header x-causeway-region /,
  /^\s*"(region|expected_nodes|registry_source|credentials_source|chain_file|key_file|socket)": /,
];

const difference = (one: string, other: string): string[] => {
  const [ours, theirs] = [one.split('\n'), other.split('\n')];
  return [...ours.filter((line) => !theirs.includes(line)), ...theirs.filter((line) => !ours.includes(line))];
};

test('the files are those of `npm start`, less what is stated to differ', () => {
  const laptop = renderGateway(env, LAPTOP);
  expect(Object.keys(image)).toEqual(Object.keys(laptop));
  const unstated = Object.keys(image).flatMap((path) =>
    difference(image[path] ?? '', laptop[path] ?? '')
      .filter((line) => !STATED.some((pattern) => pattern.test(line)))
      .map((line) => `${path}: ${line}`),
  );
  expect(unstated).toEqual([]);
});

test('only the load balancer is believed about who the client is', () => {
  const lines = (image['http/client-address.conf'] ?? '')
    .split('\n')
    .filter((line) => line.startsWith('set_real_ip_from'));
  expect(lines).toEqual(['set_real_ip_from 10.64.0.0/25;', 'set_real_ip_from 10.64.0.128/25;']);
});

test('the build context holds what the Dockerfile copies, and nothing else', () => {
  const outdir = join(scratch, 'cdk.out');
  const app = new App({ outdir });
  const stack = new Stack(app, 'Stack');
  new GatewayImage(stack, 'Image', { environment: env, ...PROPS });
  // A template without any resource is none.
  new CfnWaitConditionHandle(stack, 'Something');
  const assets = JSON.parse(readFileSync(join(app.synth().directory, 'Stack.assets.json'), 'utf8')) as {
    dockerImages: Record<string, { source: { directory: string; platform?: string } }>;
  };
  const contexts = Object.values(assets.dockerImages).map(({ source }) => source);
  expect(contexts.map(({ platform }) => platform)).toEqual(['linux/amd64', 'linux/amd64']);
  const files = contexts
    .map(({ directory }) =>
      execFileSync('find', ['.', '-type', 'f'], { cwd: join(outdir, directory), encoding: 'utf8' }),
    )
    .find((list) => list.includes('start.sh'));
  expect(files?.trim().split('\n').sort()).toEqual(
    [
      './Dockerfile',
      './start.sh',
      './entrypoint.sh',
      ...Object.keys(image).map((path) => `./etc/${path}`),
      ...execFileSync('find', ['lua', '-type', 'f'], { cwd: join(ROOT, 'gateway'), encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((path) => `./${path}`),
    ].sort(),
  );
});

test('the Dockerfile and the templates agree on user, port, paths and signal', () => {
  const dockerfile = readFileSync(join(ROOT, 'gateway/Dockerfile'), 'utf8');
  expect(dockerfile).toMatch(new RegExp(`^USER ${GATEWAY_USER}$`, 'm'));
  expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${GATEWAY_PORT}$`, 'm'));
  expect(dockerfile).toMatch(new RegExp(`^VOLUME ${IMAGE_PATHS.runtime}$`, 'm'));
  // A tmpfs over it (compute on instances) is root's and has the mode of what it covers: 0700 would shut nginx out.
  expect(dockerfile).toContain(`--mode=1777 ${IMAGE_PATHS.runtime}\n`);
  expect(dockerfile).toMatch(new RegExp(`^COPY etc/ ${IMAGE_PATHS.prefix}/$`, 'm'));
  expect(dockerfile).toMatch(new RegExp(`^COPY lua/ ${IMAGE_PATHS.lua}/$`, 'm'));
  expect(dockerfile).toMatch(/^STOPSIGNAL SIGQUIT$/m);
  const start = readFileSync(join(ROOT, 'gateway/start.sh'), 'utf8');
  expect(start).toContain(`tls=${IMAGE_PATHS.runtime}/tls\n`);
  expect(start).toContain(`entrypoint.sh ${IMAGE_PATHS.prefix} `);
  expect(imagePlacement(env, PROPS).certificate).toEqual({
    chainFile: `${IMAGE_PATHS.runtime}/tls/chain.pem`,
    keyFile: `${IMAGE_PATHS.runtime}/tls/key.pem`,
  });
});

describe('start.sh', () => {
  /** The script with nginx played by a few lines of shell; resolves once it has ended. */
  const start = (name: string, nginx: string) => {
    const directory = join(scratch, name);
    mkdirSync(directory, { recursive: true });
    const entrypoint = join(directory, 'entrypoint.sh');
    writeFileSync(entrypoint, `#!/bin/bash\n${nginx}\n`, { mode: 0o755 });
    const script = readFileSync(join(ROOT, 'gateway/start.sh'), 'utf8')
      .replace('/opt/causeway/entrypoint.sh', entrypoint)
      .replace(IMAGE_PATHS.runtime, directory);
    const log = join(directory, 'log');
    const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'ignore', openSync(log, 'w')] });
    const said = () => readFileSync(log, 'utf8');
    // When the first process of a container ends, nothing else says anything any more.
    const ended = new Promise<{ code: number | null; log: string }>((done) => {
      child.once('exit', (code) => {
        done({ code, log: said() });
      });
    });
    return { child, said, ended, directory };
  };

  test('ends as nginx does, after its last words have come through the filter', async () => {
    const { ended, directory } = start('words', "exec 2> >(sleep 0.3; exec cat >&2); echo 'last words' >&2; exit 7");
    expect(await ended).toEqual({ code: 7, log: 'last words\n' });
    expect(statSync(join(directory, 'tls/key.pem')).mode & 0o777).toBe(0o600);
  });

  test.each(['SIGQUIT', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)('passes %s on and waits for nginx', async (signal) => {
    const { child, said, ended } = start(
      signal,
      `trap 'sleep 0.2; echo ${signal} >&2; exit 0' ${signal}; echo ready >&2; while :; do sleep 0.05; done`,
    );
    while (!said().includes('ready')) await sleep(20);
    child.kill(signal);
    expect(await ended).toEqual({ code: 0, log: `ready\n${signal}\n` });
  });

  test('says why there is no certificate', async () => {
    mkdirSync(join(scratch, 'certificate/tls/key.pem'), { recursive: true });
    const { code, log } = await start('certificate', 'echo started >&2').ended;
    expect(code).toBe(1);
    expect(log).toMatch(/^the task's certificate could not be made: /);
    expect(log).not.toContain('started');
  });
});

const version = spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr as string | undefined;

(version === undefined ? test.skip : test)('nginx takes the files', () => {
  // The image's own, but for the places: there is no /etc/causeway here. An older nginx is told what it understands.
  const prefix = join(scratch, 'etc');
  const runtime = join(scratch, 'run');
  const placed: Placement = {
    ...imagePlacement(env, PROPS),
    prefix,
    luaDirectory: join(ROOT, 'gateway/lua'),
    runtimeDirectory: runtime,
    certificate: { chainFile: join(runtime, 'chain.pem'), keyFile: join(runtime, 'key.pem') },
    nginx: /nginx\/1\.(2[5-9]|[3-9]\d)/.test(version ?? '') ? '1.26' : '1.22',
  };
  const files: RenderedFiles = renderGateway({ ...env, clientAddress: { trustedHops: ['10.64.0.0/25'] } }, placed);
  for (const [path, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(prefix, path)), { recursive: true });
    writeFileSync(join(prefix, path), contents);
  }
  mkdirSync(runtime);
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=causeway'].concat([
      '-keyout',
      join(runtime, 'key.pem'),
      '-out',
      join(runtime, 'chain.pem'),
    ]),
    { stdio: 'ignore' },
  );
  // A container's standard output is a pipe, which nginx can open; Node would give it a socket, which it cannot.
  const { stderr } = spawnSync('nginx', ['-t', '-p', prefix, '-c', 'nginx.conf'], {
    encoding: 'utf8',
    stdio: ['ignore', openSync(join(runtime, 'stdout'), 'w'), 'pipe'],
  });
  expect(stderr).toContain('test is successful');
});
