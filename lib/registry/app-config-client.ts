import {
  AppConfigClient,
  CreateHostedConfigurationVersionCommand,
  GetDeploymentCommand,
  GetHostedConfigurationVersionCommand,
  paginateListApplications,
  paginateListConfigurationProfiles,
  paginateListDeployments,
  paginateListDeploymentStrategies,
  paginateListEnvironments,
  paginateListHostedConfigurationVersions,
  StartDeploymentCommand,
  type DeploymentState,
  type HostedConfigurationVersionSummary,
} from '@aws-sdk/client-appconfig';
import { RegistryError } from './errors';

/** Names under which the CDK app makes them (lib/gateway-image.ts). */
export interface AppConfigNames {
  readonly application: string;
  readonly environment: string;
  readonly registry: string;
}

/** Ids of what the names stand for. */
interface Ids {
  readonly applicationId: string;
  readonly environmentId: string;
  readonly profileId: string;
  readonly strategyId: string;
}

/** A deployment of a version to the gateways of a region. */
export interface Deployment {
  readonly number: number;
  /** Whether it is one of the registry; others of the environment get in its way nevertheless. */
  readonly ofRegistry: boolean;
  readonly version: number;
  readonly state: DeploymentState | undefined;
  readonly percent: number;
  /** How long it takes by its strategy, in minutes. */
  readonly minutes: number;
}

/** Two of AppConfig's refusals mean that somebody else was first. */
export class ConflictError extends Error {}

/** The registry's AppConfig of one region: names in place of ids, one message in place of an exception. */
export class RegionalAppConfig {
  private found: Promise<Ids> | undefined;

  constructor(
    readonly region: string,
    private readonly names: AppConfigNames,
    private readonly client: AppConfigClient,
  ) {}

  /** All versions, oldest first. */
  async versions(): Promise<readonly HostedConfigurationVersionSummary[]> {
    const { applicationId: ApplicationId, profileId: ConfigurationProfileId } = await this.ids();
    return this.ask(async () => {
      const pages = paginateListHostedConfigurationVersions(
        { client: this.client },
        { ApplicationId, ConfigurationProfileId },
      );
      const items = await collect(pages, ({ Items }) => Items);
      return items.sort((one, other) => (one.VersionNumber ?? 0) - (other.VersionNumber ?? 0));
    });
  }

  async content(version: number): Promise<string> {
    const { applicationId: ApplicationId, profileId: ConfigurationProfileId } = await this.ids();
    return this.ask(async () => {
      const { Content } = await this.client.send(
        new GetHostedConfigurationVersionCommand({ ApplicationId, ConfigurationProfileId, VersionNumber: version }),
      );
      return Buffer.from(Content ?? []).toString('utf8');
    });
  }

  /**
   * Writes the version after `latest`.
   *
   * @throws ConflictError where `latest` is the latest no more
   */
  async create(content: string, latest: number, description: string): Promise<number> {
    const { applicationId: ApplicationId, profileId: ConfigurationProfileId } = await this.ids();
    return this.ask(async () => {
      const { VersionNumber } = await this.client.send(
        new CreateHostedConfigurationVersionCommand({
          ApplicationId,
          ConfigurationProfileId,
          Content: Buffer.from(content, 'utf8'),
          ContentType: 'application/json',
          LatestVersionNumber: latest,
          Description: description,
        }),
      );
      return VersionNumber ?? latest + 1;
    });
  }

  /** The deployments of the environment, newest first. */
  async deployments(): Promise<readonly Deployment[]> {
    const { applicationId: ApplicationId, environmentId: EnvironmentId, profileId } = await this.ids();
    return this.ask(async () => {
      // Newest first by AppConfig's own order: one page holds all that can matter.
      const pages = paginateListDeployments({ client: this.client, pageSize: 50 }, { ApplicationId, EnvironmentId });
      const page = await pages.next();
      const items = page.done === true ? [] : (page.value.Items ?? []);
      return items
        .map((item) => ({
          number: item.DeploymentNumber ?? 0,
          ofRegistry:
            item.ConfigurationProfileId === undefined
              ? item.ConfigurationName === this.names.registry
              : item.ConfigurationProfileId === profileId,
          version: Number(item.ConfigurationVersion),
          state: item.State,
          percent: item.PercentageComplete ?? 0,
          minutes: (item.DeploymentDurationInMinutes ?? 0) + (item.FinalBakeTimeInMinutes ?? 0),
        }))
        .sort((one, other) => other.number - one.number);
    });
  }

  /** What happened last in a deployment, in AppConfig's words. */
  async lastEvent(deployment: number): Promise<string> {
    const { applicationId: ApplicationId, environmentId: EnvironmentId } = await this.ids();
    return this.ask(async () => {
      const { EventLog } = await this.client.send(
        new GetDeploymentCommand({ ApplicationId, EnvironmentId, DeploymentNumber: deployment }),
      );
      return EventLog?.find(({ Description }) => Description !== undefined)?.Description ?? 'no reason given';
    });
  }

  /**
   * Starts a deployment with the environment's strategy.
   *
   * @throws ConflictError while another one is running
   */
  async deploy(version: number, description: string): Promise<number> {
    const ids = await this.ids();
    return this.ask(async () => {
      const { DeploymentNumber } = await this.client.send(
        new StartDeploymentCommand({
          ApplicationId: ids.applicationId,
          EnvironmentId: ids.environmentId,
          ConfigurationProfileId: ids.profileId,
          DeploymentStrategyId: ids.strategyId,
          ConfigurationVersion: String(version),
          Description: description,
        }),
      );
      return DeploymentNumber ?? 0;
    });
  }

  private ids(): Promise<Ids> {
    this.found ??= this.ask(() => this.find());
    return this.found;
  }

  private async find(): Promise<Ids> {
    const { client, names } = this;
    const applications = await collect(paginateListApplications({ client }, {}), ({ Items }) => Items);
    const ApplicationId = this.idOf('application', names.application, applications);
    const [environments, profiles, strategies] = await Promise.all([
      collect(paginateListEnvironments({ client }, { ApplicationId }), ({ Items }) => Items),
      collect(paginateListConfigurationProfiles({ client }, { ApplicationId }), ({ Items }) => Items),
      collect(paginateListDeploymentStrategies({ client }, {}), ({ Items }) => Items),
    ]);
    return {
      applicationId: ApplicationId,
      environmentId: this.idOf('environment', names.environment, environments),
      profileId: this.idOf('configuration profile', names.registry, profiles),
      strategyId: this.idOf('deployment strategy', names.application, strategies),
    };
  }

  private idOf(
    kind: string,
    name: string,
    items: readonly { Name?: string | undefined; Id?: string | undefined }[],
  ): string {
    const [found, ...others] = items.filter((item) => item.Name === name);
    if (found?.Id !== undefined && others.length === 0) return found.Id;
    throw new RegistryError(
      others.length > 0
        ? `${this.region}: there are ${others.length + 1} of the AppConfig ${kind} "${name}": remove those that are none of ours`
        : `${this.region}: there is no AppConfig ${kind} "${name}" in this account: deploy the environment there first, or sign in to the account that holds it`,
    );
  }

  private async ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      if (error instanceof RegistryError) throw error;
      const { name, message, code = name } = error as Error & { readonly code?: string };
      if (name === 'ConflictException') throw new ConflictError(message);
      throw new RegistryError(`${this.region}: AppConfig: ${message} (${code})${wayOut(`${code} ${message}`)}`, {
        cause: error,
      });
    }
  }
}

async function collect<Page, Item>(
  pages: AsyncIterable<Page>,
  items: (page: Page) => readonly Item[] | undefined,
): Promise<Item[]> {
  const all: Item[] = [];
  for await (const page of pages) all.push(...(items(page) ?? []));
  return all;
}

function wayOut(problem: string): string {
  if (/Credentials|ExpiredToken|InvalidToken|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature/.test(problem)) {
    return ': sign in to AWS (such as `aws sso login`), or set AWS_PROFILE';
  }
  if (/AccessDenied/.test(problem)) return ': docs/consumers.md lists the permissions that this needs';
  if (problem.startsWith('PayloadTooLargeException')) return ': revoke consumers or keys that are not used any more';
  if (/Timeout|ECONN|ENOTFOUND|EAI_AGAIN|Network/.test(problem)) {
    return ': check the network; --region leaves out a region that is down';
  }
  return '';
}
