import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { findProgram } from './child';
import { withLock } from './lock';
import { UserError } from './user-error';

/** What {@link ensurePythonVenv} is given. */
export interface PythonVenvOptions {
  /** Where the virtual environment is. @default '.venv' */
  readonly dir?: string;
  /** A file of pinned packages. @default 'test/requirements.txt' */
  readonly requirements?: string;
  /** Whether not having it is a failure. */
  readonly ci: boolean;
  /** @default the environment of this process */
  readonly env?: NodeJS.ProcessEnv;
  /** @default to standard error */
  readonly say?: (line: string) => void;
}

/** A Python with the packages, or why there is none. */
export type PythonVenv =
  { readonly ok: true; readonly python: string } | { readonly ok: false; readonly reason: string };

/** What the pinned packages need, see test/requirements.txt; bookworm has it. */
const oldest = [3, 11] as const;
/** The most that pip may take as a whole. Milliseconds. */
const pipTimeoutMs = 300_000;

/**
 * A virtual environment with the Python packages that tests need, from PyPI: made on the first call, made anew when the
 * requirements or the machine's Python change, otherwise reused. One that was interrupted counts as none.
 *
 * @returns the interpreter; or the reason why there is none, by which the tests that need it are named as skipped
 * @throws UserError instead of returning a reason, with `ci: true`
 */
export async function ensurePythonVenv(options: PythonVenvOptions): Promise<PythonVenv> {
  const dir = resolve(options.dir ?? '.venv');
  const requirements = options.requirements ?? join('test', 'requirements.txt');
  const outcome = await withLock(`${dir}.lock`, () => make(dir, requirements, options), {
    timeoutMs: 2 * pipTimeoutMs,
  });
  if (!outcome.ok && options.ci) {
    throw new UserError(`the Python packages of ${requirements} are needed where CI=true: ${outcome.reason}`);
  }
  return outcome;
}

async function make(dir: string, requirements: string, options: PythonVenvOptions): Promise<PythonVenv> {
  const env = options.env ?? process.env;
  const say = options.say ?? ((line: string) => process.stderr.write(`causeway: ${line}\n`));
  const system = await systemPython(env);
  if (!system.ok) return system;

  const python = join(dir, 'bin', 'python');
  const stamp = join(dir, '.causeway-requirements');
  // The path is part of it: a virtual environment does not survive being moved.
  const wanted = createHash('sha256')
    .update([system.version, dir, readFileSync(requirements, 'utf8')].join('\n'))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(python)) return { ok: true, python };

  say(`installing the Python packages of ${requirements} into ${options.dir ?? '.venv'}`);
  rmSync(dir, { recursive: true, force: true });
  const venv = await run(system.python, ['-m', 'venv', dir], env);
  if (venv.code !== 0) return unfinished(dir, `python3 -m venv failed: ${lastLine(venv.output)}`);
  const pip = await run(
    python,
    [
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '--no-input',
      '--quiet',
      '--retries',
      '1',
      '--timeout',
      '30',
    ]
      // Nothing but what is pinned: a package that was forgotten in the file is an error, not a surprise.
      .concat(['--no-deps', '--requirement', requirements]),
    env,
  );
  if (pip.code !== 0) return unfinished(dir, pipFailure(pip.output));
  const check = await run(python, ['-m', 'pip', '--disable-pip-version-check', 'check'], env);
  if (check.code !== 0) return unfinished(dir, `${requirements} does not hold together: ${lastLine(check.output)}`);
  writeFileSync(stamp, wanted);
  return { ok: true, python };
}

/** Why pip failed, in a line: a network that is not there is told apart from packages that are not. */
export function pipFailure(output: string): string {
  const network =
    /NewConnectionError|ConnectTimeout|ReadTimeout|Read timed out|NameResolutionError|ProxyError|SSLError|Network is unreachable|Connection (refused|reset)|name resolution/;
  const matched = network.exec(output)?.[0];
  if (matched !== undefined) return `PyPI cannot be reached (${matched})`;
  const error = output.split('\n').find((line) => line.startsWith('ERROR: '));
  return `pip failed: ${error?.slice('ERROR: '.length) ?? lastLine(output)}`;
}

function unfinished(dir: string, reason: string): PythonVenv {
  rmSync(dir, { recursive: true, force: true });
  return { ok: false, reason };
}

type SystemPython =
  | { readonly ok: true; readonly python: string; readonly version: string }
  | { readonly ok: false; readonly reason: string };

async function systemPython(env: NodeJS.ProcessEnv): Promise<SystemPython> {
  const python = findProgram('python3', env['PATH']);
  if (python === undefined) return { ok: false, reason: 'there is no python3 on PATH' };
  const code =
    'import importlib.util as u, sys; ' +
    'print(*sys.version_info[:3], u.find_spec("ensurepip") is not None and u.find_spec("venv") is not None, sys.executable)';
  const probe = await run(python, ['-c', code], env);
  const match = /^(\d+) (\d+) (\d+) (True|False) (.+)$/m.exec(probe.output);
  if (probe.code !== 0 || match === null) return { ok: false, reason: `python3 fails: ${lastLine(probe.output)}` };
  const [, major, minor, patch, venv, executable = python] = match;
  const version = `${major ?? ''}.${minor ?? ''}.${patch ?? ''}`;
  if (Number(major) !== oldest[0] || Number(minor) < oldest[1]) {
    return { ok: false, reason: `python3 is ${version}, and ${oldest.join('.')} or newer is needed` };
  }
  if (venv === 'False') {
    return {
      ok: false,
      reason: 'python3 cannot make virtual environments: run `sudo apt-get install -y python3-venv`',
    };
  }
  return { ok: true, python, version: `${version} ${executable}` };
}

function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((done) => {
    // A PYTHONPATH or PYTHONHOME of the user's would look into our environment.
    const clean = {
      ...env,
      PYTHONHOME: undefined,
      PYTHONPATH: undefined,
      PIP_USER: '0',
      PIP_REQUIRE_VIRTUALENV: undefined,
    };
    execFile(
      command,
      args,
      { env: clean, timeout: pipTimeoutMs, maxBuffer: 16 << 20, encoding: 'utf8' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        done({ code, output: `${stdout}${stderr}` || (error?.message ?? '') });
      },
    );
  });
}

function lastLine(output: string): string {
  return output.trimEnd().split('\n').at(-1) ?? '';
}
