/** Managed agents' event streams: `GET /v1/sessions/{id}/events/stream` and the threads' `…/stream`. */
import type { Answer, Exchange, Unit } from '../exchange';
import { freshId } from '../ids';
import type { Script } from '../script';
import { scriptedEvents, SSE_HEADERS, sseEvent } from '../sse';

function* sessionEvents(script: Script): Generator<Unit> {
  const event = (type: string, more: Record<string, unknown>): Buffer =>
    sseEvent('message', { type, id: freshId('sevt'), processed_at: new Date().toISOString(), ...more });
  yield { bytes: event('session.status_running', {}) };
  const messages = script.deltas ?? 1;
  for (let i = 0; i < messages; i += 1) {
    const text = script.text ?? `Mock agent message ${i + 1} of ${messages}`;
    yield {
      bytes: event('agent.message', { content: [{ type: 'text', text }] }),
      delayMs: script.deltaMs ?? 0,
    };
  }
  yield { bytes: event('session.status_idle', { stop_details: null, stop_reason: { type: 'end_turn' } }) };
}

/** A short stream that ends when the session is idle (the API's own stays open). */
export function streamSession(ex: Exchange): Answer {
  return {
    status: 200,
    headers: SSE_HEADERS,
    units: scriptedEvents(sessionEvents(ex.script), ex.script, ex.requestId),
  };
}
