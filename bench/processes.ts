import { readdirSync, readFileSync } from 'node:fs';

/** Kernel ticks a second (USER_HZ), 100 on every Linux that Node runs on (man 5 proc). */
const TICKS_PER_SECOND = 100;

/** What a group of processes has used. */
export interface Used {
  /** User and system time, in seconds. */
  readonly cpuSeconds: number;
  /** Resident memory of all, in bytes. */
  readonly rssBytes: number;
}

/** The pids of a master's workers. */
export function workersOf(master: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return parentOf(pid) === master && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('nginx: worker');
      } catch {
        return false; // It has ended meanwhile.
      }
    });
}

/** What the workers of a master have used so far. */
export function usedBy(master: number): Used {
  return workersOf(master).reduce(
    (sum, pid) => {
      const fields = statFields(pid);
      const ticks = Number(fields[11]) + Number(fields[12]);
      const rssKb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
      return {
        cpuSeconds: sum.cpuSeconds + ticks / TICKS_PER_SECOND,
        rssBytes: sum.rssBytes + Number(rssKb) * 1024,
      };
    },
    { cpuSeconds: 0, rssBytes: 0 },
  );
}

function parentOf(pid: number): number {
  return Number(statFields(pid)[1]);
}

/** The fields of /proc/<pid>/stat behind the name, which may hold spaces: state, ppid, … */
function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
