import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';

import { createAuthority, issueLeaf } from '../../local/pki';
import { freePort } from '../../local/ports';
import { LocalRun, processesIn, type RunOptions } from './local-run';
import { repoDir, Sandbox, until } from './sandbox';

jest.setTimeout(180_000);

const execute = promisify(execFile);
const MOCK_SAYS = /^This is the answer of mock-claude to request [0-9a-f]{12}\.$/m;
/** test/run.ts leaves it empty where PyPI cannot be reached; with CI=true it has failed by then. */
const pythonTest = process.env['CAUSEWAY_TEST_PYTHON'] === '' && process.env['CI'] !== 'true' ? it.skip : it;

let sandbox: Sandbox;
const open: LocalRun[] = [];
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((run) => run.end()));
  sandbox.remove();
});

async function ready(options?: RunOptions): Promise<LocalRun> {
  const run = await LocalRun.ready(options);
  open.push(run);
  return run;
}

/** A config elsewhere than in the checkout. */
function configFile(local: string, name = 'my.config.ts'): string {
  return sandbox.write(
    name,
    `import { defineConfig } from '${repoDir}/lib/config';\n\nexport default defineConfig({ environments: { local: ${local} } });\n`,
  );
}

/** Runs a printed example in a shell. */
async function shell(command: string): Promise<string> {
  const { stdout } = await execute('sh', ['-ec', command], { cwd: repoDir });
  return stdout;
}

describe('what is printed works as printed', () => {
  let run: LocalRun;
  beforeAll(async () => {
    run = await LocalRun.ready({ npm: true });
  });
  afterAll(async () => {
    await run.end();
  });

  it('curl', async () => {
    const answer = JSON.parse(await shell(run.example('curl'))) as { model: string; content: [{ text: string }] };
    expect(answer.model).toBe('claude-sonnet-5-5');
    expect(answer.content[0].text).toMatch(MOCK_SAYS);
  });

  pythonTest('Python, in a virtual environment as printed (needs PyPI)', async () => {
    expect(await shell(run.example('Python'))).toMatch(MOCK_SAYS);
  });

  it('TypeScript', async () => {
    expect(await shell(run.example('TypeScript'))).toMatch(MOCK_SAYS);
  });

  it('addresses, authority and log are those that there are', async () => {
    const { stdout } = run.output;
    expect(stdout).toContain(`  base URL   http://127.0.0.1:${run.port}\n`);
    const authority = /https:\/\/127\.0\.0\.1:\d+ {2}\(CA: (\S+)\)/.exec(stdout)?.[1] ?? '';
    await shell(`curl -sS --fail --cacert ${authority} https://127.0.0.1:${run.tlsPort}/readyz`);
    const log = /^ {2}log +(\S+)$/m.exec(stdout)?.[1] ?? '';
    // Lines are written together, a second late at most.
    await shell(`for i in $(seq 100); do grep -q '"consumer":"demo"' ${log} && exit 0; sleep 0.1; done; exit 1`);
  });
});

it('starts in a checkout that lies too deep for the path of a socket', async () => {
  const deep = sandbox.path('a'.repeat(60), 'b'.repeat(50));
  mkdirSync(deep, { recursive: true });
  const entries = readdirSync(repoDir).filter((name) => name !== '.git' && name !== '.causeway');
  for (const name of entries) symlinkSync(join(repoDir, name), join(deep, name));
  const run = await ready({ cwd: deep });
  const answer = await fetch(`${run.baseUrl}/v1/models`, {
    headers: { 'x-api-key': run.key, 'anthropic-version': '2023-06-01' },
  });
  // Fetched through that socket.
  expect([answer.status, answer.headers.get('x-causeway-cache')]).toEqual([200, 'MISS']);
});

it('a second start is ready in under three seconds, as it prints itself', async () => {
  const figures: number[] = [];
  // The best of three, as other work on the machine is not ours.
  for (let attempt = 1; attempt <= 3 && !figures.some((figure) => figure < 3); attempt++) {
    const run = await ready();
    figures.push(run.readySeconds);
    await run.end();
  }
  expect(Math.min(...figures)).toBeLessThan(3);
});

describe('stops', () => {
  it.each([
    [
      'SIGTERM',
      {},
      (run: LocalRun) => {
        run.signal('SIGTERM');
      },
    ],
    [
      'SIGINT',
      {},
      (run: LocalRun) => {
        run.signal('SIGINT');
      },
    ],
    [
      'SIGTERM to npm',
      { npm: true },
      (run: LocalRun) => {
        run.signal('SIGTERM');
      },
    ],
    [
      'Ctrl-C in a terminal, which npm passes on once more',
      { npm: true },
      (run: LocalRun) => {
        run.ctrlC();
      },
    ],
  ] as const)('by %s: streams end whole, new connections are refused, nothing is left', async (_, options, stop) => {
    const run = await ready(options);
    const stream = await run.stream({ deltas: 60, deltaMs: 100 });
    await until(() => stream.events >= 3);
    stop(run);
    while (await run.accepts());
    expect(stream.end).toBeUndefined();
    await until(() => stream.end !== undefined);
    expect(stream.end).toBe('whole');
    expect(stream.text).toContain('event: message_stop\n');
    expect(await run.outcome).toMatchObject({
      code: 0,
      stderr: 'causeway: stopping; open streams are finished first (once more to cut them)\n',
    });
    expect(run.left()).toEqual([]);
    expect(existsSync(`${run.directory}/credentials.json`)).toBe(false);
  });

  it('cuts streams at a second signal', async () => {
    const run = await ready();
    const stream = await run.stream({ silence: { ms: 600_000, afterEvents: 2 } });
    await until(() => stream.events >= 2);
    run.signal('SIGTERM');
    await until(() => run.output.stderr.includes('stopping'));
    await new Promise((done) => setTimeout(done, 1500));
    expect(stream.end).toBeUndefined();
    run.signal('SIGTERM');
    expect((await run.outcome).code).toBe(0);
    await until(() => stream.end !== undefined);
    expect(stream.end).toBe('cut');
    expect(run.left()).toEqual([]);
  });

  it('while it is still starting, too', async () => {
    const run = await LocalRun.launch();
    open.push(run);
    await until(() => processesIn(run.directory).length > 0);
    run.signal('SIGTERM');
    expect(await run.outcome).toMatchObject({
      code: 0,
      stdout: '',
      stderr: 'causeway: stopping; open streams are finished first (once more to cut them)\n',
    });
    expect(run.left()).toEqual([]);
  });

  it('leaves no child behind when it is killed', async () => {
    const run = await ready();
    expect(run.left().length).toBeGreaterThanOrEqual(3);
    run.signal('SIGKILL');
    await run.outcome;
    await until(() => run.left().length === 0);
  });

  it('says so when nginx ends by itself', async () => {
    const run = await ready();
    process.kill(run.nginx, 'SIGTERM');
    const { code, stderr } = await run.outcome;
    expect(code).toBe(1);
    expect(stderr).toBe(
      `causeway: nginx ended by itself, so everything is stopped (its log: ${run.directory}/log/nginx-error.log)\n`,
    );
    expect(run.left()).toEqual([]);
  });
});

describe('refuses with one message', () => {
  /** Runs a start that must fail, and holds it against what every failure keeps. */
  async function refused(options: RunOptions): Promise<string> {
    const run = await LocalRun.launch(options);
    open.push(run);
    const { code, stdout, stderr } = await run.outcome;
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^causeway: /);
    expect(stderr).not.toMatch(/^\s+at |node:internal/m);
    expect(run.left()).toEqual([]);
    return stderr.slice('causeway: '.length);
  }

  async function listening(use: (port: number) => Promise<void>): Promise<void> {
    const server: Server = createServer();
    const port = await freePort();
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
    try {
      await use(port);
    } finally {
      server.close();
    }
  }

  it('a port that is in use', () =>
    listening(async (port) => {
      expect(await refused({ port })).toBe(
        `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port with --port\n`,
      );
      expect(existsSync(`${repoDir}/.causeway/run-${port}`)).toBe(false);
    }));

  it('a TLS port that is in use', () =>
    listening(async (port) => {
      expect(await refused({ tlsPort: port })).toBe(
        `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port with --tls-port\n`,
      );
    }));

  it('the real API without a key', async () => {
    expect(await refused({ args: ['--upstream', 'anthropic'] })).toBe(
      "ANTHROPIC_API_KEY must be set: the upstream's credential is read from there. Without one, npm start alone runs against the mock Claude API\n",
    );
  });

  it('an option that is not known', async () => {
    expect(await refused({ args: ['--bogus'] })).toBe("Unknown option '--bogus'; see npm start -- --help\n");
  });

  it.each([
    [
      'an unknown setting',
      '{ limits: { nope: 1 } }',
      /^my\.config\.ts, environment "local": limits\.nope: unknown setting; allowed here: \S.*\n$/,
    ],
    [
      'timeouts that do not nest',
      '{ timeouts: { client: { sendSeconds: 60 } } }',
      /^my\.config\.ts, environment "local"(: | has \d+ problems:\n {2})timeouts\.upstream\.readSeconds\.\w+: is \d+; must be less than timeouts\.client\.sendSeconds \(60\)\n/,
    ],
    ['a slip of syntax', '{ limits: }', /^my\.config\.ts: does not load: line 3, column \d+: \S.*\n$/],
  ])('a config with %s', async (_, local, message) => {
    expect(await refused({ args: ['--config', configFile(local)] })).toMatch(message);
  });

  it('a config whose import leads nowhere', async () => {
    const file = sandbox.write(
      'my.config.ts',
      "import { defineConfig } from './lib/config';\nexport default defineConfig({ environments: {} });\n",
    );
    expect(await refused({ args: ['--config', file] })).toBe(
      "my.config.ts: does not load: Cannot find module './lib/config'\n",
    );
  });

  it('a config or environment that is not there', async () => {
    const file = sandbox.path('none.config.ts');
    expect(await refused({ args: ['--config', file] })).toBe(`none.config.ts: there is no file ${file}\n`);
    expect(await refused({ args: ['--env', 'nope'] })).toMatch(
      /^causeway\.config\.ts: environments\.nope: does not exist; there are: local, /,
    );
  });

  it('certificates that cannot be served', async () => {
    const authority = await createAuthority({ name: 'Test' });
    const [good, other] = [
      await issueLeaf({ hosts: ['localhost'], authority }),
      await issueLeaf({ hosts: ['localhost'], authority }),
    ];
    const hour = 3_600_000;
    const expired = await issueLeaf({
      hosts: ['localhost'],
      authority,
      notBefore: new Date(Date.now() - 2 * hour),
      notAfter: new Date(Date.now() - hour),
    });
    const chain = sandbox.write('chain.pem', good.chain);
    const leaf = sandbox.write('leaf.pem', good.cert);
    const key = sandbox.write('key.pem', good.key);
    const otherKey = sandbox.write('other.pem', other.key);
    const old = sandbox.write('old.pem', expired.chain);
    const oldKey = sandbox.write('old-key.pem', expired.key);
    const pair = (cert: string, certKey: string) => refused({ args: ['--cert', cert, '--key', certKey] });

    expect(await pair(chain, otherKey)).toBe(
      `--key ${otherKey} does not match the certificate of CN=localhost in ${chain}\n`,
    );
    expect(await pair(old, oldKey)).toMatch(
      new RegExp(`^--cert ${old}: the certificate of CN=localhost has expired \\(.* GMT\\): give a valid one\\n$`),
    );
    expect(await pair(sandbox.path('none.pem'), key)).toBe(
      `--cert ${sandbox.path('none.pem')}: there is no such file\n`,
    );
    expect(await pair(chain, sandbox.path('none.pem'))).toBe(
      `--key ${sandbox.path('none.pem')}: there is no such file\n`,
    );
    expect(await pair(key, key)).toBe(`--cert ${key}: it holds no PEM certificate\n`);
    // Only the gateway knows which authorities are trusted.
    expect(await pair(leaf, key)).toMatch(
      new RegExp(`^nginx does not start: certificate ${leaf} refused: the chain is incomplete: .*\\n$`),
    );
  });

  it('a machine on which nothing may be installed, with the command to run', async () => {
    bare();
    sandbox.fake('dpkg-query', 'exit 1');
    sandbox.fake('apt-get', 'exit 1');
    sandbox.fake('apt-cache', 'shift; for p; do printf "%s:\\n  Candidate: 1\\n" $p; done');
    sandbox.fake('id', 'echo 1000');
    const message = await refused({ env: { PATH: sandbox.bin } });
    expect(message).toMatch(
      /^Debian packages are missing, and installing them needs root or sudo without a password\. Run\n\n/,
    );
    expect(message).toMatch(
      /\n {2}sudo apt-get install -y --no-install-recommends nginx libnginx-mod-http-lua .*\n\nand start again\n$/,
    );
    expect(sandbox.calls().filter((call) => /^(apt-get|sudo)/.test(call))).toEqual([]);
  });

  it('a machine with neither apt nor docker', async () => {
    bare();
    expect(await refused({ env: { PATH: sandbox.bin } })).toMatch(/^this machine has neither apt-get nor docker: /);
  });

  /** A PATH with what Node and the bootstrap need, and nothing else. */
  function bare(): void {
    sandbox.real('sh', 'cat', 'cmp', 'dirname', 'node', 'uname');
  }
});

it('runs in a container where there is no apt but docker', async () => {
  sandbox.real('sh', 'cat', 'cmp', 'dirname', 'node', 'uname');
  sandbox.fake('docker', '[ "$1" = run ] && exit 7; exit 0');
  const run = await LocalRun.launch({
    args: ['--upstream', 'anthropic'],
    env: { PATH: sandbox.bin, ANTHROPIC_API_KEY: 'sk-ant-secret', CAUSEWAY_CREDENTIAL_AWS: 'another-secret' },
  });
  open.push(run);
  expect(await run.outcome).toMatchObject({ code: 7, stdout: '' });
  const call = sandbox.calls().find((line) => line.startsWith('docker run ')) ?? '';
  expect(call).toContain(
    ` --publish 127.0.0.1:${run.port}:${run.port} --publish 127.0.0.1:${run.tlsPort}:${run.tlsPort} `,
  );
  expect(call).toContain(' --env ANTHROPIC_API_KEY --env CAUSEWAY_CREDENTIAL_AWS ');
  expect(call).toMatch(
    new RegExp(
      ` sh local/bootstrap\\.sh local/start\\.ts --port ${run.port} --tls-port ${run.tlsPort} --upstream anthropic$`,
    ),
  );
  expect(call).not.toContain('secret');
});

it('--help says what can be said, and starts nothing', async () => {
  const run = await LocalRun.launch({ args: ['--help'] });
  open.push(run);
  const { code, stdout, stderr } = await run.outcome;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const option of ['--upstream', '--port', '--tls-port', '--config', '--env', '--cert', '--key', '--help']) {
    expect(stdout).toMatch(new RegExp(` ${option} `));
  }
  expect(existsSync(run.directory)).toBe(false);
});

it('takes an edited config over, and serves on with the running one where the edit is broken', async () => {
  const file = configFile('{}');
  const run = await ready({ args: ['--config', file] });
  const refusal = async (): Promise<string> => {
    const response = await fetch(`${run.baseUrl}/v1/organizations`, { headers: { 'x-api-key': run.key } });
    return ((await response.json()) as { error: { message: string } }).error.message;
  };
  const closed = 'The Admin API is not reachable through this gateway.';
  expect(await refusal()).toBe(closed);

  configFile('{ limits: { allowAdminApi: 1 } }');
  await until(() => run.output.stderr.includes('serves on'));
  expect(run.output.stderr).toMatch(
    /^causeway: my\.config\.ts, environment "local": limits\.allowAdminApi: .*\nthe running configuration serves on\n$/,
  );
  expect(await refusal()).toBe(closed);

  configFile('{ auth: { mode: "passthrough" } }');
  await until(() => run.output.stderr.includes('auth.mode has changed, which takes a new start'));

  configFile('{ limits: { allowAdminApi: true } }');
  await until(() => run.output.stderr.includes('taken over'));
  // Open to those consumers whose own policy says so. Asked slowly, as the demo key has a limit.
  await untilIs('This key is not allowed to use this route.', refusal, 500);
});

it('serves a certificate of the operator’s, and another one as soon as it stands on disk', async () => {
  const authority = await createAuthority({ name: 'Test' });
  const issue = () => issueLeaf({ hosts: ['localhost', '127.0.0.1'], authority });
  const ca = sandbox.write('ca.pem', authority.root);
  const first = await issue();
  const [cert, key] = [sandbox.write('chain.pem', first.chain), sandbox.write('key.pem', first.key)];
  const config = configFile(`{ tls: { caFile: ${JSON.stringify(ca)}, reloadSeconds: 1 } }`);
  const run = await ready({ args: ['--config', config, '--cert', cert, '--key', key] });
  expect(run.output.stdout).not.toContain('(CA: ');

  const served = (): Promise<string> =>
    new Promise((done, fail) => {
      const socket = connect(
        { port: run.tlsPort, host: '127.0.0.1', servername: 'localhost', ca: authority.root },
        () => {
          done(socket.getPeerX509Certificate()?.toString() ?? '');
          socket.destroy();
        },
      );
      socket.once('error', fail);
    });
  expect((await served()).trim()).toBe(first.cert.trim());

  const second = await issue();
  writeFileSync(sandbox.path('new-key.pem'), second.key);
  renameSync(sandbox.path('new-key.pem'), key);
  writeFileSync(sandbox.path('new.pem'), second.chain);
  renameSync(sandbox.path('new.pem'), cert);
  await untilIs(second.cert.trim(), async () => (await served()).trim(), 100);
});

/** Asks again and again until the answer is this one. */
async function untilIs<T>(expected: T, ask: () => Promise<T>, everyMs: number): Promise<void> {
  for (let answer = await ask(), tries = 20_000 / everyMs; answer !== expected; answer = await ask()) {
    if (--tries < 0) expect(answer).toBe(expected);
    await new Promise((done) => setTimeout(done, everyMs));
  }
}
