import { CHECKS } from '../../conformance/checks';
import { MockAdmin } from '../../conformance/mock-admin';
import { table } from '../../conformance/report';
import { conforms, runChecks, type Result } from '../../conformance/runner';
import { Target, type TargetOptions } from '../../conformance/target';
import { startMockClaude, type MockClaude } from '../../local/mock-claude/server';
import { CUT_AFTER_MS, startBrokenProxy, type Breakage, type BrokenProxy } from './support/broken-proxy';

const KEY = 'sk-ant-conformance-test-key';

let mock: MockClaude;
let proxy: BrokenProxy;

beforeAll(async () => {
  mock = await startMockClaude({ requireKeys: [KEY] });
  proxy = await startBrokenProxy(new URL(mock.baseUrl), KEY);
});
afterAll(async () => {
  await proxy.close();
  await mock.close();
});

function target(more: Partial<TargetOptions> = {}): Target {
  return new Target({
    baseUrl: proxy.url,
    key: KEY,
    header: 'both',
    model: 'claude-sonnet-4-5',
    timeoutMs: 30_000,
    silenceMs: 300,
    mock: new MockAdmin(new URL(mock.baseUrl), undefined),
    ...more,
  });
}

/** A target of which nobody knows what stands behind it. */
function blind(more: Partial<TargetOptions> = {}): Target {
  const { mock: _known, ...options } = target(more).options;
  return new Target(options);
}

function failed(results: readonly Result[]): string[] {
  return results.filter(({ outcome }) => outcome.kind === 'fail').map(({ check }) => check.id);
}

/** Breakage, the checks that must name it, words of the message. */
const BREAKAGES: readonly (readonly [breakage: Breakage, checks: readonly string[], words: RegExp, advised?: true])[] =
  [
    ['drops anthropic-beta', ['request.anthropic-beta'], /anthropic-beta is dropped/],
    ['drops a beta of several', ['request.anthropic-beta'], /anthropic-beta is changed/],
    ['drops unknown anthropic-* headers', ['request.anthropic-unknown'], /anthropic-conformance-probe is dropped/],
    ['pins anthropic-version', ['request.anthropic-version'], /actual: +anthropic-version: 2023-06-01/],
    ['drops the query', ['request.query'], /the query is lost/],
    ['re-serialises request bodies', ['request.body-bytes'], /arrives with another length/],
    ['refuses chunked bodies', ['request.chunked'], /HTTP 411/],
    ['refuses bodies over 1 MB', ['request.large-body'], /31 MiB does not get through/],
    ['answers 403 to code in prompts', ['request.prompt-content'], /a prompt that holds code is refused/],
    ['re-serialises answers', ['response.body-bytes'], /the answer arrives with other bytes/],
    ['compresses answers', ['response.encoding'], /a plain answer arrives compressed/],
    ['strips request-id', ['response.request-id'], /comes without request-id/],
    ['makes its own request-id', ['response.request-id'], /another request-id than the upstream gave/],
    ['strips rate-limit headers', ['response.rate-limits'], /anthropic-ratelimit-requests-limit.* stripped/],
    ['strips other anthropic-* response headers', ['response.anthropic-headers'], /anthropic-priority-.* stripped/],
    ['follows redirects', ['response.redirect'], /the redirect is followed/],
    ['re-wraps errors', ['error.body', 'error.own-shape'], /re-wrapped[^]*"upstream error/],
    ['rewrites 529 to 503', ['error.status'], /status 529 becomes 503/],
    ['strips retry-after', ['error.retry-after'], /retry-after is stripped/],
    ['strips x-should-retry', ['error.x-should-retry'], /x-should-retry is stripped/],
    ['buffers event streams', ['stream.not-buffered'], /events are held back/],
    ['buffers event streams by 4 kB', ['stream.not-buffered'], /events are held back/],
    ['writes events anew', ['stream.bytes'], /the stream arrives with other bytes/],
    ['swallows pings', ['stream.ping'], /ping events are swallowed[^]*0 pings/],
    ['swallows comments', ['stream.comments'], /a comment is swallowed/],
    ['swallows unknown events', ['stream.unknown-events'], /an unknown event is swallowed/],
    ['alters in-band errors', ['stream.in-band-error'], /the in-band error is swallowed or changed/],
    ['ends broken streams cleanly', ['stream.cut'], /ends as if it were whole/],
    ['reads on when the client has left', ['stream.client-leaves'], /goes on answering/],
    ['forwards the Admin API', ['route.admin-closed'], /the gateway forwards the Admin API/],
    ['takes x-api-key only', ['auth.bearer'], /refused in this form/],
    ['takes Authorization only', ['auth.x-api-key'], /refused in this form/],
    ['lets anybody in', ['auth.no-key', 'auth.wrong-key', 'error.own-shape'], /not refused as the API refuses/],
    ['answers 403 to wrong keys', ['auth.wrong-key'], /HTTP 403/],
    ['has no count_tokens', ['route.count-tokens'], /does not answer as the API does/],
    ['has no models', ['route.models', 'request.query', 'response.redirect'], /does not answer as the API does/],
  ];

describe('with a mock behind it', () => {
  it('a proxy that does nothing wrong passes every check', async () => {
    proxy.break();
    const subject = target();
    const results = await runChecks(subject, CHECKS);
    expect(table(subject, results)).toContain('The gateway conforms.');
    expect(results.filter(({ outcome }) => outcome.kind !== 'pass')).toEqual([]);
  });

  it.each(BREAKAGES)('a proxy that %s fails in %j, and in nothing else', async (breakage, checks, words) => {
    proxy.break(breakage);
    const subject = target();
    const results = await runChecks(subject, CHECKS);
    expect([...failed(results)].sort()).toEqual([...checks].sort());
    expect(table(subject, results)).toMatch(words);
    const levels = CHECKS.filter(({ id }) => checks.includes(id)).map(({ level }) => level);
    expect(conforms(results)).toBe(!levels.includes('required'));
  });

  it('a proxy that cuts silent streams fails in stream.silence, and in nothing else', async () => {
    proxy.break('cuts silent streams');
    const subject = target({ silenceMs: 2 * CUT_AFTER_MS });
    const results = await runChecks(subject, CHECKS);
    expect(failed(results)).toEqual(['stream.silence']);
    expect(table(subject, results)).toMatch(/a stream that is silent for 5 s is cut/);
  });

  it('a proxy that refuses both headers fails in auth.both-headers, and in nothing else', async () => {
    proxy.break('refuses both headers');
    const results = await runChecks(target({ header: 'authorization' }), CHECKS);
    expect(failed(results)).toEqual(['auth.both-headers']);
  });

  it('the mock keeps the rules it had', async () => {
    proxy.break();
    mock.script({ match: { path: '/v1/future' }, script: { status: 418 } });
    await runChecks(target(), CHECKS.slice(0, 2));
    const answer = await fetch(`${mock.baseUrl}/v1/future`, {
      headers: { 'x-api-key': KEY, 'anthropic-version': '1' },
    });
    expect(answer.status).toBe(418);
    mock.clearScript();
  });
});

describe('without a mock', () => {
  it('what any upstream shows is checked, the rest is skipped by name', async () => {
    proxy.break();
    const results = await runChecks(blind(), CHECKS);
    expect(failed(results)).toEqual([]);
    for (const { check, outcome } of results.filter((result) => result.check.needs === 'echo')) {
      expect([check.id, outcome]).toEqual([check.id, { kind: 'skip', why: 'needs --mock-url' }]);
    }
  });

  it.each([
    ['drops the query', ['request.query']],
    ['refuses bodies over 1 MB', ['request.large-body']],
    ['answers 403 to code in prompts', ['request.prompt-content']],
    ['re-wraps errors', ['error.body', 'error.own-shape']],
    ['strips request-id', ['response.request-id']],
    ['takes x-api-key only', ['auth.bearer']],
  ] as const)('a proxy that %s fails in %j', async (breakage, checks) => {
    proxy.break(breakage);
    expect([...failed(await runChecks(blind(), CHECKS))].sort()).toEqual([...checks].sort());
  });

  describe('a model that writes for two seconds', () => {
    const notBuffered = CHECKS.filter(({ id }) => id === 'route.messages' || id === 'stream.not-buffered');
    beforeAll(() => {
      mock.script({ match: { path: '/v1/messages' }, script: { delayMs: 200, deltas: 20, deltaMs: 100 } });
    });
    afterAll(() => {
      mock.clearScript();
    });

    it('shows that events are not held back', async () => {
      proxy.break();
      const [, last] = await runChecks(blind(), notBuffered);
      expect(last?.outcome).toEqual({ kind: 'pass' });
    });

    it('shows that events are held back', async () => {
      proxy.break('buffers event streams');
      const [, last] = await runChecks(blind(), notBuffered);
      expect(last?.outcome).toMatchObject({ kind: 'fail', reason: 'events are held back, and come together' });
    });
  });

  it('a key that is refused fails once, and skips the rest', async () => {
    proxy.break();
    const subject = blind({ key: 'sk-other' });
    const results = await runChecks(subject, CHECKS);
    expect(failed(results)).toEqual(['route.messages']);
    expect(results.filter(({ outcome }) => outcome.kind === 'skip')).toHaveLength(CHECKS.length - 1);
    expect(subject.requests).toBe(1);
    expect(conforms(results)).toBe(false);
  });
});
