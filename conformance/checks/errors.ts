import type { MockScript } from '../../local/mock-claude/server';
import { all, fail, pass, type Check, type Outcome } from '../check';
import { describe, difference } from '../describe';
import type { Answer, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, 3: forward upstream errors unmodified';
const RETRY_SOURCE = 'docs: llm-gateway-protocol, 5; npm @anthropic-ai/sdk, retries';
/** As no gateway would write it itself. */
const ODD_ERROR =
  '{"type":"error" ,"error":{"message":"prompt is too long: 213123 tokens > 200000 maximum – \\u00e9","type":"invalid_request_error","detail":{"n":1.0}}, "request_id":null}\n';
const STATUSES = [400, 402, 403, 404, 409, 413, 429, 500, 504, 529];

/** The error of a request that lacks `max_tokens`: every upstream answers it alike and bills nothing. */
function provoked(target: Target): Promise<Answer> {
  const body = JSON.stringify({ model: target.options.model, messages: [{ role: 'user', content: 'Say hello.' }] });
  return target.send({ body });
}

interface ErrorShape {
  readonly type?: unknown;
  readonly error?: { readonly type?: unknown; readonly message?: unknown };
}

/** What is wrong with an error's body, if anything. */
function misshapen(answer: Answer, type: string): Outcome {
  let value: ErrorShape | null | undefined;
  try {
    // Read field by field below, each as unknown.
    value = JSON.parse(answer.body.toString()) as ErrorShape | null;
  } catch {
    value = undefined;
  }
  if (value?.type === 'error' && value.error?.type === type && typeof value.error.message === 'string') return pass();
  return fail(
    'the error has another shape than the API’s',
    `{"type":"error","error":{"type":"${type}","message":"…"},…}`,
    describe(answer),
  );
}

async function bodyUnmodified(target: Target, status: number): Promise<Outcome> {
  const contentType = 'application/json';
  const answer = await target.send({ body: target.message(), script: { status, body: ODD_ERROR, contentType } });
  const expected = Buffer.from(ODD_ERROR);
  if (!answer.body.equals(expected)) {
    const { expected: wanted, actual } = difference(expected, answer.body);
    return fail(`the body of an upstream error ${status} is re-wrapped or rewritten`, wanted, actual);
  }
  if (answer.headers['content-type'] === contentType) return pass();
  return fail(`an upstream error ${status} gets another content type`, contentType, describe(answer));
}

async function statusUnmodified(target: Target, status: number): Promise<Outcome> {
  const answer = await target.send({ body: target.message(), script: { status } });
  if (answer.status === status) return pass();
  return fail(`the upstream’s status ${status} becomes ${answer.status}`, `HTTP ${status}`, describe(answer));
}

async function headersPass(target: Target, status: number, headers: Record<string, string>): Promise<Outcome> {
  const script: MockScript = { status, headers };
  const answer = await target.send({ body: target.message(), script });
  for (const [name, value] of Object.entries(headers)) {
    const came = answer.headers[name];
    if (came !== value) {
      return fail(
        came === undefined ? `${name} is stripped` : `${name} is changed`,
        `${name}: ${value}`,
        came === undefined ? `HTTP ${answer.status} without ${name}` : `${name}: ${came}`,
      );
    }
  }
  return pass();
}

/** Errors, which clients act on. */
export const errors: readonly Check[] = [
  {
    id: 'error.body',
    title: 'The body of an upstream error passes unmodified',
    proves: 'Clients that match on the wording, as Claude Code does, act on it; nothing is re-wrapped (litellm#36655).',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: async (target) => {
      if (target.mock !== undefined) return all([400, 429, 500].map((status) => () => bodyUnmodified(target, status)));
      const answer = await provoked(target);
      if (!answer.body.includes('max_tokens')) {
        return fail('the upstream’s message is lost', 'an error that names max_tokens', describe(answer));
      }
      return misshapen(answer, 'invalid_request_error');
    },
  },
  {
    id: 'error.status',
    title: 'The status of an upstream error passes unmodified',
    proves: 'SDKs raise the right exception and retry what can be retried: 529 is not 503.',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: async (target) => {
      if (target.mock !== undefined) return all(STATUSES.map((status) => () => statusUnmodified(target, status)));
      const answer = await provoked(target);
      return answer.status === 400
        ? pass('400; others with --mock-url')
        : fail(`the upstream’s status 400 becomes ${answer.status}`, 'HTTP 400', describe(answer));
    },
  },
  {
    id: 'error.own-shape',
    title: 'The gateway’s own refusals have the API’s error shape',
    proves: 'SDKs show the gateway’s reason instead of a parse error.',
    source: 'docs: api/errors',
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: async (target) =>
      misshapen(await target.send({ body: target.message(), credential: {} }), 'authentication_error'),
  },
  {
    id: 'error.retry-after',
    title: 'retry-after and retry-after-ms pass',
    proves: 'Clients wait as long as they are told, not for ever and not too little (litellm#37754).',
    source: RETRY_SOURCE,
    needs: 'echo',
    level: 'required',
    run: (target) => headersPass(target, 429, { 'retry-after': '7', 'retry-after-ms': '6543' }),
  },
  {
    id: 'error.x-should-retry',
    title: 'x-should-retry passes',
    proves: 'Clients retry what the API says can be retried, and nothing else.',
    source: RETRY_SOURCE,
    needs: 'echo',
    level: 'required',
    run: (target) =>
      all([
        () => headersPass(target, 429, { 'x-should-retry': 'false' }),
        () => headersPass(target, 409, { 'x-should-retry': 'true' }),
      ]),
  },
];
