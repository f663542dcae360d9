import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { environment, ofType, stackOf, synthesize, type SynthesizedStack } from './support/synthesize';

const gateway = (change: EnvironmentInput = {}) => stackOf(synthesize([environment(change)]), 'Gateway');

interface Container {
  readonly Name: string;
  readonly Image: unknown;
  readonly User?: string;
  readonly Essential?: boolean;
  readonly StopTimeout?: number;
  readonly ReadonlyRootFilesystem?: boolean;
  readonly Environment?: readonly { readonly Name: string; readonly Value: unknown }[];
  readonly Secrets?: readonly { readonly Name: string; readonly ValueFrom: unknown }[];
  readonly LinuxParameters?: unknown;
  readonly LogConfiguration?: { readonly LogDriver: string; readonly Options: Readonly<Record<string, unknown>> };
  readonly MountPoints?: readonly unknown[];
  readonly PortMappings?: readonly { readonly ContainerPort: number }[];
}

const containers = (stack: SynthesizedStack): Record<string, Container> =>
  Object.fromEntries(
    ofType(stack, 'AWS::ECS::TaskDefinition')
      .flatMap(([, { Properties }]) => Properties?.['ContainerDefinitions'] as Container[])
      .map((container) => [container.Name, container]),
  );

describe.each(['fargate', 'ec2'] as const)('%s', (type) => {
  const stack = gateway({ compute: { type } });
  const { template } = stack;
  const { gateway: nginx, 'appconfig-agent': agent } = containers(stack);

  test('no container runs as root, writes to its image or holds a capability', () => {
    for (const container of [nginx, agent]) {
      expect(container?.User).toMatch(/^[1-9]\d*:[1-9]\d*$/);
      expect(container).toMatchObject({
        ReadonlyRootFilesystem: true,
        LinuxParameters: { Capabilities: { Drop: ['ALL'] } },
      });
    }
  });

  test('only nginx is reachable, and only by TLS', () => {
    expect(nginx?.PortMappings?.map(({ ContainerPort }) => ContainerPort)).toEqual([8443]);
    expect(agent?.PortMappings ?? []).toEqual([]);
    expect(agent?.Environment).toContainEqual({ Name: 'HTTP_HOST', Value: '127.0.0.1' });
  });

  test('the longest time to stop, after the drain', () => {
    expect(nginx?.StopTimeout).toBe(120);
  });

  test('logs and metrics go to CloudWatch Logs, and never make a request wait', () => {
    expect(nginx?.LogConfiguration).toMatchObject({ LogDriver: 'awslogs', Options: { mode: 'non-blocking' } });
    template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  });

  test('an agent that dies takes no task with it', () => {
    expect(agent).toMatchObject({ Essential: false, RestartPolicy: { Enabled: true } });
  });

  test('a deployment that fails, or makes the alarm ring, is taken back', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      DeploymentConfiguration: {
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
        Alarms: { Enable: true, Rollback: true, AlarmNames: [Match.anyValue()] },
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
      },
      AvailabilityZoneRebalancing: 'ENABLED',
      EnableExecuteCommand: false,
      DesiredCount: Match.absent(),
    });
  });

  test('tasks are in private subnets, without public addresses', () => {
    const network = JSON.stringify(ofType(stack, 'AWS::ECS::Service')[0]?.[1].Properties?.['NetworkConfiguration']);
    expect(network).toContain('PrivateSubnet');
    expect(network).not.toContain('PublicSubnet');
    expect(network).not.toContain('"AssignPublicIp":"ENABLED"');
  });

  test('CPU is published every 20 s', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      Monitoring: { MetricConfigurations: [{ MetricNames: ['CPUUtilization'], ResolutionSeconds: 20 }] },
    });
  });
});

test('Fargate writes to its ephemeral volume alone', () => {
  const { gateway: nginx } = containers(gateway());
  expect(nginx?.MountPoints).toEqual([{ ContainerPath: '/run/causeway', ReadOnly: false, SourceVolume: 'runtime' }]);
});

describe('instances', () => {
  const stack = gateway({ compute: { type: 'ec2', instanceType: 'c7i.large', maxTasks: 30 } });

  test('write to memory', () => {
    expect(containers(stack)['gateway']?.LinuxParameters).toMatchObject({
      Tmpfs: [{ ContainerPath: '/run/causeway', Size: 256 }],
    });
  });

  test('have IMDSv2 only, encrypted volumes, no key and no way in', () => {
    stack.template.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: {
        InstanceType: 'c7i.large',
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [{ Ebs: { Encrypted: true, VolumeType: 'gp3' } }],
        KeyName: Match.absent(),
      },
    });
    stack.template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      GroupDescription: Match.stringLikeRegexp('^Instances'),
      SecurityGroupIngress: Match.absent(),
    });
  });

  test('are started and drained by ECS, spread over AZs, and renewed', () => {
    stack.template.hasResourceProperties('AWS::ECS::CapacityProvider', {
      AutoScalingGroupProvider: { ManagedDraining: 'ENABLED', ManagedScaling: { Status: 'ENABLED' } },
    });
    stack.template.hasResourceProperties('AWS::ECS::Service', {
      CapacityProviderStrategy: [Match.objectLike({ Weight: 1 })],
      PlacementStrategies: [
        { Type: 'spread', Field: 'attribute:ecs.availability-zone' },
        { Type: 'spread', Field: 'instanceId' },
      ],
    });
    const [association] = ofType(stack, 'AWS::ECS::ClusterCapacityProviderAssociations').map(([id]) => id);
    stack.template.hasResource('AWS::ECS::Service', { DependsOn: Match.arrayWith([association]) });
    stack.template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      MaxSize: '30',
      MaxInstanceLifetime: 14 * 24 * 3600,
    });
  });
});

describe('the image', () => {
  test('is built, and comes from the account’s own registry', () => {
    const { gateway: nginx, 'appconfig-agent': agent } = containers(gateway());
    for (const container of [nginx, agent])
      expect(JSON.stringify(container?.Image)).toContain('.dkr.ecr.eu-central-1.');
  });

  test('of ECR that is given may be pulled', () => {
    const stack = gateway({ compute: { imageUri: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/gateway:1.2' } });
    expect(JSON.stringify(containers(stack)['gateway']?.Image)).toContain('/gateway:1.2');
    stack.template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: Match.arrayWith(['ecr:BatchGetImage']),
            Resource: 'arn:aws:ecr:eu-central-1:123456789012:repository/gateway',
          }),
        ]),
      },
    });
  });

  test('of anywhere else is taken as it is named', () => {
    const stack = gateway({ compute: { imageUri: 'registry.example.com/gateway@sha256:0123' } });
    expect(containers(stack)['gateway']?.Image).toBe('registry.example.com/gateway@sha256:0123');
  });
});

test('Valkey’s password reaches the task by reference', () => {
  const { gateway: nginx } = containers(gateway({ valkey: { mode: 'serverless' } }));
  expect(nginx?.Environment?.map(({ Name }) => Name)).toEqual([
    'CAUSEWAY_VALKEY_HOST',
    'CAUSEWAY_VALKEY_PORT',
    'CAUSEWAY_VALKEY_USER',
  ]);
  expect(nginx?.Secrets).toEqual([
    { Name: 'CAUSEWAY_VALKEY_PASSWORD', ValueFrom: { Ref: expect.stringMatching(/^ValkeyPassword/) as unknown } },
  ]);
});
