import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { findProgram } from '../../local/child';

/** The checkout. */
export const repoDir = resolve(__dirname, '..', '..');

/** A directory of a test's own, with commands that pretend: a PATH on which nothing else is. */
export class Sandbox {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'causeway test ')));
  readonly bin = join(this.dir, 'bin');

  constructor() {
    mkdirSync(this.bin);
  }

  /** A path inside. */
  path(...names: readonly string[]): string {
    return join(this.dir, ...names);
  }

  /** Writes a file inside. */
  write(name: string, text: string, mode = 0o644): string {
    const path = this.path(name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  }

  /** Reads a file inside; empty when it is not there. */
  read(name: string): string {
    try {
      return readFileSync(this.path(name), 'utf8');
    } catch {
      return '';
    }
  }

  /** A command that pretends: `$SANDBOX` is this directory, and each call is noted in `calls`. */
  fake(name: string, script = ''): void {
    const header = `#!/bin/sh\nSANDBOX='${this.dir}'\nprintf '%s\\n' "${name} $*" >>"$SANDBOX/calls"\n`;
    this.write(join('bin', name), header + script, 0o755);
  }

  /** Lets real commands of this machine be found. */
  real(...names: readonly string[]): void {
    for (const name of names) {
      const program = findProgram(name);
      if (program === undefined) throw new Error(`${name} is needed for this test`);
      symlinkSync(program, join(this.bin, name));
    }
  }

  /** The calls of pretending commands so far. */
  calls(): readonly string[] {
    return this.read('calls').split('\n').slice(0, -1);
  }

  /** An environment in which only {@link bin} is on PATH. */
  env(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    return { PATH: this.bin, HOME: this.dir, ...more };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** How a process went. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process whose output is collected. */
export interface Started {
  readonly process: ChildProcess;
  readonly outcome: Promise<Outcome>;
  /** What was printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Settles when this has been printed on either stream. */
  printed(text: string): Promise<void>;
}

/** Starts a process and collects its output. */
export function start(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly detached?: boolean } = {},
): Started {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return {
    process: child,
    output,
    outcome: new Promise((done, fail) => {
      child.once('error', fail);
      child.once('close', (code, signal) => {
        done({ code, signal, ...output });
      });
    }),
    printed: (text) => until(() => `${output.stdout}\n${output.stderr}`.includes(text)),
  };
}

/** Runs TypeScript in a process of its own, with this checkout's tsx. */
export function startTypeScript(sandbox: Sandbox, name: string, source: string, env?: NodeJS.ProcessEnv): Started {
  const file = sandbox.write(name, source);
  return start(process.execPath, ['--import', 'tsx', file], { cwd: repoDir, env: { ...process.env, ...env } });
}

/** Waits until something is so, or fails. */
export async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${condition.toString()}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Whether a process is there and has not ended (a zombie has). */
export function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
