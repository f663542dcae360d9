import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { ConflictError, type Deployment, type RegionalAppConfig } from './app-config-client';
import { parseRecord, toDescription, type AuditRecord } from './audit';
import { EMPTY_REGISTRY } from './document';
import { BrokenError, RegistryError } from './errors';
import { checkRegistry, parseRegistry } from './schema';
import type { Change, RegistryStore, StoredRegistry, UpdateMode } from './store';

export interface AppConfigStoreOptions {
  readonly appConfig: RegionalAppConfig;
  /** Tells the user a line while something takes its time. */
  readonly say: (line: string) => void;
  /** Between two looks at a deployment. Milliseconds. @default 3000 */
  readonly pollMs?: number;
  /** What a deployment may take beyond its strategy's own time. Milliseconds. @default 300000 */
  readonly graceMs?: number;
}

/** How often a change is made anew when others come first. */
const ATTEMPTS = 30;

/** States in which a deployment keeps others from starting. */
const RUNNING = new Set<string | undefined>(['VALIDATING', 'DEPLOYING', 'BAKING', 'ROLLING_BACK']);

/** The registry of one region of a deployed environment. Its audit records are the descriptions of its versions. */
export class AppConfigStore implements RegistryStore {
  readonly name: string;
  private readonly appConfig: RegionalAppConfig;
  private readonly pollMs: number;
  private readonly graceMs: number;

  constructor(private readonly options: AppConfigStoreOptions) {
    this.appConfig = options.appConfig;
    this.name = options.appConfig.region;
    this.pollMs = options.pollMs ?? 3000;
    this.graceMs = options.graceMs ?? 300_000;
  }

  async read({ overBroken = false }: UpdateMode = {}): Promise<Required<StoredRegistry>> {
    const version = await this.latestVersion();
    const text = await this.appConfig.content(version);
    try {
      return { version, document: parseRegistry(text, `${this.name}: version ${version} of the registry`) };
    } catch (error) {
      if (overBroken && error instanceof BrokenError) return { version, document: EMPTY_REGISTRY };
      throw error;
    }
  }

  async update(change: Change, mode?: UpdateMode): Promise<StoredRegistry> {
    let written: string | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const before = await this.read(mode);
      // What was written, but whose answer was lost, comes back as a conflict with oneself.
      if (written !== undefined && JSON.stringify(before.document) === written) return before;
      const { document, record } = change(before.document);
      if (isDeepStrictEqual(before.document, document)) return before;
      checkRegistry(document, `${this.name}: the registry as it would be`);
      written = JSON.stringify(document);
      try {
        return { document, version: await this.appConfig.create(written, before.version, toDescription(record)) };
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        await sleep(Math.random() * Math.min(this.pollMs, 100 * (attempt + 1)));
      }
    }
    throw new RegistryError(
      `${this.name}: others changed the registry ${ATTEMPTS} times while this change was being made: try again`,
    );
  }

  async rollOut({ version = 0 }: StoredRegistry): Promise<void> {
    let own: number | undefined;
    let watched: number | undefined;
    let told = '';
    let end = Date.now() + this.graceMs;
    const tell = (line: string): void => {
      if (line !== told) this.options.say(`${this.name}: ${line}`);
      told = line;
    };
    for (;;) {
      const deployments = await this.appConfig.deployments();
      const newest = deployments.find(({ ofRegistry }) => ofRegistry);
      const running = deployments.find(({ state }) => RUNNING.has(state));
      // A later version holds this one's change, for it was made from it.
      if (newest !== undefined && newest.version >= version) {
        if (newest.state === 'COMPLETE') return;
        if (newest.number === own && !RUNNING.has(newest.state)) throw await this.takenBack(newest);
        if (RUNNING.has(newest.state)) tell(progress(newest));
      } else if (running !== undefined) {
        tell(`deployment ${running.number} has to end first`);
      }
      if (running === undefined) {
        try {
          own = await this.appConfig.deploy(await this.latestVersion(), 'the registry as it is now');
          tell(`deployment ${own} started`);
          continue;
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
        }
      } else if (running.number !== watched) {
        watched = running.number;
        end = Date.now() + running.minutes * 60_000 + this.graceMs;
      }
      if (Date.now() > end) throw this.tooLate(running);
      await sleep(this.pollMs);
    }
  }

  async history(): Promise<readonly AuditRecord[]> {
    const versions = await this.appConfig.versions();
    return versions.map(
      ({ Description: text = '', VersionNumber: version = 0 }) =>
        parseRecord(text) ?? { when: '', who: '', what: text === '' ? `version ${version}` : text, changes: [] },
    );
  }

  private async latestVersion(): Promise<number> {
    const version = (await this.appConfig.versions()).at(-1)?.VersionNumber;
    if (version === undefined) {
      throw new RegistryError(`${this.name}: the registry has no version yet: deploy the environment there first`);
    }
    return version;
  }

  private async takenBack(deployment: Deployment): Promise<RegistryError> {
    const reason = await this.appConfig.lastEvent(deployment.number);
    return new RegistryError(
      `${this.name}: AppConfig took version ${deployment.version} back (deployment ${deployment.number}): ${reason}. ` +
        'The gateways go on with the version before; `sync` deploys it again when the cause is mended',
    );
  }

  private tooLate(running: Deployment | undefined): RegistryError {
    return new RegistryError(
      running === undefined
        ? `${this.name}: AppConfig starts no deployment, and none is running: try \`sync\` later`
        : `${this.name}: deployment ${running.number} has not ended (${progress(running)}): the registry is written, and \`sync\` deploys it later`,
    );
  }
}

function progress({ number, version, state, percent }: Deployment): string {
  return `deployment ${number} of version ${version}: ${(state ?? 'unknown').toLowerCase()}, ${percent} %`;
}
