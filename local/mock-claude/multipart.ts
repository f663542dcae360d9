/** A multipart/form-data reader that holds no more than a chunk and a boundary. Format: RFC 7578, RFC 2046 §5.1. */

/** A part's headers, names in lower case, and what Content-Disposition says. */
export interface PartHead {
  name: string;
  filename: string | undefined;
  contentType: string | undefined;
}

/** Receives the parts. */
export interface PartSink {
  begin(head: PartHead): Promise<void> | void;
  data(bytes: Buffer): Promise<void> | void;
  end(): Promise<void> | void;
}

/** A part's headers may not be longer than this, bytes. */
const MAX_HEAD_BYTES = 16_384;

function parseHead(text: string): PartHead {
  const lines = text.split('\r\n').map((line) => line.split(/:\s*(.*)/s));
  const value = (wanted: string): string | undefined =>
    lines.find(([name]) => name?.toLowerCase() === wanted)?.[1]?.trim();
  const disposition = value('content-disposition') ?? '';
  const parameter = (name: string): string | undefined =>
    new RegExp(`(?:^|[;\\s])${name}="([^"]*)"`, 'i').exec(disposition)?.[1];
  return { name: parameter('name') ?? '', filename: parameter('filename'), contentType: value('content-type') };
}

/** Reads a body chunk by chunk. Throws `Error` with a plain message when it is not well formed. */
export class MultipartReader {
  private state: 'before' | 'head' | 'part' | 'after' = 'before';
  // The first boundary has no line end before it: give it one, and all boundaries look alike.
  private held: Buffer = Buffer.from('\r\n');
  private readonly delimiter: Buffer;

  constructor(
    contentType: string,
    private readonly sink: PartSink,
  ) {
    const match = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
    const boundary = match?.[1] ?? match?.[2];
    if (boundary === undefined) throw new Error('content-type must be multipart/form-data with a boundary');
    this.delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** Takes the next chunk of the body. */
  async push(chunk: Buffer): Promise<void> {
    this.held = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    while (await this.step());
  }

  /** Says that the body is at its end. */
  finish(): void {
    if (this.state !== 'after') throw new Error('the multipart body ended before its last boundary');
  }

  /** Takes one step; false when it needs more bytes. */
  private async step(): Promise<boolean> {
    switch (this.state) {
      case 'head':
        return this.readHead();
      case 'after':
        this.held = Buffer.alloc(0);
        return false;
      default:
        return this.readToBoundary();
    }
  }

  private async readHead(): Promise<boolean> {
    const end = this.held.indexOf('\r\n\r\n');
    if (end === -1) {
      if (this.held.length > MAX_HEAD_BYTES) throw new Error('the headers of a part are too long');
      return false;
    }
    await this.sink.begin(parseHead(this.held.subarray(0, end).toString('utf8')));
    this.held = this.held.subarray(end + 4);
    this.state = 'part';
    return true;
  }

  private async readToBoundary(): Promise<boolean> {
    const at = this.held.indexOf(this.delimiter);
    // Two bytes after the boundary say whether it is the last: `--` or a line end.
    const complete = at !== -1 && this.held.length >= at + this.delimiter.length + 2;
    const safe = at !== -1 ? at : Math.max(0, this.held.length - this.delimiter.length);
    if (safe > 0 && this.state === 'part') await this.sink.data(this.held.subarray(0, safe));
    this.held = this.held.subarray(safe);
    if (!complete) return false;
    if (this.state === 'part') await this.sink.end();
    const mark = this.held.subarray(this.delimiter.length, this.delimiter.length + 2).toString('latin1');
    if (mark !== '--' && mark !== '\r\n')
      throw new Error('a multipart boundary is followed by neither -- nor a line end');
    this.held = this.held.subarray(this.delimiter.length + 2);
    this.state = mark === '--' ? 'after' : 'head';
    return true;
  }
}
