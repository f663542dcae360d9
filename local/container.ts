import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, posix, relative, resolve, sep } from 'node:path';

import { findProgram } from './child';
import { UserError } from './user-error';

/** What a run in a container is made of. */
export interface ContainerRun {
  /** The checkout, absolute. */
  readonly repoDir: string;
  /** The image, see {@link containerImage}. */
  readonly image: string;
  /** The entry point, relative to the checkout: `local/start.ts`. */
  readonly entry: string;
  /** What the user gave to `npm start --`. */
  readonly args: readonly string[];
  /** Published on the loopback address of the host, under the same number. */
  readonly ports: readonly number[];
  /** Variables to pass on, by name: values never stand on a command line, where every user of the machine reads them. */
  readonly envNames: readonly string[];
  /** Whether a person sits at a terminal. */
  readonly tty: boolean;
  /** The owner of what is written into the checkout, `uid:gid`; nothing where it is root, or not Unix. */
  readonly user?: string;
}

/** Options whose value is a path on the host. */
const pathOptions: ReadonlySet<string> = new Set(['--config', '--cert', '--key']);

/**
 * The arguments of `docker` that run the gateway. The container is given `CAUSEWAY_IN_CONTAINER=1`: what runs inside must
 * listen on all its addresses, as the published port arrives from outside.
 */
export function dockerRunArgs(run: ContainerRun): readonly string[] {
  const paths = translatePaths(run.repoDir, run.args);
  return [
    'run',
    '--rm',
    // A first process that passes signals on and reaps what nginx leaves behind.
    '--init',
    ...(run.tty ? ['--interactive', '--tty'] : []),
    // Without it, SELinux (Fedora) denies the container our files; relabelling the user's checkout would be worse.
    '--security-opt',
    'label=disable',
    ...run.ports.flatMap((port) => ['--publish', `127.0.0.1:${port}:${port}`]),
    ...(run.user === undefined ? [] : ['--user', run.user]),
    ...mount({ type: 'bind', source: run.repoDir, target: '/app' }),
    // The host's node_modules may hold programs for another platform.
    ...mount({ type: 'volume', source: `${volumePrefix}${digest(run.repoDir)}`, target: '/app/node_modules' }),
    ...paths.mounts.flatMap(([source, target]) => mount({ type: 'bind', source, target, readonly: true })),
    '--env',
    'HOME=/tmp',
    '--env',
    'CAUSEWAY_IN_CONTAINER=1',
    ...run.envNames.flatMap((name) => ['--env', name]),
    '--workdir',
    '/app',
    run.image,
    'sh',
    'local/bootstrap.sh',
    run.entry,
    ...paths.args,
  ];
}

/** The name of the image for a Dockerfile: another file, another image, so that an unchanged one is never built again. */
export function containerImage(dockerfile: string): string {
  return `causeway-local:${digest(dockerfile)}`;
}

/** What {@link runInContainer} is given; the rest it finds out. */
export type ContainerOptions = Pick<ContainerRun, 'repoDir' | 'args' | 'ports'> & {
  /** @default 'local/start.ts' */
  readonly entry?: string;
  /** Passed on if they are set. @default ['ANTHROPIC_API_KEY', 'CAUSEWAY_DEBUG'] */
  readonly envNames?: readonly string[];
  /** @default the environment of this process */
  readonly env?: NodeJS.ProcessEnv;
  /** @default to standard error */
  readonly say?: (line: string) => void;
};

/**
 * Runs the gateway in a container, in the place of this process: its output is ours, signals are passed on to it.
 *
 * @returns what the process has to exit with
 * @throws UserError when Docker cannot be used, or the image cannot be built
 */
export async function runInContainer(options: ContainerOptions): Promise<number> {
  const env = options.env ?? process.env;
  const say = options.say ?? ((line: string) => process.stderr.write(`causeway: ${line}\n`));
  const docker = findProgram('docker', env['PATH']);
  if (docker === undefined) throw new UserError('there is no docker on PATH: install Docker, or use a Debian machine');
  if ((await end(docker, ['version', '--format', '{{.Server.Version}}'], env)) !== 0) {
    throw new UserError(
      'docker is installed, but its engine does not answer: start it (`docker version` must succeed)',
    );
  }
  const dockerfile = readFileSync(join(__dirname, 'Dockerfile'), 'utf8');
  const image = containerImage(dockerfile);
  if ((await end(docker, ['image', 'inspect', image], env)) !== 0) {
    say('building the container image (once, a few minutes)');
    // The Dockerfile alone is sent: nothing of the checkout belongs in the image.
    const code = await end(docker, ['build', '--quiet', '--tag', image, '-'], env, dockerfile);
    if (code !== 0) throw new UserError(`the container image could not be built (docker build exited with ${code})`);
  }
  // Made here, so that it belongs to the user and not to Docker.
  mkdirSync(join(options.repoDir, '.causeway'), { recursive: true });
  mkdirSync(join(options.repoDir, 'node_modules'), { recursive: true });

  const tty = process.stdin.isTTY && process.stdout.isTTY;
  const uid = process.getuid?.() ?? 0;
  const args = dockerRunArgs({
    repoDir: options.repoDir,
    image,
    entry: options.entry ?? 'local/start.ts',
    args: options.args,
    ports: options.ports,
    envNames: (options.envNames ?? ['ANTHROPIC_API_KEY', 'CAUSEWAY_DEBUG']).filter((name) => env[name] !== undefined),
    tty,
    ...(uid === 0 ? {} : { user: `${uid}:${process.getgid?.() ?? uid}` }),
  });
  return attached(docker, args, env, tty);
}

const volumePrefix = 'causeway-node-modules-';

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

interface Mount {
  readonly type: 'bind' | 'volume';
  readonly source: string;
  readonly target: string;
  readonly readonly?: boolean;
}

/** As `--mount`: `-v` cannot carry a path with a colon. Its value is a line of CSV. */
function mount({ type, source, target, readonly }: Mount): readonly string[] {
  const field = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const fields = [`type=${type}`, `source=${source}`, `target=${target}`, ...(readonly === true ? ['readonly'] : [])];
  return ['--mount', fields.map(field).join(',')];
}

interface TranslatedPaths {
  readonly args: readonly string[];
  /** Directories of the host and where they are mounted. */
  readonly mounts: readonly (readonly [string, string])[];
}

/**
 * Paths in the arguments as they are inside: in the checkout relative to it; elsewhere their directory is mounted,
 * since a certificate that is replaced by renaming would not be seen through a mount of the file itself.
 */
function translatePaths(repoDir: string, args: readonly string[]): TranslatedPaths {
  const mounts = new Map<string, string>();
  const translate = (path: string): string => {
    const absolute = resolve(repoDir, path);
    const inside = relative(repoDir, absolute);
    if (inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside)) return inside.split(sep).join('/');
    const directory = dirname(absolute);
    const target = mounts.get(directory) ?? `/mnt/host-${mounts.size + 1}`;
    mounts.set(directory, target);
    return posix.join(target, basename(absolute));
  };
  const translated = args.map((arg, index) => {
    const [option = '', ...value] = arg.split('=');
    if (value.length > 0 && pathOptions.has(option)) return `${option}=${translate(value.join('='))}`;
    return pathOptions.has(args[index - 1] ?? '') ? translate(arg) : arg;
  });
  return { args: translated, mounts: [...mounts] };
}

/** Runs docker to its end for its exit code; what it says on standard error is shown only while an image is built. */
function end(docker: string, args: readonly string[], env: NodeJS.ProcessEnv, input?: string): Promise<number> {
  return new Promise((done) => {
    const child = spawn(docker, args, {
      env,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', input === undefined ? 'ignore' : 'inherit'],
    });
    child.once('error', () => {
      done(127);
    });
    child.once('close', (code) => {
      done(code ?? 1);
    });
    // A docker that ends without reading is seen by its exit code.
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** Runs docker as if it were this process. */
function attached(docker: string, args: readonly string[], env: NodeJS.ProcessEnv, tty: boolean): Promise<number> {
  return new Promise((done, fail) => {
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    const forward = (signal: NodeJS.Signals): void => {
      child.kill(signal);
    };
    // Before docker runs: a signal that came in between would end us and leave the container to itself.
    for (const signal of signals) process.on(signal, forward);
    // Out of our process group unless it needs the terminal: a Ctrl-C then arrives once, from us, and not twice.
    const child = spawn(docker, args, { env, stdio: 'inherit', detached: !tty });
    const release = (): void => {
      for (const signal of signals) process.off(signal, forward);
    };
    child.once('error', (error) => {
      release();
      fail(new UserError(`docker cannot be started: ${error.message}`, { cause: error }));
    });
    child.once('close', (code, signal) => {
      release();
      done(code ?? (signal === 'SIGINT' ? 130 : 143));
    });
  });
}
