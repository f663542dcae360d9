import { fail, pass, skip, type Check, type Outcome } from '../check';
import { describe } from '../describe';
import type { CredentialHeader, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, authentication; npm @anthropic-ai/sdk';

function accepts(header: CredentialHeader, id: string, title: string, proves: string): Check {
  return {
    id,
    title,
    proves,
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 12 },
    run: async (target) => {
      const answer = await target.send({ body: target.message(), credential: target.credential(header) });
      if (answer.status === 200) return pass();
      return fail('the key is refused in this form, and accepted in another', 'HTTP 200', describe(answer));
    },
  };
}

function refuses(
  id: string,
  title: string,
  proves: string,
  credential: (target: Target) => Record<string, string>,
): Check {
  const run = async (target: Target): Promise<Outcome> => {
    const answer = await target.send({ body: target.message(), credential: credential(target) });
    if (answer.status === 401) return pass();
    if (answer.status === 200 && answer.seen?.headers['x-api-key'] === WRONG_KEY) {
      return skip('the gateway passes the client’s key on, and this mock accepts any: start it with --require-key');
    }
    return fail('it is not refused as the API refuses it', 'HTTP 401', describe(answer));
  };
  return { id, title, proves, source: 'docs: api/errors', needs: 'any', level: 'required', cost: { requests: 1 }, run };
}

const WRONG_KEY = 'sk-ant-conformance-wrong-key';

/** Who is let in, and how they say who they are. */
export const authentication: readonly Check[] = [
  accepts(
    'x-api-key',
    'auth.x-api-key',
    'The key is accepted as x-api-key',
    'SDKs before 1.0 and most curl examples get in.',
  ),
  accepts(
    'authorization',
    'auth.bearer',
    'The key is accepted as Authorization: Bearer',
    'SDKs from 1.0 on, and ANTHROPIC_AUTH_TOKEN, get in.',
  ),
  accepts(
    'both',
    'auth.both-headers',
    'The key is accepted in both headers at once',
    'Claude Code with an apiKeyHelper, which sends both, gets in.',
  ),
  refuses('auth.no-key', 'Nobody gets in without a key', 'The gateway is not open to all.', () => ({})),
  refuses(
    'auth.wrong-key',
    'A wrong key is answered with 401',
    'Clients see an AuthenticationError and do not retry.',
    () => ({
      'x-api-key': WRONG_KEY,
    }),
  ),
];
