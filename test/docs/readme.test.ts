import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { cdkArguments, parseRequest } from '../../lib/cli/cdk';
import { loadConfig, resolveEnvironment } from '../../lib/config';
import { parseCacheArguments } from '../../lib/registry/cli/cache-arguments';
import { HELP, parseArguments } from '../../local/arguments';
import { createAuthority, issueLeaf } from '../../local/pki';
import { LocalRun } from '../local/local-run';
import { repoDir, Sandbox } from '../local/sandbox';
import { blocksOf, page, tableRows, type Block } from './markdown';

jest.setTimeout(300_000);

const execute = promisify(execFile);
const MOCK_SAYS = /This is the answer of mock-claude to request [0-9a-f]{12}\./;
const readme = page('README.md');
const examples = page('examples/README.md');
/** test/run.ts leaves it empty where PyPI cannot be reached; with CI=true it has failed by then. */
const withPython = process.env['CAUSEWAY_TEST_PYTHON'] !== '' || process.env['CI'] === 'true';
const pythonTest = withPython ? it : it.skip;

/**
 * A clone of this checkout with a gateway that runs in it. The pages assume what `npm start` prints by default: in
 * commands, its ports 8080 and 8443 are replaced by those of this gateway, and the block that sets the two variables by
 * its address and its key. Nothing else is replaced.
 */
const sandbox = new Sandbox();
const clone = sandbox.path('causeway');
let gateway: LocalRun;

beforeAll(async () => {
  const options = { cwd: repoDir, encoding: 'utf8', maxBuffer: 1 << 26 } as const;
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], options);
  for (const file of files.split('\0').filter((name) => name !== '' && existsSync(join(repoDir, name)))) {
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    copyFileSync(join(repoDir, file), join(clone, file));
  }
  // Link by link: an `npm ci` in the clone would empty a folder that is a link itself.
  mkdirSync(join(clone, 'node_modules'));
  for (const name of readdirSync(join(repoDir, 'node_modules'))) {
    symlinkSync(join(repoDir, 'node_modules', name), join(clone, 'node_modules', name));
  }
  gateway = await LocalRun.ready({ cwd: clone });
  if (withPython) await shell(only(examples, 'sh').text);
});
afterAll(async () => {
  await gateway.end();
  sandbox.remove();
});

function only(markdown: string, info: string): Block {
  const [block, ...others] = blocksOf(markdown).filter((each) => each.info === info);
  if (block === undefined || others.length > 0) throw new Error(`one block of ${info} is expected`);
  return block;
}

function here(text: string): string {
  return text.replace(/\b8080\b/g, String(gateway.port)).replace(/\b8443\b/g, String(gateway.tlsPort));
}

async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout, stderr } = await execute(command, args, {
    cwd: clone,
    env: { ...process.env, ANTHROPIC_BASE_URL: gateway.baseUrl, ANTHROPIC_API_KEY: gateway.key, ...env },
    maxBuffer: 1 << 26,
  });
  // SDKs warn on standard error of models that are about to end.
  expect(stderr).not.toMatch(/deprecat/i);
  return stdout;
}

/** Runs commands as they stand; the first that fails fails them all. */
const shell = (text: string, env?: NodeJS.ProcessEnv): Promise<string> => run('sh', ['-euc', here(text)], env);

const python = (text: string): Promise<string> => {
  writeFileSync(join(clone, 'snippet.py'), text);
  return run('.venv/bin/python', ['snippet.py']);
};

const title = ({ line, info, text }: Block): string => `line ${line} (${info}): ${text.trim().split('\n')[0] ?? ''}`;
const isPython = ({ info }: Block): boolean => info === 'python' || info === 'sh pip';

/** Commands of a block, a line each, without the comment behind. */
const commands = (text: string): string[] => text.split('\n').map((line) => line.replace(/\s+#.*$/, ''));

/** How each kind of block is run, by what stands behind its fence. A kind that is not here fails the test. */
const kinds: Readonly<Record<string, (text: string) => Promise<void>>> = {
  mermaid: (text) => {
    // Rendered by GitHub: what can be told here is that it is a flowchart whose subgraphs end.
    expect(text).toMatch(/^flowchart (LR|TB)\n/);
    expect(text.match(/^\s*subgraph /gm)?.length).toBe(text.match(/^\s*end$/gm)?.length);
    return Promise.resolve();
  },
  sh: async (text) => {
    // Lines of the log are written together, a second late at most.
    if (text.includes('.jsonl')) await new Promise((done) => setTimeout(done, 1500));
    const output = await shell(text);
    if (text.includes('/v1/messages')) expect(output).toMatch(MOCK_SAYS);
    if (text.includes('if-none-match')) expect(output).toMatch(/^HTTP\/1\.1 304 /);
  },
  'sh pip': async (text) => {
    await shell(text);
  },
  'sh variables': async (text) => {
    expect(text.split('\n')).toEqual([
      'export ANTHROPIC_BASE_URL=http://127.0.0.1:8080',
      'export ANTHROPIC_API_KEY=cwk_…',
    ]);
    expect(await shell(`${text.replace('cwk_…', gateway.key)}\necho "$ANTHROPIC_BASE_URL $ANTHROPIC_API_KEY"`)).toBe(
      `${gateway.baseUrl} ${gateway.key}\n`,
    );
  },
  'sh start': async (text) => {
    for (const command of commands(text)) await starts(command);
  },
  'sh tests': (text) => {
    // Not from within themselves: what npm test is given must only be there.
    for (const command of commands(text)) {
      const match = /^npm test(?<rest> -- (?<path>\S+))?$/.exec(command);
      expect(match).not.toBeNull();
      expect(existsSync(join(repoDir, match?.groups?.['path'] ?? ''))).toBe(true);
    }
    return Promise.resolve();
  },
  'sh aws': async (text) => {
    for (const command of commands(text)) await checksAws(command);
  },
  json: async (text) => {
    const settings = JSON.parse(text) as { env: Record<string, string> };
    expect(settings).toEqual(JSON.parse(readFileSync(join(repoDir, 'examples/claude-code/settings.json'), 'utf8')));
    // As Claude Code sends it.
    const url = here(settings.env['ANTHROPIC_BASE_URL'] ?? '');
    await run('curl', [
      '-sS',
      '--fail',
      `${url}/v1/models`,
      '-H',
      `authorization: Bearer ${gateway.key}`,
      '-H',
      'anthropic-version: 2023-06-01',
    ]);
  },
  python: async (text) => {
    expect(await python(text)).toMatch(MOCK_SAYS);
  },
  ts: async (text) => {
    // A module, for its top-level await.
    writeFileSync(join(clone, 'snippet.mts'), text);
    expect(await run('npx', ['tsx', 'snippet.mts'])).toMatch(MOCK_SAYS);
  },
};

/** Starts as the command says, on ports of its own, and stops again. */
async function starts(command: string): Promise<void> {
  expect(command).toMatch(/^npm start( -- .*)?$/);
  const args = command.split(' ').slice(3);
  // It throws where an option is not known.
  const parsed = parseArguments(args);
  if (parsed.help) {
    expect(await shell(`npm start --silent -- --help`)).toBe(HELP);
    return;
  }
  // Needs the network and a real key: what can be told here is that it asks for one.
  if (parsed.upstream === 'anthropic') {
    const started = await LocalRun.launch({ cwd: clone, npm: true, args });
    expect((await started.outcome).stderr).toMatch(/^causeway: ANTHROPIC_API_KEY must be set/);
    await started.end();
    return;
  }
  if (parsed.certificate !== undefined) {
    const authority = await createAuthority({ name: 'Test' });
    const leaf = await issueLeaf({ hosts: ['localhost'], authority });
    writeFileSync(join(clone, parsed.certificate.chainFile), leaf.chain + authority.root);
    writeFileSync(join(clone, parsed.certificate.keyFile), leaf.key);
  }
  // The last of an option that is given twice counts: its ports may be taken on this machine.
  const { port, tlsPort } = gateway;
  const given = args.filter((arg, index) => ![args[index - 1], arg].some((each) => /^--(tls-)?port$/.test(each ?? '')));
  const started = await LocalRun.ready({ cwd: clone, npm: true, args: given });
  expect([started.port, started.tlsPort]).not.toEqual([port, tlsPort]);
  await started.end();
}

/** Commands for AWS, as far as no account is needed. */
async function checksAws(command: string): Promise<void> {
  const [, name = '', rest = ''] = /^npm run (\w+)(?: -- (.*))?$/.exec(command) ?? [];
  const args = rest.split(' ').filter((arg) => arg !== '');
  switch (name) {
    case 'config':
    case 'cost':
      expect(await shell(command)).not.toBe('');
      return;
    case 'synth':
      expect(await shell(command)).toMatch(/Synthesized into cdk\.out in \d+\.\d s\.\n$/);
      return;
    case 'cache': {
      const { env = '', regions = [] } = parseCacheArguments(args) ?? {};
      const known = resolveEnvironment(loadConfig(join(repoDir, 'causeway.config.ts')), env).regions;
      expect(known.map(({ region }) => region)).toEqual(expect.arrayContaining([...regions]));
      return;
    }
    default: {
      // They ask AWS: what they would ask the CDK's command line for must be what there is.
      const config = loadConfig(join(repoDir, 'causeway.config.ts'));
      expect(cdkArguments(parseRequest([name, ...args]), config)).toContain(name);
    }
  }
}

describe.each(['README.md', 'docs/caching.md'])('%s', (path) => {
  const blocks = blocksOf(page(path));

  it('holds no kind of block that this test cannot run', () => {
    expect(blocks.filter(({ info }) => kinds[info] === undefined).map(title)).toEqual([]);
  });

  it.each(blocks.filter((block) => !isPython(block)).map((block) => [title(block), block] as const))(
    'works as printed: %s',
    async (_, { info, text }) => {
      await kinds[info]?.(text);
    },
  );

  for (const block of blocks.filter(isPython)) {
    pythonTest(`works as printed: ${title(block)} (needs PyPI)`, async () => {
      await kinds[block.info]?.(block.text);
    });
  }
});

describe('README.md', () => {
  it('lists every npm script, and no other', () => {
    const { scripts } = JSON.parse(page('package.json')) as { scripts: Record<string, string> };
    const listed = tableRows(readme, 'command').map(
      ([command = '']) => /^`npm (?:run )?(\S+)`$/.exec(command)?.[1] ?? command,
    );
    expect(listed.toSorted()).toEqual(Object.keys(scripts).toSorted());
  });

  it('names paths that are there', () => {
    for (const [paths = ''] of tableRows(readme, 'path')) {
      for (const [, path = ''] of paths.matchAll(/`([^`]+)`/g))
        expect([path, existsSync(join(repoDir, path))]).toEqual([path, true]);
    }
  });
});

describe('examples/README.md', () => {
  const rows = tableRows(examples, 'example').map(
    ([example = '', command = '']) => [example.replaceAll('`', ''), /^`(.+)`$/.exec(command)?.[1] ?? ''] as const,
  );
  const says: Readonly<Record<string, RegExp>> = {
    'curl/stream.sh': /^event: message_stop$/m,
    'typescript/batches.ts': /^first succeeded$/m,
    'python/batches.py': /^first succeeded$/m,
    'typescript/retries.ts': /^end_turn$/m,
    'typescript/stream.ts': /mock-claude[^]*\noutput tokens: \d+$/m,
    'python/stream.py': /mock-claude[^]*\noutput tokens: \d+$/m,
    'typescript/models-etag.ts': /^200 \d{4,} bytes\n304 0 bytes\n\d+ models$/m,
    'python/models_etag.py': /^200 \d{4,} bytes\n304 0 bytes\n\d+ models$/m,
    'typescript/cached-message.ts': /^(MISS|HIT) \d+ s old\n(.*)\nHIT \d+ s old\n\2\n$/,
    'python/cached_message.py': /^(MISS|HIT) \d+ s old\n(.*)\nHIT \d+ s old\n\2\n$/,
  };

  it('lists every example', () => {
    const files = execFileSync('git', ['ls-files', 'examples'], { cwd: repoDir, encoding: 'utf8' }).trim().split('\n');
    expect(rows.map(([example]) => `examples/${example}`).toSorted()).toEqual(
      files.filter((file) => file !== 'examples/README.md').toSorted(),
    );
  });

  for (const [example, command] of rows.filter(([, each]) => each !== '')) {
    const test = example.endsWith('.py') ? pythonTest : it;
    test(`${example} works${example.endsWith('.py') ? ' (needs PyPI)' : ''}`, async () => {
      // The demo key lets ten requests through at once, and five a second.
      await new Promise((done) => setTimeout(done, 300));
      expect(await shell(command)).toMatch(says[example] ?? MOCK_SAYS);
    });
  }

  describe('clients trust the local authority', () => {
    const ways = new Map(
      tableRows(examples, 'client').map(([client = '', how = '']) => [client, how.replaceAll('`', '')]),
    );
    const way = (client: string): string => ways.get(client) ?? `no way is told for ${client}`;
    const tls = (): NodeJS.ProcessEnv => ({ ANTHROPIC_BASE_URL: `https://127.0.0.1:${gateway.tlsPort}` });

    it('knows them', () => {
      expect([...ways.keys()]).toEqual(['curl', 'Node', 'Python SDK', 'Python requests']);
    });

    it('curl', () => shell(`curl -sS --fail ${way('curl')} "$ANTHROPIC_BASE_URL/readyz"`, tls()));

    it('Node', async () => {
      expect(await shell(`${way('Node')} npx tsx examples/typescript/messages.ts`, tls())).toMatch(MOCK_SAYS);
    });

    pythonTest('the Python SDK (needs PyPI)', async () => {
      expect(await shell(`${way('Python SDK')} .venv/bin/python examples/python/messages.py`, tls())).toMatch(
        MOCK_SAYS,
      );
    });

    pythonTest('Python requests (needs PyPI)', async () => {
      const command = `${way('Python requests')} .venv/bin/python examples/python/with_requests.py`;
      expect(await shell(command, tls())).toMatch(MOCK_SAYS);
    });
  });
});
