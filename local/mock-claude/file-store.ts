/** Uploaded files: small ones in memory, larger ones in a temporary directory that goes with the mock. */
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshId } from './ids';

/** A file up to this size stays in memory, bytes. */
const MEMORY_BYTES = 1_048_576;
/** All files together, bytes; the oldest go when another takes the store over this. */
const STORE_BYTES = 2_147_483_648;

/** A stored file. */
export interface StoredFile {
  id: string;
  filename: string;
  mimeType: string;
  sizeBytes: number;
  createdAt: Date;
  /** Its bytes, or the path that holds them. */
  content: { memory: Buffer } | { path: string };
}

/** A file being written. */
export class FileWriter {
  private pieces: Buffer[] = [];
  private handle: FileHandle | undefined;
  private path = '';
  private bytes = 0;

  constructor(private readonly directory: () => Promise<string>) {}

  /** Bytes so far. */
  get size(): number {
    return this.bytes;
  }

  async write(bytes: Buffer): Promise<void> {
    this.bytes += bytes.length;
    // A copy, since the caller's bytes are a window on a larger buffer.
    if (this.handle === undefined) this.pieces.push(Buffer.from(bytes));
    else await this.handle.writeFile(bytes);
    if (this.handle === undefined && this.bytes > MEMORY_BYTES) {
      this.path = join(await this.directory(), freshId('upload'));
      this.handle = await open(this.path, 'wx', 0o600);
      await this.handle.writeFile(Buffer.concat(this.pieces));
      this.pieces = [];
    }
  }

  /** Closes it and says where its content is. */
  async finish(): Promise<StoredFile['content']> {
    if (this.handle === undefined) return { memory: Buffer.concat(this.pieces) };
    await this.handle.close();
    return { path: this.path };
  }

  /** Closes it and removes what was written. */
  async discard(): Promise<void> {
    this.pieces = [];
    await this.handle?.close().catch(() => undefined);
    if (this.path !== '') await unlink(this.path).catch(() => undefined);
  }
}

/** The files of one mock, newest first. */
export class FileStore {
  private files: StoredFile[] = [];
  private directory: Promise<string> | undefined;

  writer(): FileWriter {
    return new FileWriter(() => (this.directory ??= mkdtemp(join(tmpdir(), 'mock-claude-'))));
  }

  async add(file: StoredFile): Promise<void> {
    this.files.unshift(file);
    let total = 0;
    for (const kept of [...this.files]) {
      total += kept.sizeBytes;
      if (total > STORE_BYTES && kept !== file) await this.delete(kept.id);
    }
  }

  get(id: string): StoredFile | undefined {
    return this.files.find((file) => file.id === id);
  }

  list(): readonly StoredFile[] {
    return this.files;
  }

  async delete(id: string): Promise<void> {
    const file = this.get(id);
    this.files = this.files.filter((kept) => kept.id !== id);
    if (file !== undefined && 'path' in file.content) await unlink(file.content.path).catch(() => undefined);
  }

  /** Removes everything, the directory too. */
  async close(): Promise<void> {
    this.files = [];
    if (this.directory !== undefined) await rm(await this.directory, { recursive: true, force: true });
    this.directory = undefined;
  }
}

/** A file's content, piece by piece. */
export async function* contentOf(file: StoredFile): AsyncGenerator<Buffer> {
  if ('memory' in file.content) {
    if (file.content.memory.length > 0) yield file.content.memory;
    return;
  }
  yield* createReadStream(file.content.path) as AsyncIterable<Buffer>;
}
