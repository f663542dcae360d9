import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { withLock } from '../../local/lock';
import { writeJsonState } from '../../local/state-file';
import { parseRecord, type AuditRecord } from './audit';
import { EMPTY_REGISTRY, type RegistryDocument } from './document';
import { RegistryError } from './errors';
import { checkRegistry, parseRegistry } from './schema';
import type { Change, RegistryStore, StoredRegistry } from './store';

/** The registry of this machine: a file that the gateway reads every few seconds, with `audit.jsonl` beside it. */
export class FileStore implements RegistryStore {
  constructor(readonly name: string) {}

  read(): Promise<StoredRegistry> {
    return Promise.resolve({ document: this.load() });
  }

  async update(change: Change): Promise<StoredRegistry> {
    const directory = dirname(this.name);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return withLock(join(directory, 'registry.lock'), () => {
      const before = this.load();
      const { document, record } = change(before);
      if (isDeepStrictEqual(before, document)) return Promise.resolve({ document });
      checkRegistry(document, 'the registry as it would be');
      // The record first: there may be one of a change that failed, and says so, but no change without one.
      this.append(record);
      try {
        writeJsonState(this.name, document);
      } catch (error) {
        this.append({ ...record, failed: message(error) });
        throw new RegistryError(`${this.name} cannot be written: ${message(error)}`, { cause: error });
      }
      return Promise.resolve({ document });
    });
  }

  rollOut(): Promise<void> {
    return Promise.resolve();
  }

  history(): Promise<readonly AuditRecord[]> {
    const lines = (readIfThere(this.auditFile) ?? '').split('\n');
    return Promise.resolve(lines.flatMap((line) => parseRecord(line) ?? []));
  }

  private get auditFile(): string {
    return join(dirname(this.name), 'audit.jsonl');
  }

  private load(): RegistryDocument {
    const text = readIfThere(this.name);
    return text === undefined ? EMPTY_REGISTRY : parseRegistry(text, this.name);
  }

  private append(record: AuditRecord): void {
    try {
      appendFileSync(this.auditFile, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    } catch (error) {
      throw new RegistryError(
        `${this.auditFile} cannot be written, and nothing is changed without a record: ${message(error)}`,
        { cause: error },
      );
    }
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new RegistryError(`${file} cannot be read: ${message(error)}`, { cause: error });
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
