import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { METRICS } from '../../lib/observability/metrics';
import { environment, ofType, stackOf, synthesize } from './support/synthesize';

const gateway = (change: EnvironmentInput = {}) => stackOf(synthesize([environment(change)]), 'Gateway');
const POLICY = 'AWS::ApplicationAutoScaling::ScalingPolicy';
const TARGET = 'AWS::ApplicationAutoScaling::ScalableTarget';

test('connections of a task are held at the target', () => {
  gateway({ compute: { targetConnectionsPerTask: 200 } }).template.hasResourceProperties(POLICY, {
    PolicyType: 'TargetTrackingScaling',
    TargetTrackingScalingPolicyConfiguration: {
      TargetValue: 200,
      CustomizedMetricSpecification: {
        Namespace: 'Causeway',
        MetricName: 'ActiveConnections',
        Statistic: 'Average',
        Dimensions: [
          { Name: 'Environment', Value: 'test' },
          { Name: 'Region', Value: 'eu-central-1' },
        ],
      },
    },
  });
});

test('CPU is held at the target, every 20 s', () => {
  gateway({ compute: { targetCpuPercent: 40 } }).template.hasResourceProperties(POLICY, {
    TargetTrackingScalingPolicyConfiguration: {
      TargetValue: 40,
      PredefinedMetricSpecification: { PredefinedMetricType: 'ECSServiceAverageCPUUtilizationHighResolution' },
    },
  });
});

test('the gateway’s own latency adds tasks by steps', () => {
  const { template } = gateway({ slo: { gatewayLatency: { p99Ms: 30 } } });
  template.hasResourceProperties('AWS::CloudWatch::Alarm', {
    MetricName: 'GatewayLatency',
    ExtendedStatistic: 'p99',
    Threshold: 60,
  });
  template.hasResourceProperties(POLICY, {
    PolicyType: 'StepScaling',
    StepScalingPolicyConfiguration: {
      AdjustmentType: 'PercentChangeInCapacity',
      StepAdjustments: [
        { MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 60, ScalingAdjustment: 25 },
        { MetricIntervalLowerBound: 60, ScalingAdjustment: 50 },
      ],
    },
  });
});

test('what scaling reads, the gateway emits, under those dimensions', () => {
  const catalogue = new Map(METRICS.map((metric) => [metric.name as string, metric.dimensions as readonly unknown[]]));
  const text = JSON.stringify(gateway().resources);
  const read = [...text.matchAll(/"MetricName":"(\w+)","Namespace":"Causeway"/g)].map(([, name]) => name ?? '');
  expect([...new Set(read)].sort()).toEqual([
    'ActiveConnections',
    'CredentialsRefused',
    'GatewayLatency',
    'InternalErrors',
    'RegistryRefused',
  ]);
  for (const name of read) expect(catalogue.get(name)).toContainEqual(['Environment', 'Region']);
});

test('bounds are the region’s own, or the environment’s', () => {
  gateway({ compute: { minTasks: 3, maxTasks: 9 } }).template.hasResourceProperties(TARGET, {
    MinCapacity: 3,
    MaxCapacity: 9,
  });
  gateway({
    regions: [{ region: 'eu-central-1', minTasks: 4, maxTasks: 8 }],
    compute: { minTasks: 2 },
  }).template.hasResourceProperties(TARGET, { MinCapacity: 4, MaxCapacity: 8 });
});

test('floors follow the schedule', () => {
  gateway({ compute: { schedules: [{ cron: '0 7 ? * MON-FRI *', minTasks: 6 }] } }).template.hasResourceProperties(
    TARGET,
    {
      ScheduledActions: [
        Match.objectLike({ Schedule: 'cron(0 7 ? * MON-FRI *)', ScalableTargetAction: { MinCapacity: 6 } }),
      ],
    },
  );
});

describe('the loss of an AZ', () => {
  test.each([
    [2, 2, '1'],
    [4, 2, '2'],
    [3, 3, '2'],
    [7, 3, '4'],
  ])('of %i tasks in %i AZs leaves %s', (minTasks, availabilityZones, left) => {
    gateway({ compute: { minTasks }, network: { availabilityZones } }).template.hasOutput('TasksAfterZoneLoss', {
      Value: left,
    });
  });

  test.each<[string, EnvironmentInput]>([
    ['compute.minTasks', { compute: { minTasks: 1 } }],
    ['compute.targetCpuPercent', { compute: { targetCpuPercent: 60 } }],
    ['compute.targetConnectionsPerTask', { compute: { targetConnectionsPerTask: 6000 } }],
  ])('%s that does not survive it is refused', (field, change) => {
    expect(() => environment(change)).toThrow(field);
  });

  test('three AZs bear more of each task', () => {
    expect(environment({ compute: { targetCpuPercent: 60 }, network: { availabilityZones: 3 } }).name).toBe('test');
  });
});

test('instances are never fewer than the tasks need', () => {
  const [, group] =
    ofType(gateway({ compute: { type: 'ec2', maxTasks: 12 } }), 'AWS::AutoScaling::AutoScalingGroup')[0] ?? [];
  expect(group?.Properties).toMatchObject({ MinSize: '0', MaxSize: '12' });
});
