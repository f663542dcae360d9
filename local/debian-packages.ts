import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { findProgram, withLog } from './child';
import { UserError } from './user-error';

/** A package, or several that serve alike: one that is installed counts, else the first that can be had is installed. */
export type PackageChoice = string | readonly [string, ...string[]];

/** What the gateway runs on: nginx with Lua, and Valkey (Redis where a release has no Valkey). */
export const gatewayPackages: readonly PackageChoice[] = [
  'nginx',
  'libnginx-mod-http-lua',
  'lua-cjson',
  'lua-nginx-dns',
  // The fork that libnginx-mod-http-lua itself is built with, where it is packaged (bookworm).
  ['luajit2', 'luajit'],
  ['valkey-server', 'redis-server'],
];

/** What the examples that `npm start` prints need. */
export const examplePackages: readonly PackageChoice[] = ['curl', 'python3-venv'];

/** What `npm run bench` needs besides {@link gatewayPackages}. */
export const benchPackages: readonly PackageChoice[] = ['wrk'];

/** What the tests need besides {@link gatewayPackages} and {@link examplePackages}. */
export const testPackages: readonly PackageChoice[] = ['lua-busted', 'lua-check', 'openssl'];

/** What {@link planPackages} decides from. */
export interface PackageFacts {
  /** Whether apt-get and dpkg-query are there. */
  readonly apt: boolean;
  /** Whether there is a docker command. */
  readonly docker: boolean;
  /** How packages may be installed from here: as we are, through sudo without a password, or not at all. */
  readonly right: 'root' | 'sudo' | 'none';
  /** Those of the wanted packages that are installed. */
  readonly installed: ReadonlySet<string>;
  /** Those of the wanted packages that apt could install now. */
  readonly available: ReadonlySet<string>;
  /** Whether the package lists have just been fetched. */
  readonly updated: boolean;
  /** Services that were on this machine before; they are left as they are. */
  readonly services: ReadonlySet<string>;
  /** Whether systemd runs services here. */
  readonly systemd: boolean;
}

/** What is to be done. */
export type PackagePlan =
  | { readonly kind: 'ready' }
  | { readonly kind: 'docker' }
  /** apt knows too little: fetch the lists, then plan again. */
  | { readonly kind: 'update' }
  | { readonly kind: 'install'; readonly packages: readonly string[]; readonly services: readonly string[] }
  | { readonly kind: 'impossible'; readonly message: string };

/** The services that a package starts by itself when it is installed. */
const servicesOf: Readonly<Record<string, string>> = {
  nginx: 'nginx',
  'redis-server': 'redis-server',
  'valkey-server': 'valkey-server',
};

/** Decides from the facts alone what is to be done. */
export function planPackages(wanted: readonly PackageChoice[], facts: PackageFacts): PackagePlan {
  if (!facts.apt) {
    if (facts.docker) return { kind: 'docker' };
    return {
      kind: 'impossible',
      message:
        'this machine has neither apt-get nor docker: the gateway runs on Debian 12 or newer and Ubuntu 22.04 or newer, ' +
        'and elsewhere in a container, for which docker must be on PATH',
    };
  }
  const missing = wanted.map(alternativesOf).filter((names) => !names.some((name) => facts.installed.has(name)));
  if (missing.length === 0) return { kind: 'ready' };

  const unknown = missing.filter((names) => !names.some((name) => facts.available.has(name)));
  const packages = missing.map(
    (names) => names.find((name) => facts.available.has(name)) ?? names[names.length - 1] ?? '',
  );
  const services = packages
    .map((name) => servicesOf[name])
    .filter((service) => service !== undefined)
    .filter((service) => !facts.services.has(service));
  if (facts.right === 'none') {
    const command = `sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`;
    return {
      kind: 'impossible',
      message:
        `Debian packages are missing, and installing them needs root or sudo without a password. Run\n\n  ` +
        (unknown.length > 0 ? 'sudo apt-get update && ' : '') +
        command +
        (facts.systemd && services.length > 0 ? ` && sudo systemctl disable --now ${services.join(' ')}` : '') +
        '\n\nand start again',
    };
  }
  if (unknown.length > 0) {
    if (!facts.updated) return { kind: 'update' };
    return {
      kind: 'impossible',
      message:
        `apt has no package ${unknown.map((names) => names.join(' or ')).join(', ')}, also after apt-get update: check ` +
        'the network and the sources in /etc/apt; supported are Debian 12 or newer, and Ubuntu 22.04 or newer with its ' +
        'component "universe"',
    };
  }
  return { kind: 'install', packages, services };
}

/** How {@link ensureDebianPackages} looks at the machine and acts on it. */
export interface PackageIo {
  /** Finds out the facts about these packages. */
  probe(wanted: readonly PackageChoice[], updated: boolean): Promise<PackageFacts>;
  /** Fetches the package lists. */
  update(right: 'root' | 'sudo'): Promise<void>;
  /** Installs packages while the services named are kept from starting, then disables those. */
  install(right: 'root' | 'sudo', packages: readonly string[], services: readonly string[]): Promise<void>;
  /** Tells the user a line. */
  say(line: string): void;
}

/**
 * Installs the Debian packages that are missing, and leaves no service running or enabled because of it.
 *
 * @param wanted - see {@link gatewayPackages} and {@link testPackages}
 * @param io - @default this machine
 * @returns `ready` when nothing was missing, `installed`, or `docker` where there is no apt but a docker command: the
 * caller then runs the gateway in a container
 * @throws UserError when it cannot be done; where only the right is missing, with the one command to run
 */
export async function ensureDebianPackages(
  wanted: readonly PackageChoice[],
  io: PackageIo = systemPackageIo(),
): Promise<'ready' | 'installed' | 'docker'> {
  let updated = false;
  for (;;) {
    const facts = await io.probe(wanted, updated);
    const plan = planPackages(wanted, facts);
    if (plan.kind === 'ready' || plan.kind === 'docker') return plan.kind;
    if (plan.kind === 'impossible') throw new UserError(plan.message);
    const right = facts.right === 'sudo' ? 'sudo' : 'root';
    if (plan.kind === 'update') {
      io.say('fetching the lists of Debian packages');
      await io.update(right);
      updated = true;
    } else {
      io.say(`installing Debian packages${right === 'sudo' ? ' (with sudo)' : ''}: ${plan.packages.join(' ')}`);
      await io.install(right, plan.packages, plan.services);
      return 'installed';
    }
  }
}

/** Where {@link systemPackageIo} finds things; tests put their own. */
export interface SystemPackageOptions {
  /** @default the environment of this process */
  readonly env?: NodeJS.ProcessEnv;
  /** @default '/usr/sbin/policy-rc.d' */
  readonly policyPath?: string;
  /** Directories with systemd's unit files. @default ['/usr/lib/systemd/system', '/lib/systemd/system'] */
  readonly unitDirs?: readonly string[];
  /** Is there when systemd runs. @default '/run/systemd/system' */
  readonly systemdDir?: string;
  /** Where apt's output goes. @default '.causeway' */
  readonly stateDir?: string;
  /** @default to standard error */
  readonly say?: (line: string) => void;
}

/** This machine: dpkg-query, apt-cache, apt-get, sudo. */
export function systemPackageIo(options: SystemPackageOptions = {}): PackageIo {
  const env = options.env ?? process.env;
  const stateDir = options.stateDir ?? '.causeway';
  const log = join(stateDir, 'apt-get.log');
  const unitDirs = options.unitDirs ?? ['/usr/lib/systemd/system', '/lib/systemd/system'];
  const say = options.say ?? ((line: string) => process.stderr.write(`causeway: ${line}\n`));
  const has = (command: string): boolean => findProgram(command, env['PATH']) !== undefined;
  const capture = (command: string, args: readonly string[]) => run(env, command, args, 'capture');

  const privileged = async (right: 'root' | 'sudo', args: readonly string[]): Promise<void> => {
    const script = [join(__dirname, 'apt-install.sh'), options.policyPath ?? '/usr/sbin/policy-rc.d', ...args];
    const result = await undisturbed(say, () =>
      withLog(log, (fd) =>
        right === 'sudo' ? run(env, 'sudo', ['-n', 'sh', ...script], fd) : run(env, 'sh', script, fd),
      ),
    );
    if (result.code !== 0) {
      throw new UserError(`the Debian packages could not be installed: ${lastAptError(log)} (apt's own words: ${log})`);
    }
  };

  return {
    say,
    async probe(wanted, updated) {
      const names = wanted.flatMap(alternativesOf);
      const apt = has('apt-get') && has('dpkg-query');
      const systemd = existsSync(options.systemdDir ?? '/run/systemd/system');
      const nothing = { available: new Set<string>(), services: new Set<string>(), right: 'none', systemd } as const;
      if (!apt) return { apt, docker: has('docker'), installed: new Set(), updated, ...nothing };
      // Exits with 1 when it does not know some of them, which is no failure here.
      const query = await capture('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...names]);
      const installed = parseInstalled(query.stdout);
      const facts = { apt, docker: has('docker'), installed, updated };
      // What follows takes a while, and most starts do not need it.
      if (planPackages(wanted, { ...facts, ...nothing }).kind === 'ready') return { ...facts, ...nothing };
      const policy = await capture('apt-cache', ['policy', ...names]);
      return {
        ...facts,
        systemd,
        available: parseCandidates(policy.stdout),
        services: new Set(
          Object.values(servicesOf).filter((name) => unitDirs.some((dir) => existsSync(join(dir, `${name}.service`)))),
        ),
        right:
          (await capture('id', ['-u'])).stdout.trim() === '0'
            ? 'root'
            : has('sudo') && (await capture('sudo', ['-n', 'true'])).code === 0
              ? 'sudo'
              : 'none',
      };
    },
    update: (right) => privileged(right, ['yes', '']),
    install: (right, packages, services) => privileged(right, ['no', services.join(' '), ...packages]),
  };
}

/** Packages by dpkg-query's lines `name status`; one that was removed but left its settings is not installed. */
export function parseInstalled(output: string): ReadonlySet<string> {
  const lines = output.split('\n').map((line) => line.split(' '));
  return new Set(lines.flatMap(([name, status]) => (name !== undefined && status === 'installed' ? [name] : [])));
}

/** Packages for which `apt-cache policy` names a version that could be installed. */
export function parseCandidates(output: string): ReadonlySet<string> {
  const candidates = new Set<string>();
  let name = '';
  for (const line of output.split('\n')) {
    const head = /^(\S+):$/.exec(line);
    if (head?.[1] !== undefined) name = head[1];
    // The word before the version is translated in other locales, so the run sets LC_ALL=C.
    const candidate = /^ {2}Candidate: (\S+)/.exec(line)?.[1];
    if (candidate !== undefined && candidate !== '(none)') candidates.add(name);
  }
  return candidates;
}

function alternativesOf(choice: PackageChoice): readonly string[] {
  return typeof choice === 'string' ? [choice] : choice;
}

interface RunResult {
  readonly code: number;
  readonly stdout: string;
}

/** Runs a program to its end; its output is returned, or goes to an open file. A program that is not there gives 127. */
function run(
  env: NodeJS.ProcessEnv,
  command: string,
  args: readonly string[],
  output: number | 'capture',
): Promise<RunResult> {
  return new Promise((done) => {
    const child = spawn(command, args, {
      env: { ...env, LC_ALL: 'C' },
      stdio: ['ignore', output === 'capture' ? 'pipe' : output, output === 'capture' ? 'ignore' : output],
    });
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.once('error', () => {
      done({ code: 127, stdout: '' });
    });
    child.once('close', (code) => {
      done({ code: code ?? 1, stdout });
    });
  });
}

/**
 * Lets `work` come to its end when a signal asks this process to stop, and stops then: dpkg, cut off, leaves packages half
 * configured, and policy-rc.d must be put back.
 */
async function undisturbed<T>(say: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const exitCodes = new Map<NodeJS.Signals, number>([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]);
  const received: NodeJS.Signals[] = [];
  const onSignal = (signal: NodeJS.Signals): void => {
    if (received.length === 0)
      say('stopping as soon as apt-get has finished, as packages would be left half installed');
    received.push(signal);
  };
  for (const signal of exitCodes.keys()) process.on(signal, onSignal);
  try {
    const result = await work();
    const [signal] = received;
    if (signal === undefined) return result;
    throw new UserError('stopped, after apt-get had finished', { exitCode: exitCodes.get(signal) ?? 1 });
  } finally {
    for (const signal of exitCodes.keys()) process.off(signal, onSignal);
  }
}

function lastAptError(log: string): string {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  const errors = lines.filter((line) => line.startsWith('E: '));
  const line = errors[errors.length - 1] ?? lines[lines.length - 1] ?? '';
  return line.replace(/^E: /, '') || 'apt-get failed';
}
