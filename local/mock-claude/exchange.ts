/** What routes share about one request, and what they give back. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { BatchStore } from './batch-store';
import type { RequestBody } from './body';
import type { FileStore } from './file-store';
import type { RecordedRequest, Recorder } from './recorder';
import type { Script } from './script';
import type { ScriptBook } from './script-book';
import type { UsageLedger } from './usage';

/** The mock's state, shared by all its requests. */
export interface MockState {
  readonly name: string;
  /** Upstream credentials that are accepted; undefined: any that is not empty. */
  readonly requireKeys: ReadonlySet<string> | undefined;
  readonly requireWorkspaceId: boolean;
  /** Path before `/v1/`. */
  readonly basePath: string;
  readonly keepBodies: boolean;
  /** Scheme and authority in a batch's `results_url`; undefined: what the request was addressed to. */
  readonly resultsBaseUrl: string | undefined;
  readonly secure: boolean;
  readonly organizationId: string;
  readonly recorder: Recorder;
  readonly scripts: ScriptBook;
  readonly usage: UsageLedger;
  readonly files: FileStore;
  readonly batches: BatchStore;
  /** Ends a request's TCP connection, by RST if asked. */
  readonly cutConnection: (req: IncomingMessage, reset: boolean) => void;
}

/** One request under way. */
export interface Exchange {
  readonly mock: MockState;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly method: string;
  /** Path without the query and the mock's base path; empty where it does not begin with that. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly requestId: string;
  readonly record: RecordedRequest;
  readonly body: RequestBody;
  /** Fires when the connection is gone. */
  readonly gone: AbortSignal;
  /** The body's JSON on a route that reads it, else undefined. */
  json: unknown;
  script: Script;
  /** The mock itself ended the connection, as its script said. */
  cut: boolean;
}

/** A piece of an answer's body: one SSE event, or a part of another body. */
export interface Unit {
  bytes: Buffer;
  /** Wait before it, ms. @default 0 */
  delayMs?: number;
  /** Called once its bytes have been handed to the connection. */
  sent?: () => void;
}

/** An answer: delivery applies the script's faults to it. */
export interface Answer {
  status: number;
  headers: OutgoingHttpHeaders;
  units: Iterable<Unit> | AsyncIterable<Unit>;
}

/** The client has left: nothing more to do. */
export class ClientGone extends Error {}

/** An answer in JSON. */
export function jsonAnswer(value: unknown, status = 200): Answer {
  return bytesAnswer(Buffer.from(JSON.stringify(value)), 'application/json', status);
}

/** An answer of bytes at hand. */
export function bytesAnswer(bytes: Buffer, contentType: string, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': contentType, 'content-length': bytes.length },
    units: bytes.length === 0 ? [] : [{ bytes }],
  };
}
