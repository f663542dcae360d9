import { all, fail, pass, skip, type Check, type Outcome } from '../check';
import { describe } from '../describe';
import type { Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, 1: forward anthropic-* as an open list';
const BETAS = 'conformance-probe-2026-01-01,context-management-2025-06-27';

async function arrives(target: Target, name: string, value: string): Promise<Outcome> {
  const answer = await target.send({ body: target.message(), headers: { [name]: value } });
  if (answer.seen === undefined) {
    return fail('the request does not reach the upstream', 'the request at the mock', describe(answer));
  }
  const seen = answer.seen.headers[name];
  // A list may be parted over lines or spaced anew: that changes nothing that it says.
  if (seen?.replaceAll(/,\s+/g, ',') === value) return pass();
  return fail(
    seen === undefined ? `${name} is dropped` : `${name} is changed`,
    `${name}: ${value} at the upstream`,
    seen === undefined ? `no ${name}` : `${name}: ${seen}`,
  );
}

/** Whether a real upstream complains of a beta that there is not: then it has heard of it. */
async function complains(target: Target): Promise<Outcome> {
  const beta = 'conformance-probe-2026-01-01';
  const answer = await target.send({ body: target.message(), headers: { 'anthropic-beta': beta } });
  if (answer.status === 400 && answer.body.includes(beta)) return pass('the upstream names the unknown beta');
  if (answer.status === 200) {
    return skip('the upstream does not complain of an unknown beta, or does not see it: --mock-url tells which');
  }
  return fail(
    'a request with anthropic-beta fails otherwise',
    'HTTP 200, or 400 that names the beta',
    describe(answer),
  );
}

/** Request headers that the upstream must get. */
export const requestHeaders: readonly Check[] = [
  {
    id: 'request.anthropic-version',
    title: 'anthropic-version reaches the upstream as it is',
    proves: 'Clients get the version of the API that they were written for.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: (target) =>
      all(['2023-06-01', '2026-10-21'].map((version) => () => arrives(target, 'anthropic-version', version))),
  },
  {
    id: 'request.anthropic-beta',
    title: 'anthropic-beta reaches the upstream, every value of it',
    proves:
      'Beta features work; a gateway that drops the header makes requests fail or changes their meaning (litellm#9016).',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 12 },
    run: (target) => (target.mock === undefined ? complains(target) : arrives(target, 'anthropic-beta', BETAS)),
  },
  {
    id: 'request.anthropic-unknown',
    title: 'anthropic-* headers that nobody knows yet reach the upstream',
    proves: 'What the API adds tomorrow works without a new release of the gateway.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: (target) => arrives(target, 'anthropic-conformance-probe', 'a; b="c",7'),
  },
];
