import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Reads a log that grows, of which each line is an object in JSON. Tests ask for it many times a second, and often of
 * the process that also is their mock and their DNS server: each line is read and parsed once.
 */
export class LineReader {
  private readonly parsed: Record<string, unknown>[] = [];
  private offset = 0;

  constructor(private readonly file: string) {}

  /**
   * All lines that are whole by now.
   *
   * @throws SyntaxError at a line that is no JSON, which is then passed over.
   */
  lines(): Record<string, unknown>[] {
    const added = this.readOn();
    for (let end = added.indexOf('\n'), from = 0; end >= 0; from = end + 1, end = added.indexOf('\n', from)) {
      this.offset += end + 1 - from;
      if (end > from) this.parsed.push(JSON.parse(added.toString('utf8', from, end)) as Record<string, unknown>);
    }
    return [...this.parsed];
  }

  private readOn(): Buffer {
    if (!existsSync(this.file)) return Buffer.alloc(0);
    const fd = openSync(this.file, 'r');
    try {
      const added = Buffer.alloc(Math.max(fstatSync(fd).size - this.offset, 0));
      return added.subarray(0, readSync(fd, added, 0, added.length, this.offset));
    } finally {
      closeSync(fd);
    }
  }
}
