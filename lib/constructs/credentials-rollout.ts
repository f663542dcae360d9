import { Arn, ArnFormat, Duration, Stack, Validations } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';

/** How often a new version of the secret is looked for. */
const LOOK_EVERY = Duration.minutes(1);

export interface CredentialsRolloutProps {
  readonly secret: secretsmanager.ISecret;
  readonly applicationId: string;
  readonly environmentId: string;
  readonly deploymentStrategyId: string;
  /** The profile whose source the secret is. */
  readonly profileId: string;
  /** Its name, as deployments are listed by. */
  readonly profileName: string;
}

/**
 * Rolls a new version of the secret out: AppConfig fetches it, but starts nothing by itself. Looked for by the minute,
 * because events about secrets exist only where an account keeps a CloudTrail. A version that AppConfig has taken back is
 * not tried again. Versions are all that passes here; nothing reads what is in them.
 */
export class CredentialsRollout extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, props: CredentialsRolloutProps) {
    super(scope, id);
    const appConfig = (resource: string): string =>
      Arn.format({ service: 'appconfig', resource, arnFormat: ArnFormat.NO_RESOURCE_NAME }, Stack.of(this));
    const application = `application/${props.applicationId}`;
    const environment = `${application}/environment/${props.environmentId}`;

    const started = appConfig(`${environment}/deployment/*`);

    const current = tasks.CallAwsService.jsonata(this, 'CurrentVersion', {
      service: 'secretsmanager',
      action: 'listSecretVersionIds',
      parameters: { SecretId: props.secret.secretArn },
      iamAction: 'secretsmanager:ListSecretVersionIds',
      iamResources: [props.secret.secretArn],
      assign: { current: "{% $states.result.Versions['AWSCURRENT' in VersionStages].VersionId %}" },
    });
    const deployed = tasks.CallAwsService.jsonata(this, 'DeployedVersions', {
      service: 'appconfig',
      action: 'listDeployments',
      parameters: { ApplicationId: props.applicationId, EnvironmentId: props.environmentId },
      iamAction: 'appconfig:ListDeployments',
      iamResources: [appConfig(application), appConfig(environment)],
      // The newest first, and none at all before the first.
      assign: {
        deployed: `{% [$states.result.Items[ConfigurationName = '${props.profileName}'].ConfigurationVersion] %}`,
      },
    });
    const start = tasks.CallAwsService.jsonata(this, 'StartDeployment', {
      service: 'appconfig',
      action: 'startDeployment',
      parameters: {
        ApplicationId: props.applicationId,
        EnvironmentId: props.environmentId,
        DeploymentStrategyId: props.deploymentStrategyId,
        ConfigurationProfileId: props.profileId,
        ConfigurationVersion: '{% $current %}',
        Description: 'A new version of the secret',
      },
      iamAction: 'appconfig:StartDeployment',
      iamResources: [
        appConfig(application),
        appConfig(environment),
        appConfig(`${application}/configurationprofile/${props.profileId}`),
        appConfig(`deploymentstrategy/${props.deploymentStrategyId}`),
        started,
      ],
    });
    const done = sfn.Pass.jsonata(this, 'Done');
    // Another deployment is under way, of the registry perhaps: the next minute comes.
    start.addCatch(done, { errors: ['AppConfig.ConflictException'] });

    this.stateMachine = new sfn.StateMachine(this, 'StateMachine', {
      comment: 'Rolls out a new version of the upstream credentials',
      stateMachineType: sfn.StateMachineType.EXPRESS,
      timeout: Duration.seconds(30),
      definitionBody: sfn.DefinitionBody.fromChainable(
        current
          .next(deployed)
          .next(
            sfn.Choice.jsonata(this, 'IsNew')
              .when(sfn.Condition.jsonata('{% $deployed[0] = $current %}'), done)
              .otherwise(start.next(done)),
          ),
      ),
    });
    Validations.of(this.stateMachine).acknowledge(
      {
        id: 'AwsSolutions-SF1',
        reason:
          'Failed executions are a metric, and what was rolled out is in AppConfig’s history: a line each minute says nothing more.',
      },
      { id: 'AwsSolutions-SF2', reason: 'Three calls in a row, one a minute: there is nothing to trace.' },
    );
    Validations.of(this.stateMachine.role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::${this.withNames(started)}]`,
      reason: 'A deployment is numbered when it starts: of this one environment, whichever it is.',
    });
    new events.Rule(this, 'Schedule', {
      description: 'Looks for a new version of the upstream credentials',
      schedule: events.Schedule.rate(LOOK_EVERY),
      targets: [new targets.SfnStateMachine(this.stateMachine, { retryAttempts: 0 })],
    });
  }

  /** An ARN as cdk-nag writes it down: what is known at deploy only, by its name. */
  private withNames(arn: string): string {
    const { 'Fn::Join': join } = Stack.of(this).resolve(arn) as { 'Fn::Join': [string, (string | { Ref: string })[]] };
    return join[1].map((part) => (typeof part === 'string' ? part : `<${part.Ref}>`)).join('');
  }
}
