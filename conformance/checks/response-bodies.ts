import { gzipSync } from 'node:zlib';

import { fail, pass, type Check } from '../check';
import { describe, difference } from '../describe';

/** Response bodies, which the gateway must not touch. */
export const responseBodies: readonly Check[] = [
  {
    id: 'response.body-bytes',
    title: 'The body reaches the client byte for byte',
    proves: 'Signatures of thinking blocks hold, numbers keep their digits, fields keep their order (bifrost#6342).',
    source: 'docs: llm-gateway-protocol, 2 and 3',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const body =
        '{ "type":"message","usage" :{"output_tokens":1,"input_tokens":1E1},\r\n\t"content":[{"type":"thinking","signature":"\\u002Fx=="}],"n":12345678901234567890}\n';
      const answer = await target.send({ body: target.message(), script: { body } });
      const expected = Buffer.from(body);
      if (answer.body.equals(expected)) return pass();
      const parted = difference(expected, answer.body);
      return fail('the answer arrives with other bytes', parted.expected, parted.actual);
    },
  },
  {
    id: 'response.encoding',
    title: 'The answer’s content-encoding stays as the upstream chose it',
    proves: 'Nothing is compressed or unpacked on the way, which holds streams back and costs both sides time.',
    source: 'docs: llm-gateway-protocol, 4: never buffer',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const headers = { 'accept-encoding': 'gzip' };
      const plain = await target.send({ body: target.message(), headers });
      const added = plain.headers['content-encoding'] ?? 'identity';
      if (added !== 'identity') {
        return fail('a plain answer arrives compressed', 'no content-encoding', `content-encoding: ${added}`);
      }
      const packed = gzipSync('{"type":"message","content":[]}');
      const script = { bodyBase64: packed.toString('base64'), headers: { 'content-encoding': 'gzip' } };
      const answer = await target.send({ body: target.message(), headers, script });
      if (answer.headers['content-encoding'] === 'gzip' && answer.body.equals(packed)) return pass();
      return fail(
        'a compressed answer arrives otherwise than it was sent',
        `content-encoding: gzip, ${packed.length} bytes`,
        `content-encoding: ${answer.headers['content-encoding'] ?? 'none'}, ${answer.body.length} bytes; ${describe(answer)}`,
      );
    },
  },
];
