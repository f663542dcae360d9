import { driveLua } from './lua-driver';

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

/** Scans documents in one process. Rejects, with the document, where the scanner crashes or hangs. */
export async function scan(documents: readonly Buffer[]): Promise<Scanned[]> {
  return (await driveLua('scan_cli.lua', documents)).map((line) => JSON.parse(line) as Scanned);
}

/** The same for batches. */
export async function scanBatches(documents: readonly Buffer[]): Promise<ScannedBatch[]> {
  return (await driveLua('scan_cli.lua', documents, { args: ['--batch'] })).map(
    (line) => JSON.parse(line) as ScannedBatch,
  );
}
