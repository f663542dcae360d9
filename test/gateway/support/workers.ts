import { readFileSync } from 'node:fs';

/** The most memory that a process has held so far (VmHWM), MB. */
export function peakMegabytes(pid: number): number {
  const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} tells no VmHWM`);
  return Number(kilobytes) / 1024;
}
