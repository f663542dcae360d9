import { renameSync, writeFileSync } from 'node:fs';

/** Writes a file that others read at any time: they see the old bytes or the new ones, never a part. Mode 0600. */
export function writeStateFile(path: string, content: string): void {
  const next = `${path}.${process.pid}.new`;
  writeFileSync(next, content, { mode: 0o600 });
  renameSync(next, path);
}

/** As {@link writeStateFile}, for a JSON document. */
export function writeJsonState(path: string, value: unknown): void {
  writeStateFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
