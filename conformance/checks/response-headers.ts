import { all, fail, pass, skip, type Check, type Outcome } from '../check';
import { describe } from '../describe';
import type { Sending, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, 5: forward response headers';

async function sameId(target: Target, what: string, sending: Sending): Promise<Outcome> {
  const answer = await target.send(sending);
  const id = answer.headers['request-id'];
  if (id === undefined) return fail(`${what} comes without request-id`, 'request-id', describe(answer));
  const wanted = answer.seen?.requestId;
  if (wanted === undefined || wanted === id) return pass();
  return fail(`${what} has another request-id than the upstream gave`, `request-id: ${wanted}`, `request-id: ${id}`);
}

async function headersPass(target: Target, headers: Record<string, string>): Promise<Outcome> {
  const answer = await target.send({ body: target.message(), script: { headers } });
  const wrong = Object.entries(headers).filter(([name, value]) => answer.headers[name] !== value);
  if (wrong.length === 0) return pass();
  const names = wrong.map(([name]) => name);
  const came = names.filter((name) => answer.headers[name] !== undefined);
  return fail(
    came.length === 0 ? `${names.join(', ')} stripped` : `${came.join(', ')} changed`,
    wrong.map(([name, value]) => `${name}: ${value}`).join('; '),
    came.length === 0 ? 'none of them' : came.map((name) => `${name}: ${answer.headers[name] ?? ''}`).join('; '),
  );
}

// Most of it is left: a gateway may ration what it is told to be scarce, and would hold up the checks after this one.
const RATE_LIMITS = Object.fromEntries(
  ['requests', 'tokens', 'input-tokens', 'output-tokens'].flatMap((kind, index) => [
    [`anthropic-ratelimit-${kind}-limit`, String(4000 + index)],
    [`anthropic-ratelimit-${kind}-remaining`, String(3917 + index)],
    [`anthropic-ratelimit-${kind}-reset`, `2030-01-0${index + 1}T00:00:00Z`],
  ]),
);

/** Response headers that clients read. */
export const responseHeaders: readonly Check[] = [
  {
    id: 'response.request-id',
    title: 'request-id passes, on answers, streams and errors',
    proves: 'A request can be found again with Anthropic’s support and in the SDK’s exceptions.',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 3, tokens: 24 },
    run: (target) =>
      all([
        () => sameId(target, 'a message', { body: target.message() }),
        () => sameId(target, 'a stream', { body: target.message({ stream: true }) }),
        () => sameId(target, 'an error', { body: '{"messages":[]}' }),
      ]),
  },
  {
    id: 'response.rate-limits',
    title: 'anthropic-ratelimit-* pass',
    proves: 'Clients see what is left of their quota and slow down in time (litellm#37767).',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 12 },
    run: async (target) => {
      if (target.mock !== undefined) return headersPass(target, RATE_LIMITS);
      const { headers } = await target.send({ body: target.message() });
      if (Object.keys(headers).some((name) => name.startsWith('anthropic-ratelimit-'))) return pass();
      return skip('the answer has none: stripped, or this upstream sends none; --mock-url tells which');
    },
  },
  {
    id: 'response.anthropic-headers',
    title: 'Other anthropic-* response headers pass, unknown ones too',
    proves: 'Priority and fast tiers show, and so does what the API adds tomorrow.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: (target) =>
      headersPass(target, {
        'anthropic-priority-input-tokens-remaining': '123',
        'anthropic-fast-output-tokens-limit': '456',
        'anthropic-organization-id': '00000000-0000-4000-8000-00000000c0de',
        'anthropic-conformance-probe': 'x; y',
      }),
  },
  {
    id: 'response.redirect',
    title: 'A redirect of the upstream passes, and is not followed',
    proves: 'The gateway’s credential goes to no other place than its upstream, and clients see what happened.',
    source: 'docs: llm-gateway-protocol, 3; Claude Code follows no redirect',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const location = '/v1/messages/conformance-redirected';
      const answer = await target.send({ body: target.message(), script: { status: 307, headers: { location } } });
      if (answer.status === 307 && answer.headers['location'] === location) return pass();
      return fail(
        answer.status === 307 ? 'location is rewritten' : 'the redirect is followed or replaced',
        `HTTP 307, location: ${location}`,
        answer.status === 307 ? `location: ${answer.headers['location'] ?? 'none'}` : describe(answer),
      );
    },
  },
];
