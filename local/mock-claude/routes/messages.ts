/** `POST /v1/messages` and `POST /v1/messages/count_tokens`. */
import { type Answer, type Exchange, jsonAnswer, type Unit } from '../exchange';
import { filler } from '../filler';
import { messageEvents } from '../message-events';
import { messageObject, type MessagePlan, planMessage } from '../message-plan';
import { estimateInputTokens, parseCountRequest, parseMessagesRequest } from '../request-schema';
import { scriptedEvents, SSE_HEADERS } from '../sse';
import type { UsageTracker } from '../usage';

/** Stands where the filler goes; no JSON escape, and no text that a plan could hold by itself. */
const MARK = '\u0001filler\u0001';

/** A minute ahead, RFC 3339 without fractions, as the API writes `…-reset`. */
function resetTime(): string {
  return `${new Date(Date.now() + 60_000).toISOString().slice(0, 19)}Z`;
}

/** The rate-limit headers the API sends with each message. */
function rateLimitHeaders(): Record<string, string> {
  const reset = resetTime();
  const limits = { requests: 4000, tokens: 480_000, 'input-tokens': 400_000, 'output-tokens': 80_000 };
  return Object.fromEntries(
    Object.entries(limits).flatMap(([kind, limit]) => [
      [`anthropic-ratelimit-${kind}-limit`, String(limit)],
      [`anthropic-ratelimit-${kind}-remaining`, String(limit - 1)],
      [`anthropic-ratelimit-${kind}-reset`, reset],
    ]),
  );
}

/** A JSON answer of exactly `sizeBytes` bytes (or the least possible), most of it filler. */
function hugeJson(plan: MessagePlan, sizeBytes: number): { length: number; pieces: () => Generator<Buffer> } {
  const text = JSON.stringify(messageObject({ ...plan, blocks: [{ type: 'text', text: MARK, citations: null }] }));
  const [head = '', tail = ''] = text.split(JSON.stringify(MARK).slice(1, -1));
  const skeleton = Buffer.byteLength(head) + Buffer.byteLength(tail);
  const fill = Math.max(0, sizeBytes - skeleton);
  return {
    length: skeleton + fill,
    *pieces() {
      yield Buffer.from(head);
      yield* filler(fill);
      yield Buffer.from(tail);
    },
  };
}

function* accounted(pieces: Iterable<Buffer>, plan: MessagePlan, tracker: UsageTracker): Generator<Unit> {
  // The model's work is done before the first byte of a JSON answer, so a cut one costs all of it.
  tracker.charge(plan.tokens);
  let last: Buffer | undefined;
  for (const piece of pieces) {
    if (last !== undefined) yield { bytes: last };
    last = piece;
  }
  if (last === undefined) return;
  yield {
    bytes: last,
    sent: () => {
      tracker.report(plan.tokens);
    },
  };
}

/** Answers a message, as JSON or as a stream. */
export function createMessage(ex: Exchange): Answer {
  const request = parseMessagesRequest(ex.json);
  const plan = planMessage(request, ex.script, ex.mock.name, ex.record.sha256);
  const tracker = ex.mock.usage.open(request.model);
  if (request.stream === true) {
    const events = scriptedEvents(messageEvents(plan, ex.script, tracker), ex.script, ex.requestId);
    return { status: 200, headers: { ...SSE_HEADERS, ...rateLimitHeaders() }, units: events };
  }
  const headers = { 'content-type': 'application/json', ...rateLimitHeaders() };
  if (ex.script.sizeBytes !== undefined) {
    const { length, pieces } = hugeJson(plan, ex.script.sizeBytes);
    return {
      status: 200,
      headers: { ...headers, 'content-length': length },
      units: accounted(pieces(), plan, tracker),
    };
  }
  const bytes = Buffer.from(JSON.stringify(messageObject(plan)));
  return {
    status: 200,
    headers: { ...headers, 'content-length': bytes.length },
    units: accounted([bytes], plan, tracker),
  };
}

/** Answers a token count. */
export function countTokens(ex: Exchange): Answer {
  const request = parseCountRequest(ex.json);
  return jsonAnswer({ input_tokens: ex.script.usage?.input ?? estimateInputTokens(request) });
}
