import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { resolveEnvironment, type Environment, type EnvironmentInput } from '../../lib/config';
import type { Placement } from '../../lib/nginx';
import { createKey, hashKey, type RegisteredConsumer } from '../../lib/registry/document';
import { startMockClaude, type MockClaude, type MockClaudeOptions } from '../../local/mock-claude/server';
import { NginxProcess } from '../../local/nginx-process';
import { createAuthority, issueLeaf, type Authority } from '../../local/pki';
import { freePort } from '../../local/ports';
import { writeJsonState } from '../../local/state-file';
import { startValkey, valkeyVariables, type ValkeyProcess } from '../../local/valkey-process';
import { LineReader } from './support/line-reader';
import { checkLogs } from './support/logs';
import { startOthers, type OtherUpstream } from './support/other-upstreams';

/** What a test asks of a gateway. */
export interface GatewayOptions {
  /** Laid over the environment; `upstreams` is filled with the mock unless given. */
  readonly config?: EnvironmentInput;
  readonly consumers?: readonly Omit<RegisteredConsumer, 'keys'>[];
  readonly mock?: MockClaudeOptions;
  /** Changes to the first upstream, the mock. */
  readonly first?: Partial<NonNullable<EnvironmentInput['upstreams']>[number]>;
  /** Upstreams after the first, each with a mock of its own. @default none */
  readonly others?: readonly OtherUpstream[];
  /** Changes to where things are, such as other DNS servers. */
  readonly placement?: Partial<Placement>;
  /** The Valkey that it shares with others; `true` starts one of its own. @default none */
  readonly valkey?: ValkeyProcess | ValkeyTarget | true;
  /** Another gateway, whose mock, registry and credentials this one shares: a second node. @default none */
  readonly beside?: TestGateway;
  /** @default 2, as on the smallest machine */
  readonly workers?: number;
  /** Files that are to be served instead of good ones. */
  readonly certificate?: { readonly chain: string; readonly key: string };
  /** Whether to wait for /readyz. @default true */
  readonly waitReady?: boolean;
}

/** Where a Valkey is, where that is not simply a process of ours. */
export interface ValkeyTarget {
  readonly host: string;
  readonly port: number;
  readonly user?: string;
  readonly password?: string;
  /** @default no TLS */
  readonly caFile?: string;
}

/** A running gateway in front of a running mock, and everything a test wants to know of both. */
export interface TestGateway {
  readonly baseUrl: string;
  readonly tlsUrl: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** The key of the first consumer. */
  readonly key: string;
  /** Keys by consumer id. */
  readonly keys: Readonly<Record<string, string>>;
  readonly mock: MockClaude;
  /** The mocks of the upstreams after the first, by id. */
  readonly others: Readonly<Record<string, MockClaude>>;
  /** The Valkey of its own, where it was started with `valkey: true`. */
  readonly valkey: ValkeyProcess | undefined;
  readonly nginx: NginxProcess;
  readonly environment: Environment;
  readonly dir: string;
  readonly files: { registry: string; credentials: string; chain: string; key: string; ca: string };
  readonly authority: Authority;
  /** The lines of nginx's stdout, parsed. */
  lines(): Record<string, unknown>[];
  /** nginx's stderr. */
  errorLog(): string;
  /** Waits until a line matches. */
  waitForLine(
    matches: (line: Record<string, unknown>) => boolean,
    timeoutMs?: number,
  ): Promise<Record<string, unknown>>;
  /** Waits until nginx's stderr holds a text: what one worker did shows to others before it has said so. */
  waitForLog(text: string | RegExp): Promise<true>;
  /** A text that must be found in no log; checked when the gateway stops. */
  secret(text: string): string;
  /** Resolves an environment as this gateway's, with other settings. */
  resolve(config: EnvironmentInput): Environment;
  /** Stops everything and holds every line and log against the catalogue and the secrets. */
  stop(): Promise<void>;
}

/** The credential that the mock accepts and the gateway injects. */
export const UPSTREAM_SECRET = 'sk-ant-mock-upstream-credential-0123456789';
/** A host name for the mock: what the certificate holds and the gateway must send as `Host` and SNI. */
export const UPSTREAM_HOST = 'api.claude.test';

/** How long what comes soon is waited for, in ms: long enough for a machine that does much else, and nothing asserts it. */
const PATIENCE_MS = 15_000;

let sharedAuthority: Promise<Authority> | undefined;

/** One authority for all certificates of a test file. */
export function authority(): Promise<Authority> {
  return (sharedAuthority ??= createAuthority());
}

/** Starts a mock with TLS and a gateway in front of it. */
export async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'causeway-test-'));
  const ca = await authority();
  const upstreamLeaf = await issueLeaf({ hosts: [UPSTREAM_HOST, 'localhost', '127.0.0.1'], authority: ca });
  const { beside } = options;
  const mock =
    beside?.mock ??
    (await startMockClaude({
      requireKeys: [UPSTREAM_SECRET],
      tls: { cert: upstreamLeaf.chain, key: upstreamLeaf.key },
      ...options.mock,
    }));
  const ownValkey =
    options.valkey === true
      ? await startValkey({ dir: join(dir, 'valkey'), password: randomBytes(16).toString('hex') })
      : undefined;
  const valkey = options.valkey === true ? ownValkey : options.valkey;
  const files = {
    registry: beside?.files.registry ?? join(dir, 'registry.json'),
    credentials: beside?.files.credentials ?? join(dir, 'credentials.json'),
    chain: join(dir, 'chain.pem'),
    key: join(dir, 'key.pem'),
    ca: join(dir, 'ca.pem'),
  };
  const others = await startOthers(options.others ?? [], ca, files.ca);
  const keys: Record<string, string> = { ...beside?.keys };
  if (beside === undefined) {
    const consumers = (options.consumers ?? [{ id: 'team-a' }]).map((consumer) => {
      const key = createKey();
      keys[consumer.id] = key;
      return {
        rate: 100_000,
        burst: 100_000,
        concurrency: 10_000,
        maxStreams: 10_000,
        ...consumer,
        keys: [{ id: 'k1', sha256: hashKey(key) }],
      };
    });
    writeJsonState(files.registry, { version: 1, consumers });
    const credentials = { mock: UPSTREAM_SECRET, ...others.secrets };
    writeJsonState(files.credentials, { version: 1, credentials });
  }
  writeFileSync(files.ca, ca.root);
  const own = options.certificate ?? (await issueLeaf({ hosts: ['localhost', '127.0.0.1'], authority: ca }));
  writeFileSync(files.chain, own.chain);
  writeFileSync(files.key, own.key);

  const resolve = (config: EnvironmentInput): Environment =>
    resolveEnvironment(
      {
        common: {
          upstreams: [
            {
              id: 'mock',
              host: UPSTREAM_HOST,
              port: mock.port,
              addresses: [mock.host],
              caFile: files.ca,
              ...options.first,
            },
            ...others.upstreams,
          ],
          auth: { pollSeconds: 1 },
          tls: { caFile: files.ca, reloadSeconds: 1 },
          observability: { gaugeSeconds: 1 },
          // A busy machine must not make a Valkey that is well look like one that hangs.
          valkey: { timeoutMs: 1000 },
        },
        environments: { test: config },
      },
      'test',
    );
  const environment = resolve(options.config ?? {});
  const [httpPort, httpsPort] = [await freePort(), await freePort()];
  const root = process.getuid?.() === 0;
  const placement: Placement = {
    prefix: join(dir, 'conf'),
    runtimeDirectory: join(dir, 'run'),
    luaDirectory: join(__dirname, '..', '..', 'gateway', 'lua'),
    httpListen: [`127.0.0.1:${httpPort}`],
    httpsListen: [`127.0.0.1:${httpsPort}`],
    certificate: { chainFile: files.chain, keyFile: files.key },
    registrySource: files.registry,
    credentialsSource: files.credentials,
    workers: options.workers ?? 2,
    region: 'test-region-1',
    // Tests wait for lines.
    logFlushMs: 20,
    ...(root ? { user: 'root' } : {}),
    ...(valkey === undefined ? {} : { valkey: { tls: valkey.caFile !== undefined, caFile: valkey.caFile } }),
    ...options.placement,
  };
  const logs = { stdout: join(dir, 'log', 'stdout.jsonl'), stderr: join(dir, 'log', 'stderr.log') };
  mkdirSync(join(dir, 'log'));
  const close = async (): Promise<void> => {
    if (beside === undefined) await mock.close();
    await others.close();
    await ownValkey?.stop();
  };
  let nginx: NginxProcess;
  try {
    const variables = valkey === undefined ? {} : variablesOf(valkey);
    nginx = await NginxProcess.start({ environment, placement, logs, variables });
  } catch (error) {
    await close();
    throw error;
  }
  const secrets: string[] = [UPSTREAM_SECRET, ...Object.values(others.secrets), ...Object.values(keys)];
  if (valkey?.password !== undefined) secrets.push(valkey.password);
  const reader = new LineReader(logs.stdout);
  const errorLog = (): string => (existsSync(logs.stderr) ? readFileSync(logs.stderr, 'utf8') : '');
  const gateway: TestGateway = {
    baseUrl: `http://127.0.0.1:${httpPort}`,
    tlsUrl: `https://127.0.0.1:${httpsPort}`,
    httpPort,
    httpsPort,
    key: Object.values(keys)[0] ?? '',
    keys,
    mock,
    others: others.mocks,
    valkey: ownValkey,
    nginx,
    environment,
    dir,
    files,
    authority: ca,
    lines: () => reader.lines(),
    errorLog,
    waitForLine: (matches, timeoutMs = PATIENCE_MS) => eventually(() => reader.lines().find(matches), timeoutMs),
    waitForLog: async (text) => {
      const found = (): boolean => (typeof text === 'string' ? errorLog().includes(text) : text.test(errorLog()));
      try {
        return await eventually(() => (found() ? true : undefined));
      } catch {
        throw new Error(`${String(text)} is not in the log: ${errorLog()}`);
      }
    },
    secret: (text) => {
      secrets.push(text);
      return text;
    },
    resolve,
    stop: async () => {
      await nginx.stop(5000);
      await close();
      const [stdout, stderr] = [readFileSync(logs.stdout, 'utf8').split('\n').filter(Boolean), errorLog()];
      rmSync(dir, { recursive: true, force: true });
      checkLogs(stdout, stderr, secrets);
    },
  };
  if (options.waitReady !== false) await waitReady(gateway);
  return gateway;
}

/** Several nodes of one region: they share the mock, the registry and a Valkey. */
export interface TestNodes {
  readonly nodes: readonly [TestGateway, ...TestGateway[]];
  readonly mock: MockClaude;
  readonly valkey: ValkeyProcess;
  /** Keys by consumer id. */
  readonly keys: Readonly<Record<string, string>>;
  /** Stops all of them, and holds their lines and logs against the catalogue and the secrets. */
  stop(): Promise<void>;
}

/** Starts as many nodes, with a Valkey of their own. */
export async function startNodes(count: number, options: Omit<GatewayOptions, 'valkey' | 'beside'> = {}) {
  const first = await startGateway({ ...options, valkey: true });
  const { valkey, mock, keys } = first;
  if (valkey === undefined) throw new Error('there is no Valkey');
  const others: TestGateway[] = [];
  const stop = async (): Promise<void> => {
    // All of them, whatever one finds in its logs.
    const ends = await Promise.allSettled(others.map((node) => node.stop()));
    ends.push(...(await Promise.allSettled([first.stop()])));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  };
  try {
    while (others.length < count - 1) others.push(await startGateway({ ...options, beside: first, valkey }));
  } catch (error) {
    await stop();
    throw error;
  }
  const nodes: TestNodes = { nodes: [first, ...others], mock, valkey, keys, stop };
  return nodes;
}

function variablesOf(valkey: ValkeyProcess | ValkeyTarget): Record<string, string> {
  if ('address' in valkey) return valkeyVariables(valkey);
  return {
    CAUSEWAY_VALKEY_HOST: valkey.host,
    CAUSEWAY_VALKEY_PORT: String(valkey.port),
    CAUSEWAY_VALKEY_USER: valkey.user ?? '',
    CAUSEWAY_VALKEY_PASSWORD: valkey.password ?? '',
  };
}

async function waitReady(gateway: TestGateway): Promise<void> {
  try {
    await eventually(
      async () => ((await fetch(`${gateway.baseUrl}/readyz`)).status === 200 ? true : undefined),
      10_000,
    );
  } catch {
    throw new Error(`the gateway is not ready: ${gateway.errorLog()}`);
  }
}

/** Polls until there is a value. Errors count as none, the last one is told when the time is up. */
export async function eventually<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(
        `nothing came within ${timeoutMs} ms${last === undefined ? '' : `: ${last instanceof Error ? last.message : JSON.stringify(last)}`}`,
      );
    }
    await sleep(25);
  }
}

/** Waits, in milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
