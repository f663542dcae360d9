import { CfnOutput, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as appconfig from 'aws-cdk-lib/aws-appconfig';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { registryRollout } from '../config/aws-limits';
import { appConfigNames } from '../gateway-image';
import type { CredentialsDocument } from '../registry/document';
import { INITIAL_REGISTRY, REGISTRY_SCHEMA } from './registry-schema';

/** Credentials before an operator has put any in. */
const EMPTY_CREDENTIALS: CredentialsDocument = { version: 1, credentials: {} };

export interface AppConfigProps {
  readonly environment: Environment;
  readonly region: Region;
  /** Alarms that take a version back while it is rolled out, and for a minute after. */
  readonly rollbackAlarms: readonly cloudwatch.IAlarm[];
}

/**
 * What a running gateway reads anew: the consumer registry, and the upstream credentials out of Secrets Manager. Both
 * reach the tasks through the AppConfig agent, without a new deployment of tasks.
 */
export class AppConfig extends Construct {
  /** How often the agent of a task asks for a new version. */
  readonly agentPollSeconds: number;
  /** Upstream credentials by name. Filled in after the first deploy (docs/deploy.md), and never by a template. */
  readonly credentials: secretsmanager.ISecret | undefined;
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
        rollout.minutes === 0
          ? appconfig.RolloutStrategy.ALL_AT_ONCE
          : appconfig.RolloutStrategy.LINEAR_50_PERCENT_EVERY_30_SECONDS,
    });

    const registry = new appconfig.HostedConfiguration(this, 'Registry', {
      application,
      name: names.registry,
      description: 'Consumers: ids, SHA-256 of their keys, limits and policies',
      content: appconfig.ConfigurationContent.fromInlineJson(INITIAL_REGISTRY),
      validators: [appconfig.JsonSchemaValidator.fromInline(JSON.stringify(REGISTRY_SCHEMA))],
      deploymentStrategy,
      deployTo: [this.environment],
      // The list of who may in is not for a template to delete.
      deletionProtectionCheck: appconfig.DeletionProtectionCheck.APPLY,
    });
    this.profileIds.push(registry.configurationProfileId);

    // In passthrough each client brings its own.
    this.credentials = props.environment.auth.mode === 'keys' ? this.createCredentials() : undefined;
    if (this.credentials !== undefined) {
      const profile = new appconfig.SourcedConfiguration(this, 'Credentials', {
        application,
        name: names.credentials,
        description: 'Upstream credentials, as Secrets Manager holds them',
        location: appconfig.ConfigurationSource.fromSecret(this.credentials),
        deploymentStrategy,
      });
      this.profileIds.push(profile.configurationProfileId);
      new CfnOutput(this, 'CredentialsSecretArn', {
        key: 'CredentialsSecretArn',
        description: 'Put the upstream credentials here, then start an AppConfig deployment of the new version',
        value: this.credentials.secretArn,
      });
      new CfnOutput(this, 'CredentialsProfileId', {
        key: 'CredentialsProfileId',
        value: profile.configurationProfileId,
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

  private createCredentials(): secretsmanager.ISecret {
    const secret = new secretsmanager.Secret(this, 'UpstreamCredentials', {
      description: 'Upstream credentials: {"version":1,"credentials":{"<name>":"<key>"}}',
      // The form to fill in. Secrets Manager insists on generating something; gateways refuse the document with it inside.
      generateSecretString: { secretStringTemplate: JSON.stringify(EMPTY_CREDENTIALS), generateStringKey: 'unset' },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Keys of the Claude API are made in its console: no Lambda could rotate them. Replacing one is an AppConfig deployment.',
    });
    return secret as secretsmanager.ISecret;
  }
}
