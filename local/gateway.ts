import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, watchFile, unwatchFile } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import { ConfigError, loadConfig, resolveEnvironment, type Environment } from '../lib/config';
import { defaultFetchSocket, MOST_SOCKET_PATH_BYTES, type Placement } from '../lib/nginx';
import type { CredentialsDocument } from '../lib/registry/document';
import type { StartArguments } from './arguments';
import { credentialsFrom } from './credentials';
import { ensureDemoConsumer } from './demo-consumer';
import { withLock } from './lock';
import { startMockClaude, type MockClaude } from './mock-claude/server';
import { NginxProcess, reasonOf } from './nginx-process';
import { checkOwnCertificate } from './own-certificate';
import { ensureLocalPki, type LocalPki } from './pki';
import { assertPortFree } from './ports';
import { writeJsonState } from './state-file';
import { UserError } from './user-error';
import { startValkey, valkeyVariables, type ValkeyProcess } from './valkey-process';

/** What the local gateway is told besides its arguments. */
export interface LocalOptions {
  readonly args: StartArguments;
  /** Where state is kept, shared by all local gateways of a checkout. */
  readonly stateDirectory: string;
  /** Address of both listeners. */
  readonly listenAddress: string;
  readonly variables: NodeJS.ProcessEnv;
  /** Tells the user a line. */
  readonly say: (line: string) => void;
}

/** How long nginx may take until /readyz is green, in ms. */
const READY_TIMEOUT_MS = 15_000;
const CONFIG_POLL_MS = 1000;

/** The gateway on this machine: the mock Claude API (unless the real one is asked for), Valkey and nginx. */
export class LocalGateway {
  private readonly cleanups: (() => Promise<void> | void)[] = [];
  private readonly runDirectory: string;
  private nginx: NginxProcess | undefined;
  private mock: MockClaude | undefined;
  private valkey: ValkeyProcess | undefined;
  private pki: LocalPki | undefined;
  private environment: Environment | undefined;
  private fetchSocket: string | undefined;
  private demoKey = '';
  private takingOver: Promise<void> = Promise.resolve();

  constructor(private readonly options: LocalOptions) {
    this.runDirectory = join(resolve(options.stateDirectory), `run-${options.args.port}`);
  }

  /** A key that works; none where clients bring their own credential of an upstream that is not the mock. */
  get key(): string | undefined {
    return this.mock === undefined && this.environment?.auth.mode === 'passthrough' ? undefined : this.demoKey;
  }

  /** One JSON line a request. */
  get logFile(): string {
    return join(this.runDirectory, 'log', 'gateway.jsonl');
  }

  /** The authority of the served certificate; none where that is the operator's own. */
  get caFile(): string | undefined {
    return this.options.args.certificate === undefined ? this.pki?.caFile : undefined;
  }

  /**
   * Starts everything and waits until it is ready.
   *
   * @throws UserError or ConfigError with one clear message; nothing is left running then.
   */
  async start(): Promise<void> {
    try {
      await this.startAll();
    } catch (error) {
      await this.stop(0);
      throw error;
    }
  }

  private async startAll(): Promise<void> {
    const { args, listenAddress, stateDirectory } = this.options;
    // All that can be refused is refused before anything starts.
    const declared = this.declared();
    const given = this.givenCredentials(declared);
    if (args.certificate !== undefined) checkOwnCertificate(args.certificate);
    await assertPortFree(listenAddress, args.port);
    await assertPortFree(listenAddress, args.tlsPort, '--tls-port');

    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    rmSync(this.runDirectory, { recursive: true, force: true });
    mkdirSync(join(this.runDirectory, 'log'), { recursive: true, mode: 0o700 });
    this.pki = await ensureLocalPki(join(resolve(stateDirectory), 'pki'));
    // Two first starts at once must not make two keys.
    const demo = await withLock(join(resolve(stateDirectory), 'registry.lock'), () =>
      Promise.resolve(ensureDemoConsumer(resolve(stateDirectory))),
    );
    this.demoKey = demo.key;
    const credentials = given ?? (await this.startMock(this.pki, declared));
    writeJsonState(this.credentialsFile, credentials);
    this.cleanups.push(() => {
      rmSync(this.credentialsFile, { force: true });
    });

    // Its port is open to all users of the machine, and what lies in it is not.
    const password = randomBytes(16).toString('hex');
    this.valkey = await startValkey({ dir: join(this.runDirectory, 'valkey'), password });
    this.cleanups.push(() => this.valkey?.stop());

    this.environment = this.localized(declared);
    this.fetchSocket = this.shortSocket();
    this.nginx = await NginxProcess.start({
      environment: this.environment,
      placement: this.placement(this.pki, demo.registry),
      logs: { stdout: this.logFile, stderr: this.errorLog },
      variables: valkeyVariables(this.valkey),
    });
    await this.waitReady();
    this.watchConfig();
  }

  /** The environment as the config has it now. */
  private declared(): Environment {
    const { config: file, environment } = this.options.args;
    return resolveEnvironment(loadConfig(file), environment, [], basename(file));
  }

  /** The credentials of upstreams that are not the mock; none is needed where clients bring their own. */
  private givenCredentials(environment: Environment): CredentialsDocument | undefined {
    if (this.options.args.upstream === 'mock') return undefined;
    if (environment.auth.mode === 'passthrough') return { version: 1, credentials: {} };
    return credentialsFrom(environment, this.options.variables);
  }

  private get credentialsFile(): string {
    return join(this.runDirectory, 'credentials.json');
  }

  /** Where nginx says what troubles it. */
  get errorLog(): string {
    return join(this.runDirectory, 'log', 'nginx-error.log');
  }

  private async startMock(pki: LocalPki, environment: Environment): Promise<CredentialsDocument> {
    const secret = `mock-${randomBytes(16).toString('hex')}`;
    const keys = environment.auth.mode === 'keys' ? { requireKeys: [secret] } : {};
    const mock = await startMockClaude({
      ...keys,
      tls: { cert: readFileSync(pki.mock.certFile, 'utf8'), key: readFileSync(pki.mock.keyFile, 'utf8') },
    });
    this.mock = mock;
    this.cleanups.push(() => mock.close());
    return { version: 1, credentials: { mock: secret } };
  }

  /** The environment that runs here: as declared, but with the mock as its upstream and the local authority trusted. */
  private localized(environment: Environment): Environment {
    const { mock, pki } = this;
    const tls =
      environment.tls.caFile === undefined && pki !== undefined
        ? { ...environment.tls, caFile: pki.caFile }
        : environment.tls;
    if (mock === undefined || pki === undefined) return { ...environment, tls };
    return {
      ...environment,
      tls,
      upstreams: [
        {
          id: 'mock',
          host: 'localhost',
          port: mock.port,
          addresses: [mock.host],
          caFile: pki.caFile,
          basePath: '',
          credentialHeader: 'x-api-key',
          headers: {},
          repeatAfterSent: false,
          takesClientCredential: false,
          keepaliveConnections: 64,
          keepaliveIdleSeconds: 60,
        },
      ],
    };
  }

  /** Where a checkout lies too deep for a socket's path, another place for it, which goes at the stop. */
  private shortSocket(): string | undefined {
    const path = defaultFetchSocket(join(this.runDirectory, 'nginx'));
    if (Buffer.byteLength(path) <= MOST_SOCKET_PATH_BYTES) return undefined;
    const directory = mkdtempSync(join(tmpdir(), 'causeway-'));
    this.cleanups.push(() => {
      rmSync(directory, { recursive: true, force: true });
    });
    return join(directory, 'fetch.sock');
  }

  private placement(pki: LocalPki, registry: string): Placement {
    const { args, listenAddress } = this.options;
    return {
      prefix: join(this.runDirectory, 'conf'),
      runtimeDirectory: join(this.runDirectory, 'nginx'),
      ...(this.fetchSocket === undefined ? {} : { fetchSocket: this.fetchSocket }),
      luaDirectory: join(__dirname, '..', 'gateway', 'lua'),
      httpListen: [`${listenAddress}:${args.port}`],
      httpsListen: [`${listenAddress}:${args.tlsPort}`],
      certificate:
        args.certificate === undefined
          ? { chainFile: pki.gateway.certFile, keyFile: pki.gateway.keyFile }
          : { chainFile: resolve(args.certificate.chainFile), keyFile: resolve(args.certificate.keyFile) },
      registrySource: registry,
      credentialsSource: this.credentialsFile,
      valkey: { tls: false },
      region: 'local',
      // Started by root, nginx would run its workers as nobody, who cannot read this checkout.
      ...(process.getuid?.() === 0 ? { user: 'root' } : {}),
    };
  }

  private async waitReady(): Promise<void> {
    const { args, listenAddress } = this.options;
    const host = listenAddress === '0.0.0.0' ? '127.0.0.1' : listenAddress;
    const end = Date.now() + READY_TIMEOUT_MS;
    const state = { ended: false };
    void this.nginx?.exited.then(() => {
      state.ended = true;
    });
    let missing = 'no answer';
    while (Date.now() < end && !state.ended) {
      try {
        const response = await fetch(`http://${host}:${args.port}/readyz`);
        if (response.status === 200) return;
        missing = await response.text();
      } catch {
        // Not listening yet.
      }
      await new Promise((done) => setTimeout(done, 20));
    }
    const log = readFileSync(this.errorLog, 'utf8');
    throw new UserError(
      state.ended
        ? `nginx does not start: ${reasonOf(log)}`
        : `the gateway does not get ready: ${missing} (its log: ${this.errorLog})`,
    );
  }

  /** Takes an edited config over on the running gateway; a broken one is told and changes nothing. */
  private watchConfig(): void {
    const file = resolve(this.options.args.config);
    const onChange = (): void => {
      // One after the other: two at once would write the same files.
      this.takingOver = this.takingOver
        .then(() => this.takeOver())
        .catch((error: unknown) => {
          const reason = error instanceof Error ? error.message : String(error);
          this.options.say(`${reason}\nthe running configuration serves on`);
        });
    };
    watchFile(file, { interval: CONFIG_POLL_MS }, onChange);
    this.cleanups.push(() => {
      unwatchFile(file, onChange);
    });
  }

  private async takeOver(): Promise<void> {
    const declared = this.declared();
    const environment = this.localized(declared);
    if (JSON.stringify(environment) === JSON.stringify(this.environment)) return;
    if (environment.auth.mode !== this.environment?.auth.mode) {
      throw new UserError('auth.mode has changed, which takes a new start');
    }
    const credentials = this.givenCredentials(declared);
    if (credentials !== undefined) writeJsonState(this.credentialsFile, credentials);
    await this.nginx?.reload(environment);
    this.environment = environment;
    this.options.say(`${this.options.args.config} taken over`);
  }

  /** Settles when nginx has ended. */
  async ended(): Promise<void> {
    await this.nginx?.exited;
  }

  /** Longest time that an open stream is given at a stop, in ms. */
  get graceMs(): number {
    return (this.environment?.timeouts.maxStreamSeconds ?? 0) * 1000;
  }

  /** Cuts what {@link stop} still waits for. */
  cut(): void {
    this.nginx?.cut();
  }

  /** Stops everything: nginx first, so that open streams end whole; after `graceMs` they are cut. */
  async stop(graceMs: number): Promise<void> {
    const { nginx } = this;
    await nginx?.stop(graceMs);
    for (const cleanup of this.cleanups.splice(0).reverse()) await cleanup();
  }
}

/** Whether an error is meant for the user as it stands. */
export function asUserError(error: unknown): unknown {
  return error instanceof ConfigError ? new UserError(error.message, { cause: error }) : error;
}
