import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { environment, ofType, stackOf, synthesize } from './support/synthesize';

const egress = (change: EnvironmentInput = {}) => stackOf(synthesize([environment(change)]), 'Egress');

describe('NAT', () => {
  test('perAz: a gateway and an address for each AZ', () => {
    const { template } = egress({ network: { nat: 'perAz', availabilityZones: 3 }, compute: { minTasks: 3 } });
    template.resourceCountIs('AWS::EC2::NatGateway', 3);
    template.resourceCountIs('AWS::EC2::EIP', 3);
  });

  test('single: one for all', () => {
    const { template } = egress({ network: { nat: 'single' } });
    template.resourceCountIs('AWS::EC2::NatGateway', 1);
    template.resourceCountIs('AWS::EC2::EIP', 1);
  });

  test('regional: one gateway, with an address of ours in each AZ', () => {
    const { template } = egress({ network: { nat: 'regional' } });
    template.resourceCountIs('AWS::EC2::EIP', 2);
    template.hasResourceProperties('AWS::EC2::NatGateway', {
      AvailabilityMode: 'regional',
      AvailabilityZoneAddresses: [
        { AvailabilityZone: { 'Fn::Select': [0, Match.anyValue()] }, AllocationIds: [Match.anyValue()] },
        { AvailabilityZone: { 'Fn::Select': [1, Match.anyValue()] }, AllocationIds: [Match.anyValue()] },
      ],
    });
    // AWS refuses it in a VPC whose internet gateway is not attached yet.
    template.hasResource('AWS::EC2::NatGateway', { DependsOn: Match.arrayWith([Match.stringLikeRegexp('VPCGW')]) });
  });

  test('given addresses are used, and no others made', () => {
    const given = ['eipalloc-0123456789abcdef0', 'eipalloc-0123456789abcdef1'];
    const { template, resources } = egress({ regions: [{ region: 'eu-central-1', eipAllocationIds: given }] });
    template.resourceCountIs('AWS::EC2::EIP', 0);
    expect(ofType({ resources }, 'AWS::EC2::NatGateway').map(([, nat]) => nat.Properties?.['AllocationId'])).toEqual(
      given,
    );
    template.hasOutput('EgressAddresses', { Value: given.join(',') });
  });

  test('addresses outlive the stack, and are its output', () => {
    const stack = egress();
    const addresses = ofType(stack, 'AWS::EC2::EIP');
    expect(addresses.map(([, eip]) => [eip.DeletionPolicy, eip.UpdateReplacePolicy])).toEqual([
      ['Retain', 'Retain'],
      ['Retain', 'Retain'],
    ]);
    stack.template.hasOutput('EgressAddresses', {
      Value: { 'Fn::Join': ['', addresses.flatMap(([id], index) => [...(index > 0 ? [','] : []), { Ref: id }])] },
    });
  });
});

describe('what leaves', () => {
  test('private subnets have one way out, by NAT, and none by IPv6', () => {
    const stack = egress();
    const routes = ofType(stack, 'AWS::EC2::Route').filter(([id]) => id.includes('Private'));
    expect(routes).toHaveLength(2);
    for (const [, route] of routes) {
      expect(route.Properties).toMatchObject({
        DestinationCidrBlock: '0.0.0.0/0',
        NatGatewayId: expect.anything() as unknown,
      });
    }
    stack.template.resourceCountIs('AWS::EC2::EgressOnlyInternetGateway', 0);
  });

  test('only the subnets of the load balancer have IPv6', () => {
    const withIpv6 = (change: EnvironmentInput) =>
      ofType(egress(change), 'AWS::EC2::Subnet')
        .filter(([, subnet]) => subnet.Properties?.['Ipv6CidrBlock'] !== undefined)
        .map(([id]) => (id.includes('Public') ? 'public' : 'private'));
    expect(withIpv6({})).toEqual(['public', 'public']);
    expect(withIpv6({ loadBalancer: { exposure: 'internal' } })).toEqual(['private', 'private']);
    expect(withIpv6({ loadBalancer: { dualStack: false } })).toEqual([]);
  });

  test('nothing that starts in a public subnet gets a public address by itself', () => {
    for (const [, subnet] of ofType(egress(), 'AWS::EC2::Subnet')) {
      expect(subnet.Properties?.['MapPublicIpOnLaunch'] ?? false).toBe(false);
    }
  });
});

describe('endpoints', () => {
  const services = (change: EnvironmentInput) =>
    ofType(egress(change), 'AWS::EC2::VPCEndpoint')
      .map(([, endpoint]) => JSON.stringify(endpoint.Properties?.['ServiceName']))
      .map((name) => /(?:eu-central-1\.|"\.)([a-z0-9.-]+)"/.exec(name)?.[1] ?? name)
      .sort();

  test('logs, secrets, images and the registry do not cross the NAT', () => {
    expect(services({})).toEqual(['appconfigdata', 'ecr.api', 'ecr.dkr', 'logs', 's3', 'secretsmanager']);
  });

  test('instances reach ECS by endpoints too', () => {
    expect(services({ compute: { type: 'ec2' } })).toEqual(
      expect.arrayContaining(['ecs', 'ecs-agent', 'ecs-telemetry']),
    );
  });

  test('switched off, the free one for S3 stays', () => {
    expect(services({ network: { interfaceEndpoints: false } })).toEqual(['s3']);
  });
});

test('flow logs go to CloudWatch Logs, for as long as the config says', () => {
  const { template } = egress({ observability: { logRetentionDays: 90 } });
  template.hasResourceProperties('AWS::EC2::FlowLog', { ResourceType: 'VPC', TrafficType: 'ALL' });
  template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 90 });
  egress({ network: { flowLogs: false } }).template.resourceCountIs('AWS::EC2::FlowLog', 0);
});

test('a third AZ moves no subnet of the first two', () => {
  const ranges = (zones: number) =>
    Object.fromEntries(
      ofType(egress({ network: { availabilityZones: zones }, compute: { minTasks: 3 } }), 'AWS::EC2::Subnet').map(
        ([id, subnet]) => [id, subnet.Properties?.['CidrBlock']],
      ),
    );
  expect(ranges(3)).toMatchObject(ranges(2));
});

test('zones are named at deploy: synthesis knows no account', () => {
  const { template } = egress();
  template.allResourcesProperties('AWS::EC2::Subnet', {
    AvailabilityZone: { 'Fn::Select': [Match.anyValue(), { 'Fn::GetAZs': '' }] },
  });
});

test('a given VPC is used with its subnets, and nothing is made in it but the gateway', () => {
  const stacks = synthesize([
    environment({
      regions: [
        {
          region: 'eu-central-1',
          existingVpc: {
            vpcId: 'vpc-0123456789abcdef0',
            cidr: '10.0.0.0/16',
            availabilityZones: ['eu-central-1a', 'eu-central-1b'],
            publicSubnetIds: ['subnet-aaaaaaaa', 'subnet-bbbbbbbb'],
            privateSubnetIds: ['subnet-cccccccc', 'subnet-dddddddd'],
          },
        },
      ],
    }),
  ]);
  const made = Object.values(stackOf(stacks, 'Egress').resources).map(({ Type }) => Type);
  expect(made).toEqual(['AWS::SecretsManager::Secret']);
  const { template } = stackOf(stacks, 'Gateway');
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
    Subnets: ['subnet-aaaaaaaa', 'subnet-bbbbbbbb'],
  });
  template.hasResourceProperties('AWS::ECS::Service', {
    NetworkConfiguration: { AwsvpcConfiguration: { Subnets: ['subnet-cccccccc', 'subnet-dddddddd'] } },
  });
});
