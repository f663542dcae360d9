import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { registryRollout } from '../../lib/config/aws-limits';
import { INITIAL_REGISTRY } from '../../lib/constructs/initial-registry';
import { INITIAL_CREDENTIALS } from '../../lib/constructs/upstream-credentials';
import { registryJsonSchema } from '../../lib/registry/schema';
import { environment, ofType, stackOf, synthesize } from './support/synthesize';

const gateway = (change: EnvironmentInput = {}) => stackOf(synthesize([environment(change)]), 'Gateway');

describe('the consumer registry', () => {
  const stack = gateway();
  const { template } = stack;

  test('is checked by a schema before it is handed to anyone', () => {
    template.hasResourceProperties('AWS::AppConfig::ConfigurationProfile', {
      Name: 'registry',
      LocationUri: 'hosted',
      Validators: [{ Type: 'JSON_SCHEMA', Content: JSON.stringify(registryJsonSchema()) }],
      DeletionProtectionCheck: 'APPLY',
    });
  });

  // Whoever changes this text has CloudFormation roll it out over the registry of every environment that is in use.
  test('starts empty, with a text that never changes', () => {
    expect(INITIAL_REGISTRY).toBe('{"version":1,"consumers":[]}');
    template.hasResourceProperties('AWS::AppConfig::HostedConfigurationVersion', { Content: INITIAL_REGISTRY });
    template.resourceCountIs('AWS::AppConfig::Deployment', 1);
  });

  // AppConfig deletes no profile that has versions: aws/aws-cdk#26804.
  test('does not hold its stack back by the version that it started with', () => {
    template.hasResource('AWS::AppConfig::HostedConfigurationVersion', { DeletionPolicy: 'Delete' });
  });

  test('is taken back when tasks fail or refuse it', () => {
    const monitors = ofType(stack, 'AWS::AppConfig::Environment')[0]?.[1].Properties?.['Monitors'];
    const alarms = ofType(stack, 'AWS::CloudWatch::Alarm').map(([id]) => id);
    const watched = (monitors as { AlarmArn: { 'Fn::GetAtt': [string, string] } }[]).map(
      ({ AlarmArn }) => AlarmArn['Fn::GetAtt'][0],
    );
    expect(watched).toHaveLength(2);
    expect(alarms).toEqual(expect.arrayContaining(watched));
  });

  test('is there before the first task looks for it', () => {
    const service = ofType(stack, 'AWS::ECS::Service')[0]?.[1] as { DependsOn?: string[] } | undefined;
    const deployment = ofType(stack, 'AWS::AppConfig::Deployment')[0]?.[0];
    expect(service?.DependsOn).toContain(deployment);
  });

  test('is read by the agent of each task under the names that are in the image', () => {
    const definition = JSON.stringify(ofType(stack, 'AWS::ECS::TaskDefinition'));
    expect(definition).toContain('/applications/causeway-test/environments/gateway/configurations/registry');
    template.hasResourceProperties('AWS::AppConfig::Application', { Name: 'causeway-test' });
    template.hasResourceProperties('AWS::AppConfig::Environment', { Name: 'gateway' });
  });
});

describe('upstream credentials', () => {
  const stacks = synthesize([environment()]);
  const { template } = stackOf(stacks, 'Gateway');

  test('stand with what outlives the gateway, with a text that never changes', () => {
    expect(INITIAL_CREDENTIALS).toBe('{"version":1,"credentials":{"anthropic":"unset"}}');
    stackOf(stacks, 'Egress').template.hasResource('AWS::SecretsManager::Secret', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: { GenerateSecretString: { SecretStringTemplate: INITIAL_CREDENTIALS } },
    });
  });

  test('reach the tasks through AppConfig, so that they change without a deployment of tasks', () => {
    template.hasResourceProperties('AWS::AppConfig::ConfigurationProfile', {
      Name: 'credentials',
      LocationUri: {
        'Fn::GetStackOutput': Match.objectLike({ OutputName: Match.stringLikeRegexp('UpstreamCredentials') }),
      },
      RetrievalRoleArn: Match.anyValue(),
    });
  });

  test('are rolled out when there is a new version, and one that was taken back is left alone', () => {
    template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)', State: 'ENABLED' });
    const [, machine] = ofType(stackOf(stacks, 'Gateway'), 'AWS::StepFunctions::StateMachine')[0] ?? [];
    const definition = JSON.stringify(machine?.Properties?.['DefinitionString']);
    expect(definition).toContain("'AWSCURRENT' in VersionStages");
    expect(definition).toContain('$deployed[0] = $current');
    expect(definition).not.toContain('GetSecretValue');
  });

  test('are rolled out by a role that can read none of them', () => {
    const policies = ofType(stackOf(stacks, 'Gateway'), 'AWS::IAM::Policy').filter(([id]) =>
      id.includes('StateMachine'),
    );
    const text = JSON.stringify(policies.map(([, { Properties }]) => Properties?.['PolicyDocument']));
    expect([...text.matchAll(/"((?:secretsmanager|appconfig):\w+)"/g)].map(([, action]) => action).sort()).toEqual([
      'appconfig:ListDeployments',
      'appconfig:StartDeployment',
      'secretsmanager:ListSecretVersionIds',
    ]);
    expect(text).not.toContain('"*"');
    expect(text.match(/[^"]*\*/g)).toEqual(['/deployment/*']);
  });

  test('are not held in passthrough: each client brings its own', () => {
    const passthrough = synthesize([environment({ auth: { mode: 'passthrough' } })]);
    for (const stack of passthrough) stack.template.resourceCountIs('AWS::SecretsManager::Secret', 0);
    stackOf(passthrough, 'Gateway').template.resourceCountIs('AWS::AppConfig::ConfigurationProfile', 1);
    stackOf(passthrough, 'Gateway').template.resourceCountIs('AWS::StepFunctions::StateMachine', 0);
  });
});

describe('how fast a revoked key is refused everywhere', () => {
  test.each([
    [300, false, { minutes: 1, agentPollSeconds: 45 }],
    [100, false, { minutes: 1, agentPollSeconds: 38 }],
    [60, false, { minutes: 0, agentPollSeconds: 45 }],
    [20, false, { minutes: 0, agentPollSeconds: 18 }],
    [120, true, { minutes: 0, agentPollSeconds: 45 }],
  ])('%i s (edge: %s)', (revocationSeconds, edge, expected) => {
    const resolved = environment({
      auth: { revocationSeconds },
      edge: edge ? { enabled: true, hostname: 'models.example.com' } : {},
    });
    const rollout = registryRollout(resolved);
    expect(rollout).toMatchObject(expected);
    expect(rollout.boundSeconds + (edge ? resolved.cache.ttl.edgeSeconds : 0)).toBeLessThanOrEqual(revocationSeconds);
    const stack = stackOf(synthesize([resolved]), 'Gateway');
    expect(JSON.stringify(ofType(stack, 'AWS::ECS::TaskDefinition'))).toContain(
      `{"Name":"POLL_INTERVAL","Value":"${rollout.agentPollSeconds}"}`,
    );
    stack.template.hasResourceProperties('AWS::AppConfig::DeploymentStrategy', {
      DeploymentDurationInMinutes: rollout.minutes,
    });
    // For so long no other version can be rolled out, and a revocation that comes second waits.
    const [strategy] = ofType(stack, 'AWS::AppConfig::DeploymentStrategy').map(([, { Properties }]) => Properties);
    expect(rollout.minutes + Number(strategy?.['FinalBakeTimeInMinutes'])).toBe(2);
  });

  test('faster than AppConfig can is refused', () => {
    expect(() => environment({ auth: { revocationSeconds: 10 } })).toThrow(/auth\.revocationSeconds: is 10; .* 17 /);
  });
});
