/** What the mock received, for tests to read. */

/** One request that reached the mock (the admin endpoints aside). Times are ms since the epoch. */
export interface RecordedRequest {
  /** 1 for the first request since the start; `clear` does not reset it. */
  seq: number;
  /** When its headers had arrived. */
  time: number;
  method: string;
  /** The request target as it came, query included, nothing decoded. */
  url: string;
  httpVersion: string;
  /** Header lines in order, names in the case they came in. */
  rawHeaders: [name: string, value: string][];
  /** Names in lower case; lines of one name joined by `, `. */
  headers: Record<string, string>;
  /** The body's `model`, where a route reads the body. */
  model?: string;
  /** Bytes of the body that arrived. */
  bodyBytes: number;
  /** SHA-256 of the body, hex; empty while it is still arriving. */
  sha256: string;
  /** The body as UTF-8, only with `keepBodies` and up to 64 KiB. */
  body?: string;
  /** `request-id` of the answer. */
  requestId: string;
  /** Status that was sent; absent as long as none was. */
  status?: number;
  /** Bytes of the answer's body handed to the connection. */
  sentBytes: number;
  /** Events (or pieces of a body) handed to the connection whole. */
  sentEvents: number;
  /** When the answer was complete or the connection gone. */
  endTime?: number;
  /** The client left before the answer was complete (never set where a script cut the connection). */
  aborted: boolean;
  abortedTime?: number;
  /** TLS server name that the client sent (SNI). */
  servername?: string;
  /** E.g. `TLSv1.3`; absent on plain HTTP. */
  tlsProtocol?: string;
  /** A TLS session was resumed. */
  tlsResumed?: boolean;
  /** Number of the TCP connection, from 1: equal numbers share one. */
  connection: number;
  localAddress: string;
  localPort: number;
  remoteAddress: string;
  remotePort: number;
}

/** Keeps the last requests, so that a long load test does not fill the memory. */
export class Recorder {
  private kept: RecordedRequest[] = [];
  private sequence = 0;

  constructor(
    /** How many requests are kept. */
    private readonly capacity: number,
  ) {}

  nextSeq(): number {
    this.sequence += 1;
    return this.sequence;
  }

  add(record: RecordedRequest): void {
    this.kept.push(record);
    // In blocks: shifting one by one would copy the list with every request.
    if (this.kept.length >= this.capacity * 2) this.kept = this.kept.slice(-this.capacity);
  }

  list(): RecordedRequest[] {
    return this.kept.slice(-this.capacity);
  }

  clear(): void {
    this.kept = [];
  }
}
