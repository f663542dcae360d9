import { CfnOutput, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as appconfig from 'aws-cdk-lib/aws-appconfig';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { registryRollout } from '../config/aws-limits';
import { appConfigNames } from '../gateway-image';
import { registryJsonSchema } from '../registry/schema';
import { CredentialsRollout } from './credentials-rollout';
import { INITIAL_REGISTRY } from './initial-registry';

/**
 * Everywhere at once, and two minutes in which an alarm still takes it back. `RolloutStrategy.ALL_AT_ONCE` watches for ten,
 * and until it is done nothing else can be rolled out, not even the next revocation.
 */
const ALL_AT_ONCE = appconfig.RolloutStrategy.linear({
  growthFactor: 100,
  deploymentDuration: Duration.minutes(0),
  finalBakeTime: Duration.minutes(2),
});

export interface AppConfigProps {
  readonly environment: Environment;
  readonly region: Region;
  /** The upstream credentials. @default - none: in passthrough each client brings its own */
  readonly credentials?: secretsmanager.ISecret | undefined;
  /** Alarms that take a version back while it is rolled out, and shortly after. */
  readonly rollbackAlarms: readonly cloudwatch.IAlarm[];
}

/**
 * What a running gateway reads anew: the consumer registry, and the upstream credentials out of Secrets Manager. Both
 * reach the tasks through the AppConfig agent, without a new deployment of tasks.
 */
export class AppConfig extends Construct {
  /** How often the agent of a task asks for a new version. */
  readonly agentPollSeconds: number;
  private readonly environment: appconfig.Environment;
  private readonly profileIds: string[] = [];

  constructor(scope: Construct, id: string, props: AppConfigProps) {
    super(scope, id);
    const names = appConfigNames(props.environment);
    const rollout = registryRollout(props.environment);
    this.agentPollSeconds = rollout.agentPollSeconds;

    const application = new appconfig.Application(this, 'Application', {
      applicationName: names.application,
      description: `Causeway, environment ${props.environment.name}`,
    });
    this.environment = new appconfig.Environment(this, 'Environment', {
      application,
      environmentName: names.environment,
      monitors: props.rollbackAlarms.map((alarm) => appconfig.Monitor.fromCloudWatchAlarm(alarm)),
    });
    Validations.of(this.environment).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'AppConfig may read the state of alarms; cloudwatch:DescribeAlarms takes no narrower resource.',
    });
    const deploymentStrategy = new appconfig.DeploymentStrategy(this, 'Rollout', {
      deploymentStrategyName: names.application,
      description: `Every task within ${rollout.boundSeconds} s, as auth.revocationSeconds asks`,
      rolloutStrategy:
        rollout.minutes === 0 ? ALL_AT_ONCE : appconfig.RolloutStrategy.LINEAR_50_PERCENT_EVERY_30_SECONDS,
    });

    const registry = new appconfig.HostedConfiguration(this, 'Registry', {
      application,
      name: names.registry,
      description: 'Consumers: ids, SHA-256 of their keys, limits and policies',
      content: appconfig.ConfigurationContent.fromInlineJson(INITIAL_REGISTRY),
      validators: [appconfig.JsonSchemaValidator.fromInline(JSON.stringify(registryJsonSchema()))],
      deploymentStrategy,
      deployTo: [this.environment],
      // The list of who may in is not for a template to delete.
      deletionProtectionCheck: appconfig.DeletionProtectionCheck.APPLY,
    });
    // A profile with versions cannot be deleted. Those that operators have made keep it; the empty first one need not, which
    // the library would retain.
    const first = registry.node.defaultChild;
    if (!(first instanceof appconfig.CfnHostedConfigurationVersion)) throw new Error('a registry without its version');
    first.applyRemovalPolicy(RemovalPolicy.DESTROY, { applyToUpdateReplacePolicy: false });
    this.profileIds.push(registry.configurationProfileId);

    if (props.credentials !== undefined) {
      const profile = new appconfig.SourcedConfiguration(this, 'Credentials', {
        application,
        name: names.credentials,
        description: 'Upstream credentials, as Secrets Manager holds them',
        location: appconfig.ConfigurationSource.fromSecret(props.credentials),
        deploymentStrategy,
      });
      this.profileIds.push(profile.configurationProfileId);
      new CredentialsRollout(this, 'CredentialsRollout', {
        secret: props.credentials,
        applicationId: application.applicationId,
        environmentId: this.environment.environmentId,
        deploymentStrategyId: deploymentStrategy.deploymentStrategyId,
        profileId: profile.configurationProfileId,
        profileName: names.credentials,
      });
    }
    new CfnOutput(this, 'AppConfigApplicationId', { key: 'AppConfigApplicationId', value: application.applicationId });
    new CfnOutput(this, 'AppConfigEnvironmentId', {
      key: 'AppConfigEnvironmentId',
      value: this.environment.environmentId,
    });
    new CfnOutput(this, 'RegistryProfileId', { key: 'RegistryProfileId', value: registry.configurationProfileId });
    new CfnOutput(this, 'RolloutStrategyId', {
      key: 'RolloutStrategyId',
      value: deploymentStrategy.deploymentStrategyId,
    });
  }

  /** Lets the tasks' agent read both documents, and nothing else of AppConfig. */
  grantRead(grantee: iam.IGrantable): void {
    iam.Grant.addToPrincipal({
      grantee,
      actions: ['appconfig:StartConfigurationSession', 'appconfig:GetLatestConfiguration'],
      resourceArns: this.profileIds.map((profileId) => `${this.environment.environmentArn}/configuration/${profileId}`),
    });
  }
}
