import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ClientGone } from './exchange';
import type { RecordedRequest } from './recorder';

/** Largest body that `keepBodies` keeps, bytes. */
const KEPT_BODY_BYTES = 65_536;

/** A request's body: read once, hashed on the way, never held unless a route collects it. */
export class RequestBody {
  private begun = false;

  constructor(
    private readonly req: IncomingMessage,
    private readonly record: RecordedRequest,
    private readonly keep: boolean,
  ) {}

  /** The body's chunks. Throws `ClientGone` when the client leaves before the end. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    if (this.begun) return;
    this.begun = true;
    const hash = createHash('sha256');
    let kept: Buffer[] | undefined = this.keep ? [] : undefined;
    try {
      // The default would destroy the connection when a reader stops early, and with it the answer.
      for await (const chunk of this.req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        hash.update(chunk);
        this.record.bodyBytes += chunk.length;
        if (this.record.bodyBytes > KEPT_BODY_BYTES) kept = undefined;
        kept?.push(chunk);
        yield chunk;
      }
    } catch {
      throw new ClientGone();
    } finally {
      this.record.sha256 = hash.digest('hex');
      if (kept !== undefined) this.record.body = Buffer.concat(kept).toString('utf8');
    }
  }

  /** The whole body, or undefined when it is over `limit` bytes (it is then read to its end and dropped). */
  async collect(limit: number): Promise<Buffer | undefined> {
    let held: Buffer[] | undefined = [];
    let bytes = 0;
    for await (const chunk of this.chunks()) {
      bytes += chunk.length;
      if (bytes > limit) held = undefined;
      held?.push(chunk);
    }
    return held === undefined ? undefined : Buffer.concat(held);
  }

  /** Reads what is left and drops it, so that an answer never races the upload. */
  async drain(): Promise<void> {
    const chunks = this.chunks();
    while ((await chunks.next()).done !== true);
  }
}
