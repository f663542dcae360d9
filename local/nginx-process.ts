import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
}

const ENTRYPOINT = join(__dirname, '..', 'gateway', 'entrypoint.sh');

/** A running nginx with the data plane, rendered from an environment. */
export class NginxProcess {
  private constructor(
    private readonly child: Child,
    private readonly placement: Placement,
  ) {}

  /**
   * Renders, checks with `nginx -t` and starts.
   *
   * @throws UserError with nginx's own reason where the configuration or the certificate is refused.
   */
  static async start({ environment, placement, logs }: NginxOptions): Promise<NginxProcess> {
    mkdirSync(placement.runtimeDirectory, { recursive: true, mode: 0o700 });
    await checkAndWrite(environment, placement);
    const stdout = openLog(logs.stdout);
    const stderr = openLog(logs.stderr);
    const child = await startChild({ name: 'nginx', command: ENTRYPOINT, args: [placement.prefix], stdout, stderr });
    return new NginxProcess(child, placement);
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
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim();
    return children
      .split(' ')
      .filter((pid) => pid !== '')
      .map(Number)
      .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('nginx: worker'));
  }

  /**
   * Takes a changed environment over without losing a request. What `nginx -t` refuses is not taken over, and the
   * running configuration serves on.
   *
   * @throws UserError with nginx's own reason.
   */
  async reload(environment: Environment): Promise<void> {
    await checkAndWrite(environment, this.placement);
    this.child.signal('SIGHUP');
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
