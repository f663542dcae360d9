import { CHECKS } from '../../conformance/checks';
import { table } from '../../conformance/report';
import { conforms, runChecks } from '../../conformance/runner';
import { CUT_AFTER_MS, type Breakage } from './support/broken-proxy';
import { failed, KEY, withProxy } from './support/with-proxy';

/** Breakage, the checks that must name it, words of the message. */
const BREAKAGES: readonly (readonly [breakage: Breakage, checks: readonly string[], words: RegExp])[] = [
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
  ['has no models', ['route.models'], /does not answer as the API does/],
];

describe('with a mock behind it', () => {
  it.concurrent('a proxy that does nothing wrong passes every check', () =>
    withProxy([], async ({ target, admin }) => {
      const subject = target({}, admin());
      const results = await runChecks(subject, CHECKS);
      expect(results.filter(({ outcome }) => outcome.kind !== 'pass')).toEqual([]);
      expect(table(subject, results)).toContain('The gateway conforms.');
    }),
  );

  it.concurrent.each([...BREAKAGES])('a proxy that %s fails in %j, and in nothing else', (breakage, checks, words) =>
    withProxy([breakage], async ({ target, admin }) => {
      const subject = target({}, admin());
      const results = await runChecks(subject, CHECKS);
      expect(failed(results)).toEqual([...checks].sort());
      expect(table(subject, results)).toMatch(words);
      const levels = CHECKS.filter(({ id }) => checks.includes(id)).map(({ level }) => level);
      expect(conforms(results)).toBe(!levels.includes('required'));
    }),
  );

  it.concurrent('a proxy that cuts silent streams fails in stream.silence, and in nothing else', () =>
    withProxy(['cuts silent streams'], async ({ target, admin }) => {
      const subject = target({ silenceMs: 2 * CUT_AFTER_MS }, admin());
      const results = await runChecks(subject, CHECKS);
      expect(failed(results)).toEqual(['stream.silence']);
      expect(table(subject, results)).toMatch(/a stream that is silent for 5 s is cut/);
    }),
  );

  it.concurrent('a proxy that refuses both headers fails in auth.both-headers, and in nothing else', () =>
    withProxy(['refuses both headers'], async ({ target, admin }) => {
      const results = await runChecks(target({ header: 'authorization' }, admin()), CHECKS);
      expect(failed(results)).toEqual(['auth.both-headers']);
    }),
  );

  it.concurrent('several breakages are each found', () =>
    withProxy(['drops anthropic-beta', 're-wraps errors', 'buffers event streams'], async ({ target, admin }) => {
      const results = await runChecks(target({}, admin()), CHECKS);
      const expected = ['error.body', 'error.own-shape', 'request.anthropic-beta', 'stream.not-buffered'];
      expect(failed(results)).toEqual(expected);
    }),
  );

  it.concurrent('a limit of the gateway itself is waited for', () =>
    withProxy(['limits requests'], async ({ target, admin }) => {
      const checks = CHECKS.filter(({ id }) => ['route.messages', 'error.retry-after', 'auth.no-key'].includes(id));
      expect(failed(await runChecks(target({}, admin()), checks))).toEqual([]);
    }),
  );

  it.concurrent('the mock gets back the rules it had', () =>
    withProxy([], async ({ target, admin, mock }) => {
      mock.script({ match: { path: '/v1/messages' }, script: { status: 418 } });
      expect(failed(await runChecks(target({}, admin()), CHECKS.slice(0, 2)))).toEqual([]);
      const headers = { 'x-api-key': KEY, 'anthropic-version': '2023-06-01' };
      const answer = await fetch(`${mock.baseUrl}/v1/messages`, { method: 'POST', headers, body: '{}' });
      expect(answer.status).toBe(418);
    }),
  );

  it.concurrent('a mock that stands elsewhere is told', () =>
    withProxy([], async ({ target }) => {
      await withProxy([], async (other) => {
        const run = runChecks(target({}, other.admin()), CHECKS);
        await expect(run).rejects.toThrow(/--mock-url did not receive what was sent to .*: is it the upstream/);
      });
    }),
  );
});

describe('without a mock', () => {
  it.concurrent('what any upstream shows is checked, the rest is skipped by name', () =>
    withProxy([], async ({ target }) => {
      const results = await runChecks(target(), CHECKS);
      expect(failed(results)).toEqual([]);
      for (const { check, outcome } of results.filter((result) => result.check.needs === 'echo')) {
        expect([check.id, outcome]).toEqual([check.id, { kind: 'skip', why: 'needs --mock-url' }]);
      }
    }),
  );

  it.concurrent('as many requests are sent as the checks say', () =>
    withProxy([], async ({ target }) => {
      const subject = target();
      await runChecks(subject, CHECKS);
      expect(subject.requests).toBe(CHECKS.reduce((sum, { cost }) => sum + (cost?.requests ?? 0), 0));
    }),
  );

  it.concurrent.each<readonly [Breakage, readonly string[]]>([
    ['drops the query', ['request.query']],
    ['refuses bodies over 1 MB', ['request.large-body']],
    ['answers 403 to code in prompts', ['request.prompt-content']],
    ['re-wraps errors', ['error.body', 'error.own-shape']],
    ['strips request-id', ['response.request-id']],
    ['takes x-api-key only', ['auth.bearer']],
    ['has no models', ['route.models']],
  ])('a proxy that %s fails in %j', (breakage, checks) =>
    withProxy([breakage], async ({ target }) => {
      expect(failed(await runChecks(target(), CHECKS))).toEqual(checks);
    }),
  );

  it.concurrent.each<readonly [string, readonly Breakage[], string]>([
    ['flow', [], 'pass'],
    ['are held back', ['buffers event streams'], 'fail'],
  ])('events that %s are seen where the model writes for two seconds', (_how, breakages, kind) =>
    withProxy(breakages, async ({ target, mock }) => {
      mock.script({ match: { path: '/v1/messages' }, script: { delayMs: 200, deltas: 20, deltaMs: 100 } });
      const checks = CHECKS.filter(({ id }) => id === 'route.messages' || id === 'stream.not-buffered');
      const [, last] = await runChecks(target(), checks);
      expect(last?.outcome.kind).toBe(kind);
    }),
  );

  it.concurrent('a key that is refused fails once, and skips the rest', () =>
    withProxy([], async ({ target }) => {
      const subject = target({ key: 'sk-other' });
      const results = await runChecks(subject, CHECKS);
      expect(failed(results)).toEqual(['route.messages']);
      expect(results.filter(({ outcome }) => outcome.kind === 'skip')).toHaveLength(CHECKS.length - 1);
      expect(subject.requests).toBe(1);
      expect(conforms(results)).toBe(false);
    }),
  );
});
