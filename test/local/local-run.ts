import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import { join } from 'node:path';

import { freePort } from '../../local/ports';
import { checkLogs } from '../gateway/support/logs';
import { repoDir, runs, start, type Started, until } from './sandbox';

/** What a start is given beside free ports. */
export interface RunOptions {
  readonly args?: readonly string[];
  /** Laid over the environment of the tests; undefined takes a variable away. */
  readonly env?: NodeJS.ProcessEnv;
  /** Through `npm start --`, in a process group of its own as a terminal gives it. @default false */
  readonly npm?: boolean;
  /** The checkout that is started. @default this one */
  readonly cwd?: string;
  /** @default a free one */
  readonly port?: number;
  /** @default a free one */
  readonly tlsPort?: number;
}

/** How long a start may take on a machine that does much else. Milliseconds. */
const READY_MS = 50_000;

/** `npm start`, as a process. */
export class LocalRun {
  private children: readonly number[] = [];

  private constructor(
    private readonly started: Started,
    readonly port: number,
    readonly tlsPort: number,
    private readonly cwd: string,
  ) {}

  static async launch(options: RunOptions = {}): Promise<LocalRun> {
    const port = options.port ?? (await freePort());
    const tlsPort = options.tlsPort ?? (await freePort());
    const args = ['--port', String(port), '--tls-port', String(tlsPort), ...(options.args ?? [])];
    const cwd = options.cwd ?? repoDir;
    const env = { ...process.env, ANTHROPIC_API_KEY: undefined, ...options.env };
    const started =
      options.npm === true
        ? start('npm', ['start', '--', ...args], {
            cwd,
            // npm's own warnings about a machine's settings are not ours.
            env: { ...env, npm_config_loglevel: 'error' },
            detached: true,
          })
        : start('sh', ['local/bootstrap.sh', 'local/start.ts', ...args], { cwd, env });
    return new LocalRun(started, port, tlsPort, cwd);
  }

  /** Launches and waits until it is ready. */
  static async ready(options: RunOptions = {}): Promise<LocalRun> {
    const run = await LocalRun.launch(options);
    const child = run.started.process;
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await until(() => ended() || run.output.stdout.includes('Ctrl-C stops.\n'), READY_MS);
    if (ended()) throw new Error(`it did not start: ${run.output.stderr}`);
    run.children = descendants(run.pid);
    return run;
  }

  get pid(): number {
    return this.started.process.pid ?? 0;
  }

  /** What was printed so far. */
  get output(): Started['output'] {
    return this.started.output;
  }

  get outcome(): Started['outcome'] {
    return this.started.outcome;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** State of this run, absolute. */
  get directory(): string {
    return join(this.cwd, '.causeway', `run-${this.port}`);
  }

  /** The printed key. */
  get key(): string {
    return /^ {2}key +(cwk_\S+)$/m.exec(this.output.stdout)?.[1] ?? '';
  }

  /** The printed seconds until it was ready. */
  get readySeconds(): number {
    return Number(/is ready \((\d+\.\d) s\)/.exec(this.output.stdout)?.[1]);
  }

  /** The printed example under a heading such as `# curl`, as it is. */
  example(name: string): string {
    const blocks = this.output.stdout.split('\n\n');
    return blocks.find((block) => block.startsWith(`# ${name}\n`)) ?? '';
  }

  /** nginx's master. */
  get nginx(): number {
    return this.children.find((pid) => cmdline(pid).startsWith('nginx: master')) ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** As a terminal's Ctrl-C: to the whole group. */
  ctrlC(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  /** Processes of this run that still run. */
  left(): number[] {
    return [...new Set([...this.children, ...processesIn(this.directory)])].filter(runs);
  }

  /** Stops it, whatever a test has left of it. */
  async end(): Promise<void> {
    const { process: child } = this.started;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await this.outcome;
      clearTimeout(timer);
    }
    for (const pid of this.left()) process.kill(pid, 'SIGKILL');
    const [lines, errors] = [this.log('gateway.jsonl'), this.log('nginx-error.log')];
    rmSync(this.directory, { recursive: true, force: true });
    // A line may have been cut by a SIGKILL; all others are whole.
    checkLogs(
      lines.split('\n').filter((line) => line.endsWith('}')),
      errors,
      this.key === '' ? [] : [this.key],
    );
  }

  private log(name: string): string {
    const file = join(this.directory, 'log', name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** An open stream of the mock's, of a script. */
  async stream(script: Readonly<Record<string, unknown>>): Promise<OpenStream> {
    const body = JSON.stringify({
      model: 'claude-sonnet-5-5',
      max_tokens: 64,
      stream: true,
      messages: [{ role: 'user', content: 'Hello' }],
    });
    const response = await new Promise<IncomingMessage>((done, fail) => {
      const request = http.request(`${this.baseUrl}/v1/messages`, {
        method: 'POST',
        agent: false,
        headers: {
          'x-api-key': this.key,
          'anthropic-version': '2023-06-01',
          'content-type': 'application/json',
          'x-mock-script': JSON.stringify(script),
        },
      });
      request.once('response', done).once('error', fail).end(body);
    });
    return new OpenStream(response);
  }

  /** Whether a new connection is taken. */
  accepts(): Promise<boolean> {
    return new Promise((done) => {
      const socket = createConnection({ host: '127.0.0.1', port: this.port });
      socket.once('connect', () => {
        socket.destroy();
        done(true);
      });
      socket.once('error', () => {
        done(false);
      });
    });
  }
}

/** A stream that is being received. */
export class OpenStream {
  text = '';
  /** How it came to its end; undefined while it is open. */
  end: 'whole' | 'cut' | undefined;

  constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    response.once('end', () => (this.end = 'whole'));
    response.on('error', () => (this.end = 'cut'));
  }

  get events(): number {
    return this.text.split('\n\n').length - 1;
  }
}

function cmdline(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** All that descend from a process. */
function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const pid of allPids()) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const found = [root];
  for (const ancestor of found) {
    for (const [pid, parent] of parents) if (parent === ancestor) found.push(pid);
  }
  return found.slice(1);
}

/** Processes that work in a directory or were told of it. */
export function processesIn(directory: string): number[] {
  return allPids().filter((pid) => {
    let cwd = '';
    try {
      cwd = readlinkSync(`/proc/${pid}/cwd`);
    } catch {
      // It has ended meanwhile, or is somebody else's.
    }
    return `${cwd} ${cmdline(pid)}`.includes(`${directory}/`) || cwd === directory;
  });
}
