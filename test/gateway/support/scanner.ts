import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** A member that the scanner found. */
export interface ScannedMember {
  readonly type: string;
  /** First byte, from 1. */
  readonly from: number;
  /** Last byte. */
  readonly to: number;
  /** Of strings; null where it has no value (a surrogate by itself). */
  readonly value?: string | null;
}

/** A line of gateway/spec/tools/scan_cli.lua. */
export type Scanned =
  | {
      readonly ok: true;
      readonly members: Readonly<Record<string, ScannedMember>>;
      readonly duplicate: readonly string[];
      readonly model: string | null;
      readonly stream: boolean;
      readonly reason: string | null;
    }
  | { readonly ok: false; readonly error: string; readonly detail: string; readonly position: number };

/** A line of the same with `--batch`. */
export type ScannedBatch =
  | { readonly ok: true; readonly models: readonly string[]; readonly count: number }
  | { readonly ok: false; readonly error: string; readonly detail: string; readonly position: number };

const CLI = join(__dirname, '..', '..', '..', 'gateway', 'spec', 'tools', 'scan_cli.lua');

function framed(documents: readonly Buffer[]): Buffer {
  return Buffer.concat(
    documents.flatMap((document) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(document.length);
      return [length, document];
    }),
  );
}

function run(documents: readonly Buffer[], args: readonly string[], timeoutMs: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn('luajit', [CLI, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let problems = '';
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) => (problems += data.toString()));
    // It ended before it had read everything; its exit code tells more.
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      const lines = Buffer.concat(output).toString('utf8').split('\n').slice(0, -1);
      if (code === 0 && lines.length === documents.length) {
        resolve(lines);
        return;
      }
      const document = documents[lines.length]?.subarray(0, 300).toString('base64') ?? '';
      const how = late ? `hung for ${timeoutMs} ms` : `ended with ${code ?? signal ?? ''}: ${problems.slice(0, 500)}`;
      reject(new Error(`the scanner ${how}; at document ${lines.length} (base64): ${document}`));
    });
    child.stdin.end(framed(documents));
  });
}

/** Scans documents in one process. Rejects, with the document, where the scanner crashes or hangs. */
export async function scan(documents: readonly Buffer[], timeoutMs = 30_000): Promise<Scanned[]> {
  return (await run(documents, [], timeoutMs)).map((line) => JSON.parse(line) as Scanned);
}

/** The same for batches. */
export async function scanBatches(documents: readonly Buffer[], timeoutMs = 30_000): Promise<ScannedBatch[]> {
  return (await run(documents, ['--batch'], timeoutMs)).map((line) => JSON.parse(line) as ScannedBatch);
}
