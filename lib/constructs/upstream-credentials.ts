import { CfnOutput, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { CredentialsDocument } from '../registry/document';

/**
 * What the secret holds before an operator has filled it in: the right form, with a key that the upstream refuses. It must
 * stay as it is, to the letter: a changed text makes CloudFormation generate the secret anew, over the keys in use.
 */
export const INITIAL_CREDENTIALS = JSON.stringify({
  version: 1,
  credentials: { anthropic: 'unset' },
} satisfies CredentialsDocument);

/**
 * The upstreams' keys of one region, by name. It stands with what outlives the gateway, so that it can be filled in before
 * the first task looks for it, and is never lost with a stack.
 */
export class UpstreamCredentials extends Construct {
  readonly secret: secretsmanager.ISecret;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const secret = new secretsmanager.Secret(this, 'Secret', {
      description: 'Upstream credentials: {"version":1,"credentials":{"<name>":"<key>"}}',
      // Secrets Manager insists on generating something: a member that nobody reads.
      generateSecretString: { secretStringTemplate: INITIAL_CREDENTIALS, generateStringKey: 'generated' },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Keys of the Claude API are made in its console: no Lambda could rotate them. A replaced one is rolled out by itself.',
    });
    this.secret = secret as secretsmanager.ISecret;
    new CfnOutput(this, 'SecretArn', {
      key: 'CredentialsSecretArn',
      description: 'Put the upstream credentials here; a new version reaches the running tasks by itself',
      value: secret.secretArn,
    });
  }
}
