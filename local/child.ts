import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';

import { UserError } from './user-error';

/** How a child is started. */
export interface ChildOptions {
  /** What it is called in messages: `nginx`. */
  readonly name: string;
  /** A program on PATH, or a path to one. */
  readonly command: string;
  readonly args: readonly string[];
  /** @default the working directory of this process */
  readonly cwd?: string;
  /** @default the environment of this process */
  readonly env?: NodeJS.ProcessEnv;
  /**
   * Where its standard output goes: an open file descriptor (see {@link openLog}), or this process's own. Never a pipe of
   * Node's: that is a socket, and a child that opens /dev/stdout (nginx does) cannot open a socket.
   *
   * @default 'ignore'
   */
  readonly stdout?: number | 'inherit' | 'ignore';
  /** As `stdout`. @default 'ignore' */
  readonly stderr?: number | 'inherit' | 'ignore';
  /** @default 'ignore' */
  readonly stdin?: number | 'inherit' | 'ignore';
  /**
   * Whether the child leaves our process group, so that a Ctrl-C in the terminal reaches only us and we decide in which
   * order things stop.
   *
   * @default true
   */
  readonly ownGroup?: boolean;
  /**
   * When this process exits without having stopped the child: how long it waits between SIGTERM and SIGKILL.
   * Milliseconds.
   *
   * @default 2000
   */
  readonly exitGraceMs?: number;
}

/** How a child ended: by its own code, or by a signal. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How {@link Child.stop} goes about it. */
export interface StopOptions {
  /** @default 'SIGTERM' */
  readonly signal?: NodeJS.Signals;
  /** How long to wait before SIGKILL. Milliseconds. @default 5000 */
  readonly timeoutMs?: number;
}

/** A running child whose lifetime is bound to ours. */
export class Child {
  readonly name: string;
  readonly pid: number;
  /** Settles when the child has ended; never rejects. */
  readonly exited: Promise<ChildExit>;
  /** How long an exiting parent waits between SIGTERM and SIGKILL. Milliseconds. */
  readonly exitGraceMs: number;
  private exit: ChildExit | undefined;

  /** @internal use {@link startChild} */
  constructor(process: ChildProcess, pid: number, name: string, exitGraceMs: number) {
    this.name = name;
    this.pid = pid;
    this.exitGraceMs = exitGraceMs;
    this.exited = new Promise((settle) => {
      process.once('exit', (code, signal) => {
        this.exit = { code, signal };
        alive.delete(this);
        settle(this.exit);
      });
    });
  }

  /** Whether it still runs, as far as this process has been told. */
  get running(): boolean {
    return this.exit === undefined;
  }

  /** Sends a signal by pid; returns false when the child has already ended. */
  signal(signal: NodeJS.Signals): boolean {
    // A pid whose end we have seen may already belong to somebody else.
    return this.running && sendSignal(this.pid, signal);
  }

  /**
   * Waits for the end.
   *
   * @param timeoutMs - how long at most, in milliseconds; for ever by default
   * @returns how it ended, or undefined when the time was up first
   */
  async waitForExit(timeoutMs?: number): Promise<ChildExit | undefined> {
    if (timeoutMs === undefined) return this.exited;
    let timer: NodeJS.Timeout | undefined;
    const timeUp = new Promise<undefined>((settle) => {
      timer = setTimeout(() => {
        settle(undefined);
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.exited, timeUp]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the child: the signal, time to act on it, then SIGKILL. Returns at once when it has already ended. */
  async stop(options: StopOptions = {}): Promise<ChildExit> {
    this.signal(options.signal ?? 'SIGTERM');
    // A stopped process (SIGSTOP) acts on a signal only when it goes on.
    this.signal('SIGCONT');
    const exit = await this.waitForExit(options.timeoutMs ?? 5000);
    if (exit !== undefined) return exit;
    this.signal('SIGKILL');
    return this.exited;
  }
}

/**
 * Starts a program whose lifetime is bound to this process: however this process ends, the child is ended by its pid.
 * On a clean exit and on an uncaught error that is done here; when this process is itself killed, Linux sends the child
 * SIGTERM.
 *
 * @throws UserError when the program cannot be found or started
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const path = (options.env ?? process.env)['PATH'];
  const program = findProgram(options.command, path);
  if (program === undefined) throw new UserError(`${options.name}: ${options.command} is not installed or not on PATH`);
  // util-linux, part of every Debian; it replaces itself by the program, so the pid is the program's.
  const setpriv = process.platform === 'linux' ? findProgram('setpriv', path) : undefined;
  const argv =
    setpriv === undefined
      ? [program, ...options.args]
      : [setpriv, '--pdeathsig', 'TERM', '--', program, ...options.args];
  const child = spawn(argv[0] ?? program, argv.slice(1), {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    stdio: [options.stdin ?? 'ignore', options.stdout ?? 'ignore', options.stderr ?? 'ignore'],
    detached: options.ownGroup ?? true,
  });
  // Before anything is awaited: the end of a child that fails at once must be seen.
  const tracked =
    child.pid === undefined ? undefined : new Child(child, child.pid, options.name, options.exitGraceMs ?? 2000);
  if (tracked !== undefined) track(tracked);
  await new Promise<void>((done, fail) => {
    child.once('spawn', done);
    child.once('error', (error) => {
      if (tracked !== undefined) alive.delete(tracked);
      fail(new UserError(`${options.name} cannot be started: ${error.message}`, { cause: error }));
    });
  });
  if (tracked === undefined) throw new UserError(`${options.name} cannot be started: it was given no process id`);
  return tracked;
}

/** Opens a log file for a child's output (appends, readable by its owner only); its directory is made as needed. */
export function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  return openSync(path, 'a', 0o600);
}

/** Runs `use` with a log file's descriptor and closes it here afterwards: the child has its own copy. */
export async function withLog<T>(path: string, use: (fd: number) => Promise<T>): Promise<T> {
  const fd = openLog(path);
  try {
    return await use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The path of a program, as the shell would find it.
 *
 * @param path - a search path. @default the PATH of this process
 */
export function findProgram(command: string, path: string | undefined = process.env['PATH']): string | undefined {
  const candidates = command.includes('/')
    ? [resolve(command)]
    : (path ?? '').split(delimiter).map((directory) => join(directory === '' ? '.' : directory, command));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

/** Whether a process with this id exists (also one of somebody else, also one that has ended and waits to be reaped). */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const alive = new Set<Child>();
let hooked = false;

function track(child: Child): void {
  alive.add(child);
  if (hooked) return;
  hooked = true;
  process.on('exit', endAll);
}

/** The last resort, while the event loop no longer turns: everything here must be synchronous. */
function endAll(): void {
  const start = Date.now();
  for (const child of alive) {
    sendSignal(child.pid, 'SIGTERM');
    sendSignal(child.pid, 'SIGCONT');
  }
  const ended = new Set<Child>();
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  while (ended.size < alive.size) {
    for (const child of alive) {
      if (ended.has(child)) continue;
      if (hasEnded(child.pid)) {
        ended.add(child);
      } else if (Date.now() - start >= child.exitGraceMs) {
        sendSignal(child.pid, 'SIGKILL');
        ended.add(child);
      }
    }
    if (ended.size < alive.size) Atomics.wait(sleeper, 0, 0, 10);
  }
}

/** Nobody reaps while the event loop stands still, so an ended child is a zombie, which `kill(pid, 0)` calls alive. */
function hasEnded(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return !processExists(pid);
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
