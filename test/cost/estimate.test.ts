import { loadConfig, resolveEnvironment, type EnvironmentInput } from '../../lib/config';
import { estimate, type Estimate } from '../../lib/cost/estimate';
import { renderReport, TARGET_MONTHLY } from '../../lib/cost/report';
import { metricsOfUse, perMillionRequests } from '../../lib/cost/usage';
import { deployedStacks } from '../stacks/support/deployed';
import { deployable } from '../stacks/support/environment';

const ofResources = (Resources: Record<string, unknown>): Estimate =>
  estimate([{ name: 'stack', template: { Resources } }]);
const ofEnvironment = (change: EnvironmentInput): Estimate =>
  estimate(deployedStacks(deployable({ regions: [{ region: 'us-east-1' }], ...change })));
const quantities = (result: Estimate): Record<string, number> =>
  Object.fromEntries(result.stacks.flatMap(({ items }) => items.map(({ what, quantity }) => [what, quantity])));

describe('the price of a resource', () => {
  test.each<[string, Record<string, unknown>, number]>([
    [
      'a public load balancer in two AZs',
      {
        Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer',
        Properties: { Scheme: 'internet-facing', Subnets: ['a', 'b'] },
      },
      0.0225 * 730 + 2 * 0.005 * 730,
    ],
    [
      'an internal load balancer',
      { Type: 'AWS::ElasticLoadBalancingV2::LoadBalancer', Properties: { Scheme: 'internal', Subnets: ['a', 'b'] } },
      0.0225 * 730,
    ],
    ['a NAT gateway', { Type: 'AWS::EC2::NatGateway', Properties: { SubnetId: 'a' } }, 0.045 * 730],
    [
      'a regional NAT gateway in three AZs',
      { Type: 'AWS::EC2::NatGateway', Properties: { AvailabilityZoneAddresses: [{}, {}, {}] } },
      3 * 0.045 * 730,
    ],
    ['a gateway endpoint', { Type: 'AWS::EC2::VPCEndpoint', Properties: { VpcEndpointType: 'Gateway' } }, 0],
    [
      'an interface endpoint in two AZs',
      { Type: 'AWS::EC2::VPCEndpoint', Properties: { VpcEndpointType: 'Interface', SubnetIds: ['a', 'b'] } },
      2 * 0.01 * 730,
    ],
    ['a firewall of three rules', { Type: 'AWS::WAFv2::WebACL', Properties: { Rules: [{}, {}, {}] } }, 5 + 3],
    [
      'a check by HTTPS',
      { Type: 'AWS::Route53::HealthCheck', Properties: { HealthCheckConfig: { Type: 'HTTPS' } } },
      1.5,
    ],
    [
      'a calculated check',
      { Type: 'AWS::Route53::HealthCheck', Properties: { HealthCheckConfig: { Type: 'CALCULATED' } } },
      0.5,
    ],
    [
      'an alarm on two metrics',
      {
        Type: 'AWS::CloudWatch::Alarm',
        Properties: { Metrics: [{ Expression: 'a+b' }, { MetricStat: {} }, { MetricStat: {} }] },
      },
      0.2,
    ],
    ['an alarm on one', { Type: 'AWS::CloudWatch::Alarm', Properties: { MetricName: 'a' } }, 0.1],
    [
      'two Valkey nodes',
      {
        Type: 'AWS::ElastiCache::ReplicationGroup',
        Properties: { CacheNodeType: 'cache.t4g.small', NumCacheClusters: 2 },
      },
      2 * 0.0256 * 730,
    ],
  ])('%s', (_, resource, expected) => {
    const result = ofResources({ it: resource });
    expect(result.monthly).toBeCloseTo(expected, 6);
    expect(result.unknownTypes).toEqual([]);
  });

  test('tasks are counted at the floor that scaling keeps', () => {
    const result = ofResources({
      Task: {
        Type: 'AWS::ECS::TaskDefinition',
        Properties: { Cpu: '1024', Memory: '2048', RequiresCompatibilities: ['FARGATE'] },
      },
      Service: { Type: 'AWS::ECS::Service', Properties: { TaskDefinition: { Ref: 'Task' } } },
      Target: { Type: 'AWS::ApplicationAutoScaling::ScalableTarget', Properties: { MinCapacity: 3 } },
    });
    expect(result.monthly).toBeCloseTo(3 * (0.04048 + 2 * 0.004445) * 730, 6);
  });

  test('what is in no list is named, not taken for nothing', () => {
    expect(ofResources({ it: { Type: 'AWS::Braket::Job' } }).unknownTypes).toEqual(['AWS::Braket::Job']);
  });

  test('a size without a price is an error that names those that have one', () => {
    const node = { Type: 'AWS::ElastiCache::ReplicationGroup', Properties: { CacheNodeType: 'cache.x.huge' } };
    expect(() => ofResources({ it: node })).toThrow(/no price of cache\.x\.huge; it knows cache\.t4g\.micro/);
  });
});

describe('an environment as synthesized', () => {
  test('the shipped minimal one costs less than its target', () => {
    const environment = resolveEnvironment(loadConfig('causeway.config.ts'), 'minimal');
    const result = estimate(deployedStacks(environment));
    expect(result.unknownTypes).toEqual([]);
    expect(result.monthly).toBeGreaterThan(50);
    const report = renderReport(environment, result);
    expect(report).toContain(`Below the ${TARGET_MONTHLY.toFixed(2)} USD a month`);
    expect(report).toMatch(/^Environment minimal: \d+\.\d\d USD a month before the first request/);
  });

  test('one that costs more says what keeps it above', () => {
    const environment = deployable();
    expect(renderReport(environment, estimate(deployedStacks(environment)))).toMatch(
      /Above the 120\.00 USD a month .* mostly by \d+ × .* \(\d+\.\d\d USD\)/,
    );
  });

  test('on EC2 its instances are counted, and no tasks', () => {
    const result = ofEnvironment({ compute: { type: 'ec2' } });
    expect(quantities(result)).toMatchObject({ 'EC2 instance c6i.large with 30 GB': 2 });
    expect(JSON.stringify(result)).not.toContain('Fargate');
    expect(result.unknownTypes).toEqual([]);
  });

  test.each<[string, EnvironmentInput, string, number]>([
    ['a NAT gateway for each AZ', { network: { nat: 'perAz' } }, 'NAT gateway (each AZ of a regional one)', 2],
    ['a regional NAT gateway', { network: { nat: 'regional' } }, 'NAT gateway (each AZ of a regional one)', 2],
    ['a serverless Valkey', { valkey: { mode: 'serverless' } }, 'Valkey Serverless, least billed data', 1],
  ])('%s is counted', (_, change, what, quantity) => {
    const result = ofEnvironment(change);
    expect(quantities(result)[what]).toBe(quantity);
    expect(result.unknownTypes).toEqual([]);
  });
});

describe('what use costs', () => {
  test('a million requests pay for what they pass through only', () => {
    const all = perMillionRequests(deployable({ valkey: { mode: 'serverless' } })).map(({ what }) => what);
    const few = perMillionRequests(
      deployable({ firewall: { enabled: false }, loadBalancer: { exposure: 'internal' } }),
    );
    expect(all.filter((what) => !few.map((item) => item.what).includes(what))).toEqual([
      'Firewall, million requests',
      'Data to clients, GB',
      'Valkey, million ECPU',
    ]);
  });

  test('metrics grow by consumers and models, as the catalogue says', () => {
    const counted = Object.fromEntries(metricsOfUse(deployable()).map(({ what, quantity }) => [what, quantity]));
    for (const what of ['Any request at all', 'Each route class used', 'Each model used', 'Each consumer']) {
      expect(counted[what]).toBeGreaterThan(0);
    }
  });
});
