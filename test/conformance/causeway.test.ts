import { execFile } from 'node:child_process';

import { CHECKS } from '../../conformance/checks';
import { startGateway, type TestGateway } from '../gateway/harness';
import { startMockClaude } from '../../local/mock-claude/server';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Report {
  readonly conforms: boolean;
  readonly checks: readonly { readonly id: string; readonly outcome: string }[];
}

/** The command as a user runs it, without npm. */
function conformance(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const env = { ...process.env, ANTHROPIC_API_KEY: '' };
    const command = ['--import', 'tsx', 'conformance/main.ts', ...args];
    const child = execFile(process.execPath, command, { env }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

describe('against Causeway', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({
      consumers: [{ id: 'team-a' }, { id: 'ordinary', rate: 20, burst: 10, concurrency: 8, maxStreams: 4 }],
    });
  });
  afterAll(() => gateway.stop());

  it('every check holds, over TLS, and the key is not told', async () => {
    const { key } = gateway;
    const where = [
      '--base-url',
      gateway.tlsUrl,
      '--key',
      key,
      '--mock-url',
      gateway.mock.baseUrl,
      '--ca',
      gateway.files.ca,
    ];
    const { code, stdout, stderr } = await conformance(...where, '--silence', '2', '--json');
    expect(stderr).toBe('');
    // What the command prints as JSON; its shape is what is tested.
    const report = JSON.parse(stdout) as Report;
    expect(report.checks.filter(({ outcome }) => outcome !== 'pass')).toEqual([]);
    expect(report.checks.map(({ id }) => id)).toEqual(CHECKS.map(({ id }) => id));
    expect([code, report.conforms]).toEqual([0, true]);
    expect(stdout).not.toContain(key);
    // No check has the gateway hold up the others.
    const refused = gateway.lines().filter((line) => Boolean(line['RateLimited']) || Boolean(line['ScarcityRefusals']));
    expect(refused).toEqual([]);
  });

  it.each(['x-api-key', 'authorization', 'both'])(
    'what any upstream shows holds for a key of an ordinary rate, by %s',
    async (header) => {
      const key = gateway.keys['ordinary'] ?? '';
      const { code, stdout } = await conformance('--base-url', gateway.baseUrl, '--key', key, '--header', header);
      expect(stdout).toMatch(/^\d+ checks of http.*: about \d+ requests and \d+ tokens of claude-sonnet-4-5$/m);
      expect(stdout).toMatch(/^\d+ hold, 0 required fail, 0 advised fail, \d+ skipped; \d+ requests, \d+ input and/m);
      expect([code, stdout.includes('FAIL')]).toEqual([0, false]);
    },
  );

  it('a wrong key is told, and ends with 1', async () => {
    const { code, stdout } = await conformance('--base-url', gateway.baseUrl, '--key', 'cwk_wrong');
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^FAIL +route\.messages .*\n.*does not answer.*\n.*expected: HTTP 200.*\n.*actual: +HTTP 401/m,
    );
    expect(stdout).toContain('The gateway does not conform.');
  });
});

describe('the command line', () => {
  const base = ['--base-url', 'http://127.0.0.1:1', '--key', 'k'];

  it('shows its help', async () => {
    const { code, stdout } = await conformance('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('--mock-url URL');
  });

  it.each<readonly [string, readonly string[], RegExp, number]>([
    ['no --base-url', [], /--base-url is missing/, 2],
    ['no --key', ['--base-url', 'http://127.0.0.1:1'], /--key is missing/, 2],
    ['a URL that is none', ['--base-url', 'gateway', '--key', 'k'], /--base-url is "gateway"; must be an http/, 2],
    ['an unknown option', [...base, '--fast'], /Unknown option '--fast'/, 2],
    ['an unknown header', [...base, '--header', 'cookie'], /--header is "cookie"; must be x-api-key/, 2],
    ['a time-out of none', [...base, '--timeout', '0'], /--timeout is "0"; must be a number of seconds/, 2],
    ['a CA that is not there', [...base, '--ca', 'no-such.pem'], /--ca no-such\.pem cannot be read/, 2],
    ['a gateway that is not there', base, /--base-url http:\/\/127\.0\.0\.1:1\/ cannot be reached: .*ECONNREFUSED/, 1],
    ['a mock that is not there', [...base, '--mock-url', 'http://127.0.0.1:1'], /--mock-url .* cannot be reached/, 1],
  ])('%s is told in one line', async (_name, args, message, exitCode) => {
    const { code, stderr } = await conformance(...args);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(code).toBe(exitCode);
  });

  it('a certificate that is not trusted is told, with the way out', async () => {
    const gateway = await startGateway();
    try {
      const { code, stderr } = await conformance('--base-url', gateway.tlsUrl, '--key', gateway.key);
      expect(stderr).toMatch(/cannot be reached: .*; --ca names the authority of its certificate$/m);
      expect(code).toBe(1);
    } finally {
      await gateway.stop();
    }
  });

  it('what is no mock is told', async () => {
    const mock = await startMockClaude();
    try {
      const { code, stderr } = await conformance(...base, '--mock-url', `${mock.baseUrl}/v1`);
      expect(stderr).toMatch(/is it a mock Claude API\?$/m);
      expect(code).toBe(1);
    } finally {
      await mock.close();
    }
  });
});
