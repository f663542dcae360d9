import { fail, pass, type Check, type Outcome } from '../check';
import { describe, difference, quote } from '../describe';
import { eventsOf, nameOf } from '../sse';
import type { Answer, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, 4: forward ping events and comment lines';
/** Nothing that a filter of events would take out, and nothing that a serialiser would write so. */
const ODD_STREAM = [
  'event: message_start\ndata: {"type" : "message_start", "message":{"usage":{"input_tokens":1E1}}}\n\n',
  'event:content_block_delta\r\ndata:{"type":"content_block_delta","delta":{"type":"text_delta","text":"\\u00e9"}}\r\n\r\n',
  'id: 7\nevent: content_block_delta\ndata: {"type":"content_block_delta",\ndata: "index":0}\n\n',
  'event: message_stop\ndata: {"type":"message_stop" }\n\n',
].join('');

function stream(target: Target): string {
  return target.message({ stream: true });
}

/** Whether a block that the mock put into a stream is there, as it was sent. */
function holds(answer: Answer, blocks: readonly string[], what: string): Outcome {
  const came = eventsOf(answer.body);
  const missing = blocks.filter((block) => !came.includes(block));
  if (missing.length === 0) return pass();
  const names = came.map((block) => nameOf(block) || quote(block).slice(0, 20));
  return fail(
    `${what} swallowed or changed`,
    missing.map((block) => quote(block)).join(' and '),
    `HTTP ${answer.status} with the events ${[...new Set(names)].join(', ') || '(none)'}`,
  );
}

/** The events of a stream, each as it is. */
export const streams: readonly Check[] = [
  {
    id: 'stream.bytes',
    title: 'Events reach the client byte for byte',
    proves: 'No event is parsed and written anew, in another order or with other line ends.',
    source: 'docs: llm-gateway-protocol, 2 and 4',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const script = { body: ODD_STREAM, contentType: 'text/event-stream' };
      const answer = await target.send({ body: stream(target), script });
      const expected = Buffer.from(ODD_STREAM);
      if (answer.body.equals(expected)) return pass();
      const parted = difference(expected, answer.body);
      return fail('the stream arrives with other bytes', parted.expected, parted.actual);
    },
  },
  {
    id: 'stream.ping',
    title: 'ping events pass',
    proves: 'Clients that give up after a time of silence (Claude Code: 300 s) do not.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const answer = await target.send({ body: stream(target), script: { pings: 3 } });
      const pings = eventsOf(answer.body).filter((block) => nameOf(block) === 'ping').length;
      if (pings === 3) return pass();
      return fail('ping events are swallowed or invented', '3 pings', `HTTP ${answer.status} with ${pings} pings`);
    },
  },
  {
    id: 'stream.comments',
    title: 'Comment lines pass',
    proves: 'Comments, which keep a silent stream alive, reach the client.',
    source: SOURCE,
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const script = { insert: [{ after: 2, comment: 'keep-alive' }] };
      return holds(await target.send({ body: stream(target), script }), [': keep-alive'], 'a comment is');
    },
  },
  {
    id: 'stream.unknown-events',
    title: 'Events and blocks that nobody knows yet pass',
    proves: 'What the API adds tomorrow works without a new release of the gateway.',
    source: 'docs: api/streaming, unknown event types',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const data = { type: 'conformance_probe', spin: 'up' };
      const script = { insert: [{ after: 1, event: 'conformance_probe', data }] };
      const wanted = `event: conformance_probe\ndata: ${JSON.stringify(data)}`;
      return holds(await target.send({ body: stream(target), script }), [wanted], 'an unknown event is');
    },
  },
  {
    id: 'stream.in-band-error',
    title: 'An error inside a stream passes as it is',
    proves: 'Clients see that a stream of status 200 failed, and why (litellm#24004).',
    source: 'docs: api/streaming, error events',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      const message = 'Overloaded, by conformance';
      const script = { streamError: { atEvent: 4, type: 'overloaded_error', message } };
      const answer = await target.send({ body: stream(target), script });
      const requestId = answer.seen?.requestId ?? '';
      const error = { type: 'error', error: { type: 'overloaded_error', message }, request_id: requestId };
      if (answer.status !== 200) return fail('the stream’s status is changed', 'HTTP 200', describe(answer));
      return holds(answer, [`event: error\ndata: ${JSON.stringify(error)}`], 'the in-band error is');
    },
  },
];
