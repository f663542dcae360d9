import { setTimeout as sleep } from 'node:timers/promises';

import { fail, pass, skip, type Check, type Outcome } from '../check';
import { NoAnswer, type Incoming } from '../client';
import { describe } from '../describe';
import { eventsOf, nameOf } from '../sse';
import type { MockAdmin } from '../mock-admin';
import type { Answer, Target } from '../target';

/** An answer that takes less says nothing about what is held back. */
const SHORTEST_MS = 1000;
/** Arrivals that are further apart than this are two. */
const LUMP_GAP_MS = 25;
/** A stream that flows comes in at least so many arrivals, over at least so long. */
const LEAST_LUMPS = 4;
const LEAST_SPREAD_MS = 400;
const ATTEMPTS = 2;
/** A gateway has so long to notice that its client has left. */
const LEAVE_MS = 5000;

/** How an answer's body came. */
function flow({ arrivals }: Incoming): { readonly lumps: number; readonly spreadMs: number } {
  let lumps = 0;
  let last = -Infinity;
  for (const { atMs } of arrivals) {
    if (atMs - last > LUMP_GAP_MS) lumps += 1;
    last = atMs;
  }
  return { lumps, spreadMs: last - (arrivals[0]?.atMs ?? last) };
}

function judge(answer: Answer): Outcome {
  if (answer.status !== 200 || answer.broken !== undefined || answer.arrivals.length === 0) {
    return fail('the stream does not come to its end', 'HTTP 200 and a whole stream', describe(answer));
  }
  const { lumps, spreadMs } = flow(answer);
  if (lumps >= LEAST_LUMPS && spreadMs >= LEAST_SPREAD_MS) return pass();
  if (answer.endMs < SHORTEST_MS) {
    return skip(
      `the whole answer took ${Math.round(answer.endMs)} ms, too little to tell: a longer one, or --mock-url`,
    );
  }
  return fail(
    'events are held back, and come together',
    `${LEAST_LUMPS} arrivals or more, spread over the time that the model writes`,
    `after ${Math.round(answer.arrivals[0]?.atMs ?? 0)} ms of silence ${lumps === 1 ? '1 arrival' : `${lumps} arrivals`} within ${Math.round(spreadMs)} ms`,
  );
}

/** A stream that falls silent, sent beside others: resolves with its answer, and says when it is under way, under which number. */
async function silentStream(
  target: Target,
  mock: MockAdmin,
  silenceMs: number,
  underWay: (seq: number) => void,
  signal?: AbortSignal,
): Promise<Incoming> {
  const script = { silence: { ms: silenceMs, afterEvents: 2 }, pings: 0 };
  await mock.script([{ match: { path: '/v1/messages' }, script }]);
  let ended = false;
  const answer = target
    .sendBeside({
      body: target.message({ stream: true }),
      timeoutMs: silenceMs + target.options.timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    })
    .finally(() => {
      ended = true;
    });
  // Looked at below, by whoever waits for it.
  answer.catch(() => undefined);
  const hasEnded = (): boolean => ended;
  while (!hasEnded()) {
    const speaking = (await mock.requestsAfter()).find((record) => record.sentEvents > 0);
    if (speaking !== undefined) {
      await mock.newRequests();
      underWay(speaking.seq);
      break;
    }
    await sleep(20);
  }
  return answer;
}

async function endsAtUpstream(mock: MockAdmin, seq: number, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    if ((await mock.requestsAfter(seq - 1))[0]?.aborted === true) return true;
    await sleep(50);
  }
  return false;
}

/** When events come, and what happens when they do not. */
export const streamTimes: readonly Check[] = [
  {
    id: 'stream.silence',
    title: 'A stream may be silent for long (--silence)',
    proves: 'Long thinking is not cut at 60 s by a proxy or load balancer (litellm#37322).',
    source: 'docs: api; npm @anthropic-ai/sdk, time-out of 10 minutes',
    needs: 'echo',
    level: 'required',
    waits: true,
    run: async (target, underWay) => {
      const { mock } = target;
      if (mock === undefined) return skip('needs a mock');
      const { silenceMs } = target.options;
      const began = performance.now();
      const seen = async (): Promise<Incoming> => {
        try {
          return await silentStream(target, mock, silenceMs, underWay);
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error;
          return { status: 0, headers: {}, body: Buffer.alloc(0), arrivals: [], endMs: 0, broken: error.message };
        }
      };
      const answer = await seen();
      const whole = answer.broken === undefined && nameOf(eventsOf(answer.body).at(-1) ?? '') === 'message_stop';
      if (answer.status === 200 && whole) return pass(`${silenceMs / 1000} s`);
      return fail(
        `a stream that is silent for ${silenceMs / 1000} s is cut`,
        'the whole stream, to message_stop',
        `after ${((performance.now() - began) / 1000).toFixed(1)} s: ${describe(answer)}`,
      );
    },
  },
  {
    id: 'stream.not-buffered',
    title: 'Events reach the client when they are sent',
    proves: 'Users read the answer while it is written, and silence means silence: nothing buffers the stream.',
    source: 'docs: llm-gateway-protocol, 4: never buffer SSE',
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 330 },
    run: async (target) => {
      const messages = [{ role: 'user', content: 'Count from 1 to 120 in digits, separated by spaces. Nothing else.' }];
      const body = target.message({ stream: true, max_tokens: 300, messages });
      let outcome: Outcome = pass();
      // Twice: a machine or a network that stalls for a moment looks like a buffer once, a buffer always does.
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        outcome = judge(await target.send({ body, script: { deltas: 16, deltaMs: 70, pings: 0 } }));
        if (outcome.kind !== 'fail') return outcome;
      }
      return outcome;
    },
  },
  {
    id: 'stream.cut',
    title: 'A stream that the upstream breaks off does not look complete',
    proves: 'Clients raise an error instead of taking half an answer for a whole one (litellm#41826).',
    source: 'docs: llm-gateway-protocol, 3; RFC 9112, 8',
    needs: 'echo',
    level: 'required',
    run: async (target) => {
      let answer: Answer;
      try {
        answer = await target.send({ body: target.message({ stream: true }), script: { cut: { midEvent: 5 } } });
      } catch (error) {
        if (error instanceof NoAnswer) return pass();
        throw error;
      }
      const names = eventsOf(answer.body).map(nameOf);
      if (answer.broken !== undefined || answer.status >= 500 || names.includes('error')) return pass();
      return fail(
        'a stream cut in the middle ends as if it were whole',
        'a broken connection or an error',
        describe(answer),
      );
    },
  },
  {
    id: 'stream.client-leaves',
    title: 'A client that leaves ends the request at the upstream',
    proves: 'Nobody pays for the rest of an answer that nobody reads.',
    source: 'docs: api; litellm#37558',
    needs: 'echo',
    level: 'advised',
    run: async (target) => {
      const { mock } = target;
      if (mock === undefined) return skip('needs a mock');
      const leaving = new AbortController();
      let seq: number | undefined;
      const left = (number: number): void => {
        seq = number;
        leaving.abort();
      };
      const silenceMs = 2 * LEAVE_MS;
      try {
        const answer = await silentStream(target, mock, silenceMs, left, leaving.signal);
        if (seq === undefined) return fail('the stream does not come', 'HTTP 200 and a stream', describe(answer));
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
      }
      if (seq !== undefined && (await endsAtUpstream(mock, seq, LEAVE_MS))) return pass();
      const actual = `still open after ${LEAVE_MS / 1000} s`;
      return fail(
        'the upstream goes on answering a client that has left',
        'its connection to the upstream closed',
        actual,
      );
    },
  },
];
