import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { processExists } from './child';
import { UserError } from './user-error';

/** How {@link withLock} waits. */
export interface LockOptions {
  /** How long at most to wait for the holder. Milliseconds. @default 120000 */
  readonly timeoutMs?: number;
  /** Told once, when it has to wait. @default nobody */
  readonly onWait?: (holder: number | undefined) => void;
}

/** A lock whose holder is not known (it was killed between two system calls) counts as left behind after this. */
const nameless = 10_000;

/**
 * Runs `work` while this process alone holds the lock: a directory, because making one is atomic on every file system,
 * with the holder's pid in the file `pid`. One left behind by a process that is gone is taken over. bootstrap.sh keeps
 * its lock in the same form.
 *
 * @throws UserError when somebody alive holds it for longer than `timeoutMs`
 */
export async function withLock<T>(path: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  const deadline = Date.now() + (options.timeoutMs ?? 120_000);
  mkdirSync(dirname(path), { recursive: true });
  let told = false;
  while (!tryLock(path)) {
    if (!isHeld(path) && breakStale(path)) continue;
    if (Date.now() > deadline) {
      const holder = holderOf(path);
      throw new UserError(
        `another causeway process${holder === undefined ? '' : ` (pid ${holder})`} holds ${path}: ` +
          'wait for it to end, or remove that directory if it is none of ours',
      );
    }
    if (!told) options.onWait?.(holderOf(path));
    told = true;
    await sleep(50);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function tryLock(path: string): boolean {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(join(path, 'pid'), `${process.pid}\n`);
  return true;
}

function holderOf(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(path, 'pid'), 'utf8'), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isHeld(path: string): boolean {
  const holder = holderOf(path);
  return holder === undefined ? ageMs(path) < nameless : processExists(holder);
}

/** Milliseconds; 0 when it is gone, which is not stale either. */
function ageMs(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

/**
 * Removes a lock left behind. Two that find the same one must not remove it one after the other, since the second would
 * take away what the first has just taken: only the holder of a second lock removes, and looks again before it does.
 */
function breakStale(path: string): boolean {
  const guard = `${path}.break`;
  try {
    mkdirSync(guard);
  } catch {
    if (ageMs(guard) > nameless) rmSync(guard, { recursive: true, force: true });
    return false;
  }
  try {
    if (!isHeld(path)) rmSync(path, { recursive: true, force: true });
    return true;
  } finally {
    rmSync(guard, { recursive: true, force: true });
  }
}
