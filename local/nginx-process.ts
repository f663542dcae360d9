import { spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import type { Environment } from '../lib/config';
import { renderGateway, type Placement, type RenderedFiles } from '../lib/nginx';
import { startChild, openLog, type Child } from './child';
import { UserError } from './user-error';

/** How a gateway is started. */
export interface NginxOptions {
  readonly environment: Environment;
  readonly placement: Placement;
  /** Files that receive nginx's stdout (one JSON line each request and gauge) and stderr. */
  readonly logs: { readonly stdout: string; readonly stderr: string };
  /** What nginx's own environment holds beside that of this process, such as where Valkey is. @default nothing */
  readonly variables?: Readonly<Record<string, string>>;
}

/** How long new workers may take to appear, before that is a fault. */
const OUTCOME_MS = 30_000;
/** Between two looks for them. */
const LOOK_MS = 10;
/** What nginx wrote last may still be on its way through the filter in front of the log. */
const LAST_WORDS_MS = 200;

const ENTRYPOINT = join(__dirname, '..', 'gateway', 'entrypoint.sh');

/** A running nginx with the data plane, rendered from an environment. */
export class NginxProcess {
  private constructor(
    private readonly child: Child,
    private readonly placement: Placement,
    private readonly stderrFile: string,
    private environment: Environment,
  ) {}

  /**
   * Renders, checks with `nginx -t`, starts, and waits for the workers: some things, such as a certificate that has
   * expired, are only found out by the data plane when nginx starts.
   *
   * @throws UserError with nginx's own reason where the configuration or the certificate is refused.
   */
  static async start({ environment, placement, logs, variables }: NginxOptions): Promise<NginxProcess> {
    mkdirSync(placement.runtimeDirectory, { recursive: true, mode: 0o700 });
    await checkAndWrite(environment, placement);
    const stdout = openLog(logs.stdout);
    const stderr = openLog(logs.stderr);
    const logged = statSync(logs.stderr).size;
    const child = await startChild({
      name: 'nginx',
      command: ENTRYPOINT,
      args: [placement.prefix],
      env: { ...process.env, ...variables },
      stdout,
      stderr,
    });
    const nginx = new NginxProcess(child, placement, logs.stderr, environment);
    const problem = await nginx.outcome(logged, []);
    if (problem !== undefined) {
      await child.stop();
      throw new UserError(`nginx does not start: ${problem}`);
    }
    return nginx;
  }

  /** Settles when nginx has ended. */
  get exited(): Promise<unknown> {
    return this.child.exited;
  }

  /** The master's pid. */
  get pid(): number {
    return this.child.pid;
  }

  /** Pids of the worker processes, those of an older generation that still serve their streams included. */
  workers(): number[] {
    const children = readProc(`${this.pid}/task/${this.pid}/children`).trim();
    return children
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number)
      .filter((pid) => readProc(`${pid}/cmdline`).startsWith('nginx: worker'));
  }

  /**
   * Takes a changed environment over without losing a request; returns once its workers run. What nginx refuses is not
   * taken over, and the running configuration serves on.
   *
   * @throws UserError with nginx's own reason.
   */
  async reload(environment: Environment): Promise<void> {
    await checkAndWrite(environment, this.placement);
    const logged = statSync(this.stderrFile).size;
    const before = this.workers();
    this.child.signal('SIGHUP');
    const problem = await this.outcome(logged, before);
    if (problem !== undefined) {
      // Whoever reloads next must not find what was refused.
      writeFiles(this.placement.prefix, renderGateway(this.environment, this.placement));
      throw new UserError(`nginx refuses the configuration: ${problem}`);
    }
    this.environment = environment;
  }

  /**
   * Waits until there are new workers.
   *
   * @param logged What the error log held before, bytes.
   * @param before The workers that there were.
   * @returns nginx's reason where there will be none.
   */
  private async outcome(logged: number, before: readonly number[]): Promise<string | undefined> {
    const end = Date.now() + OUTCOME_MS;
    for (;;) {
      const ended = !this.child.running;
      const reason = refusalIn(readFrom(this.stderrFile, logged));
      if (reason !== undefined) return reason;
      if (this.workers().some((pid) => !before.includes(pid))) return undefined;
      if (ended || Date.now() > end) return ended ? 'it ended at once' : 'it started no worker in time';
      await Promise.race([this.child.exited.then(() => settle(LAST_WORDS_MS)), settle(LOOK_MS)]);
    }
  }

  /** Cuts what {@link stop} still waits for. */
  cut(): void {
    this.child.signal('SIGTERM');
  }

  /**
   * Stops: no new connections, open requests and streams are finished. After `graceMs` what is left is cut.
   *
   * @param graceMs Milliseconds that open requests are given.
   */
  async stop(graceMs: number): Promise<void> {
    this.child.signal('SIGQUIT');
    if ((await this.child.waitForExit(graceMs)) === undefined) await this.child.stop({ signal: 'SIGTERM' });
  }
}

/** Renders into a folder beside the prefix, lets nginx judge it, and only then puts it in place. */
async function checkAndWrite(environment: Environment, placement: Placement): Promise<void> {
  const candidate = { ...placement, prefix: `${placement.prefix}.candidate` };
  try {
    writeFiles(candidate.prefix, renderGateway(environment, candidate));
    await testConfiguration(candidate.prefix);
  } finally {
    rmSync(candidate.prefix, { recursive: true, force: true });
  }
  writeFiles(placement.prefix, renderGateway(environment, placement));
}

function writeFiles(prefix: string, files: RenderedFiles): void {
  for (const [path, content] of Object.entries(files)) {
    const file = join(prefix, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, content, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

/**
 * Lets nginx judge rendered files.
 *
 * @throws UserError with nginx's reason.
 */
async function testConfiguration(prefix: string): Promise<void> {
  // Its stdout must be something that /dev/stdout can be opened on, which a pipe of Node's (a socket) is not.
  const nginx = spawn('nginx', ['-t', '-q', '-p', prefix, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  nginx.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const code = await new Promise((settle, reject) => {
    nginx.once('error', reject);
    nginx.once('close', settle);
  });
  if (code !== 0) throw new UserError(`nginx refuses the configuration: ${reasonOf(stderr)}`);
}

/** The reason in nginx's words, without its prefixes and without Lua's stack. */
export function reasonOf(stderr: string): string {
  const line = stderr.split('\n').find((text) => /\[(emerg|error|crit|alert)\]/.test(text)) ?? stderr.trim();
  return line
    .replace(/^.*?\[(emerg|error|crit|alert)\] (\d+#\d+: )?/, '')
    .replace(/^(\[lua\] )?init_by_lua error: /, '');
}

/** Why a start or a reload is refused; errors of requests stand in the same log. */
function refusalIn(log: string): string | undefined {
  const line = log.split('\n').find((text) => /\[emerg\]|init_by_lua error: /.test(text));
  return line === undefined ? undefined : reasonOf(line);
}

function settle(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** A file under /proc; empty where the process has ended meanwhile. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return '';
  }
}

/** What a log holds from an offset on. */
function readFrom(path: string, offset: number): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(Math.max(0, statSync(path).size - offset));
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, offset));
  } finally {
    closeSync(file);
  }
}
