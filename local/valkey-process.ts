import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';

import { type Child, type ChildExit, findProgram, startChild, withLog } from './child';
import { freePort } from './ports';
import { UserError } from './user-error';

/** How a Valkey (or Redis) is started. */
export interface ValkeyOptions {
  /** Its working directory, for its settings and its log `valkey.log`; made as needed. */
  readonly dir: string;
  /** An address of this machine. @default '127.0.0.1' */
  readonly host?: string;
  /** Its port there. @default a free one */
  readonly port?: number;
  /** The path of a Unix socket to listen on instead of a port. */
  readonly unixSocket?: string;
  /** Megabytes. @default 64 */
  readonly maxMemoryMb?: number;
  /** What happens when the memory is full. @default 'allkeys-lru' */
  readonly evictionPolicy?: 'allkeys-lru' | 'allkeys-lfu' | 'volatile-lru' | 'volatile-ttl' | 'noeviction';
  /** @default none is asked for */
  readonly password?: string;
  /** Files for TLS on the port; clients need no certificate. @default no TLS */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile: string };
  /** Further settings, each as in its configuration file: a name and its values. @default none */
  readonly settings?: readonly (readonly [string, ...string[]])[];
  /** How long it may take to answer. Milliseconds. @default 10000 */
  readonly startTimeoutMs?: number;
  /** @default the PATH of this process */
  readonly path?: string;
}

/** A running Valkey or Redis. */
export interface ValkeyProcess {
  readonly binary: 'valkey-server' | 'redis-server';
  readonly pid: number;
  /** Where it listens: an address and a port, or a Unix socket. */
  readonly address: { readonly host: string; readonly port: number } | { readonly unixSocket: string };
  /** What it asks for, of the user `default`; none where it asks for none. */
  readonly password: string | undefined;
  /** The authority of its certificate; none where it speaks no TLS. */
  readonly caFile: string | undefined;
  readonly logFile: string;
  /** Settles when it has ended; never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Sends a command and returns the answer; errors that the server answers with are thrown. */
  command(...words: readonly string[]): Promise<RespValue>;
  /** SIGTERM, then SIGKILL after five seconds. */
  stop(): Promise<void>;
  /** Freezes it: connections stay open, and nothing answers. */
  pause(): void;
  /** Lets it go on after {@link pause}. */
  resume(): void;
  /** SIGKILL, for tests of a crash; settles when it has ended. */
  kill(): Promise<void>;
}

/** What RESP2 can carry. */
export type RespValue = string | number | null | readonly RespValue[];

/**
 * Starts Valkey, or Redis where there is no Valkey, without persistence, on the loopback address, and waits until it
 * answers. Its lifetime is bound to ours.
 *
 * @throws UserError when neither is installed, or it ends or stays silent instead of answering
 */
export async function startValkey(options: ValkeyOptions): Promise<ValkeyProcess> {
  const path = options.path ?? process.env['PATH'];
  const binary = (['valkey-server', 'redis-server'] as const).find((name) => findProgram(name, path) !== undefined);
  const program = binary === undefined ? undefined : findProgram(binary, path);
  if (binary === undefined || program === undefined) {
    throw new UserError(
      'neither valkey-server nor redis-server is on PATH: install one with ' +
        '`sudo apt-get install -y valkey-server` (or redis-server)',
    );
  }
  // A free port may be taken before it is listened on; one that was asked for is tried once.
  const attempts = options.port === undefined && options.unixSocket === undefined ? 3 : 1;
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryStart(options, binary, program);
    if (typeof outcome !== 'string') return outcome;
    if (attempt < attempts && outcome.includes('Address already in use')) continue;
    throw new UserError(outcome);
  }
}

/** Starts it once; a string says why it did not come up. */
async function tryStart(
  options: ValkeyOptions,
  binary: ValkeyProcess['binary'],
  program: string,
): Promise<ValkeyProcess | string> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  const logFile = join(dir, 'valkey.log');
  const configFile = join(dir, 'valkey.conf');
  const address =
    options.unixSocket === undefined
      ? { host: options.host ?? '127.0.0.1', port: options.port ?? (await freePort(options.host)) }
      : { unixSocket: resolve(options.unixSocket) };
  // A file, as a password on a command line can be read by every user of the machine.
  writeFileSync(configFile, settings(options, dir, address), { mode: 0o600 });
  // It appends; what an earlier run wrote must not be taken for this one's failure.
  const logStart = logLength(logFile);
  const child = await withLog(logFile, (fd) =>
    startChild({ name: binary, command: program, args: [configFile], cwd: dir, stdout: fd, stderr: fd }),
  );
  const call = (words: readonly string[], timeoutMs: number): Promise<RespValue> =>
    command(() => connect(options, address), options.password, words, timeoutMs);

  const failure = await untilReady(
    child,
    (timeoutMs) => call(['INFO', 'server'], timeoutMs),
    options.startTimeoutMs ?? 10_000,
  );
  if (failure !== undefined) {
    await child.stop();
    const words = readFileSync(logFile, 'utf8').slice(logStart).trimEnd().split('\n');
    const said =
      words.find((line) => /FATAL|# .*(error|could not|failed|not |Address)/i.test(line)) ?? words.at(-1) ?? '';
    return `${binary} ${failure}: ${said.replace(/^.*? [#*] /, '').trim() || 'it said nothing'} (its log: ${logFile})`;
  }
  return {
    binary,
    pid: child.pid,
    address,
    password: options.password,
    caFile: options.tls?.caFile,
    logFile,
    exited: child.exited,
    command: (...words) => call(words, 5000),
    stop: async () => {
      await child.stop();
    },
    pause: () => void child.signal('SIGSTOP'),
    resume: () => void child.signal('SIGCONT'),
    kill: async () => {
      child.signal('SIGKILL');
      await child.exited;
    },
  };
}

function settings(options: ValkeyOptions, dir: string, address: ValkeyProcess['address']): string {
  const port = 'port' in address ? address.port : 0;
  const lines: (readonly string[])[] = [
    ['bind', 'host' in address ? address.host : '127.0.0.1'],
    ['dir', dir],
    ['daemonize', 'no'],
    ['logfile', ''],
    ['save', ''],
    ['appendonly', 'no'],
    ['maxmemory', `${options.maxMemoryMb ?? 64}mb`],
    ['maxmemory-policy', options.evictionPolicy ?? 'allkeys-lru'],
  ];
  if (options.password !== undefined) lines.push(['requirepass', options.password]);
  if ('unixSocket' in address) lines.push(['unixsocket', address.unixSocket], ['unixsocketperm', '600']);
  if (options.tls === undefined) {
    lines.push(['port', `${port}`]);
  } else {
    lines.push(
      ['port', '0'],
      ['tls-port', `${port}`],
      ['tls-cert-file', resolve(options.tls.certFile)],
      ['tls-key-file', resolve(options.tls.keyFile)],
      ['tls-ca-cert-file', resolve(options.tls.caFile)],
      ['tls-auth-clients', 'no'],
    );
  }
  lines.push(...(options.settings ?? []));
  const quote = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
  return lines.map(([name = '', ...values]) => `${name} ${values.map(quote).join(' ')}\n`).join('');
}

/** Undefined when the server answers, and is ours; else what it did instead. */
async function untilReady(
  child: Child,
  info: (timeoutMs: number) => Promise<RespValue>,
  timeoutMs: number,
): Promise<string | undefined> {
  const deadline = Date.now() + timeoutMs;
  let last = '';
  while (Date.now() < deadline) {
    if (!child.running) return 'ended while starting';
    try {
      const answer = await info(Math.max(1, deadline - Date.now()));
      // Somebody else's server on this port would answer too.
      if (typeof answer === 'string' && answer.includes(`process_id:${child.pid}\r\n`)) return undefined;
      last = ' (another server answers there)';
    } catch (error) {
      last = ` (${error instanceof Error ? error.message : String(error)})`;
    }
    await Promise.race([sleep(20), child.exited]);
  }
  return `did not answer within ${timeoutMs} ms${last}`;
}

function connect(options: ValkeyOptions, address: ValkeyProcess['address']): Socket {
  if ('unixSocket' in address) return connectTcp({ path: address.unixSocket });
  const target: NetConnectOpts = { host: address.host, port: address.port };
  if (options.tls === undefined) return connectTcp(target);
  return connectTls({ ...target, ca: readFileSync(options.tls.caFile), servername: 'localhost' });
}

/** One command on a connection of its own: this is for starting and for tests, where being simple beats being fast. */
function command(
  open: () => Socket,
  password: string | undefined,
  words: readonly string[],
  timeoutMs: number,
): Promise<RespValue> {
  return new Promise((done, fail) => {
    const socket = open();
    let received = Buffer.alloc(0);
    // The answer to AUTH comes first.
    let answersLeft = password === undefined ? 1 : 2;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const refuse = (error: Error): void => {
      finish(() => {
        fail(error);
      });
    };
    const timer = setTimeout(() => {
      refuse(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    socket.on('error', refuse);
    socket.on('close', () => {
      refuse(new Error('the connection was closed before an answer'));
    });
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (let parsed = parseResp(received, 0); parsed !== undefined; parsed = parseResp(received, 0)) {
        const { value, next } = parsed;
        if (value instanceof Error) {
          refuse(value);
          return;
        }
        received = received.subarray(next);
        answersLeft -= 1;
        if (answersLeft === 0) {
          finish(() => {
            done(value);
          });
          return;
        }
      }
    });
    if (password !== undefined) socket.write(encodeResp(['AUTH', password]));
    socket.write(encodeResp(words));
  });
}

/** Where a Valkey is and who signs in there, as the gateway reads it from its environment. */
export function valkeyVariables({
  address,
  password,
  user = 'default',
}: Pick<ValkeyProcess, 'address' | 'password'> & { readonly user?: string }) {
  if ('unixSocket' in address) throw new Error('the gateway reaches Valkey by address and port only');
  return {
    CAUSEWAY_VALKEY_HOST: address.host,
    CAUSEWAY_VALKEY_PORT: String(address.port),
    CAUSEWAY_VALKEY_USER: user,
    CAUSEWAY_VALKEY_PASSWORD: password ?? '',
  };
}

/** A command as Valkey reads it. */
export function encodeResp(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/**
 * Reads one RESP2 value.
 *
 * @returns the value (an Error for an error answer) and where the next one begins; undefined while it is incomplete
 */
export function parseResp(
  bytes: Buffer,
  start: number,
): { readonly value: RespValue | Error; readonly next: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', start);
  if (lineEnd < 0) return undefined;
  const type = String.fromCharCode(bytes[start] ?? 0);
  const line = bytes.toString('utf8', start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (type) {
    case '+':
      return { value: line, next };
    case '-':
      return { value: new Error(line), next };
    case ':':
      return { value: Number(line), next };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      if (bytes.length < next + length + 2) return undefined;
      return { value: bytes.toString('utf8', next, next + length), next: next + length + 2 };
    }
    case '*': {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      const values: RespValue[] = [];
      let position = next;
      for (let index = 0; index < length; index++) {
        const item = parseResp(bytes, position);
        if (item === undefined) return undefined;
        if (item.value instanceof Error) return { value: item.value, next: item.next };
        values.push(item.value);
        position = item.next;
      }
      return { value: values, next: position };
    }
    default:
      return { value: new Error(`no RESP2: ${JSON.stringify(type + line)}`), next };
  }
}

function logLength(path: string): number {
  try {
    return readFileSync(path, 'utf8').length;
  } catch {
    return 0;
  }
}
