/** Server-sent events: one event's bytes, and what a script adds to a stream. */
import { errorBody, messageOfType } from './errors';
import type { Unit } from './exchange';
import type { Script } from './script';

/** Content type of the API's streams. */
const SSE_CONTENT_TYPE = 'text/event-stream; charset=utf-8';

/** Headers of the API's streams. */
export const SSE_HEADERS = { 'content-type': SSE_CONTENT_TYPE, 'cache-control': 'no-cache' } as const;

/** `event: X\ndata: {...}\n\n`, as the API writes it. */
export function sseEvent(event: string, data: unknown): Buffer {
  return Buffer.from(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** Parts a raw SSE body at its blank lines, so that faults can be placed between events. No byte is changed. */
export function* splitEvents(body: Buffer): Generator<Unit> {
  let start = 0;
  for (const boundary of body.toString('latin1').matchAll(/\r?\n\r?\n/g)) {
    const end = boundary.index + boundary[0].length;
    yield { bytes: body.subarray(start, end) };
    start = end;
  }
  if (start < body.length) yield { bytes: body.subarray(start) };
}

type Insertion = NonNullable<Script['insert']>[number];

function insertedBytes(insertion: Insertion): Buffer {
  if ('raw' in insertion) return Buffer.from(insertion.raw);
  if ('comment' in insertion) return Buffer.from(`: ${insertion.comment}\n\n`);
  return sseEvent(insertion.event, insertion.data);
}

function* withInsertions(units: Iterable<Unit>, insertions: readonly Insertion[]): Generator<Unit> {
  let number = 0;
  const placed = function* (test: (after: number) => boolean): Generator<Unit> {
    for (const insertion of insertions) if (test(insertion.after)) yield { bytes: insertedBytes(insertion) };
  };
  yield* placed((after) => after === 0);
  for (const unit of units) {
    yield unit;
    number += 1;
    yield* placed((after) => after === number);
  }
  yield* placed((after) => after > number);
}

/** A stream's events with the script's insertions, ended by its in-band error if it asks for one. */
export function* scriptedEvents(units: Iterable<Unit>, script: Script, requestId: string): Generator<Unit> {
  const { insert, streamError } = script;
  let number = 0;
  for (const unit of insert === undefined ? units : withInsertions(units, insert)) {
    number += 1;
    if (number === streamError?.atEvent) {
      const message = streamError.message ?? messageOfType(streamError.type);
      yield { bytes: sseEvent('error', errorBody(streamError.type, message, requestId)) };
      return;
    }
    yield unit;
  }
}
