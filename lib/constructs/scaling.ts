import { CfnOutput, Duration } from 'aws-cdk-lib';
import * as appscaling from 'aws-cdk-lib/aws-applicationautoscaling';
import type * as ecs from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { tasksAfterZoneLoss, tasksOf } from '../config/deployment';
import { gatewayMetric } from './gateway-metric';

/** New tasks take about a minute to take part; asking again sooner would count them twice. */
const SCALE_OUT_COOLDOWN = Duration.seconds(60);
/** A lull must last before tasks go: each that goes drains its streams first. */
const SCALE_IN_COOLDOWN = Duration.seconds(300);

export interface ScalingProps {
  readonly environment: Environment;
  readonly region: Region;
  readonly service: ecs.FargateService | ecs.Ec2Service;
}

/**
 * How many tasks run. Connections are what streams take, CPU is what short requests take, and latency is what neither
 * foresaw; the highest of them wins. Requests per target, the usual measure, misleads for streams that last minutes.
 */
export class Scaling extends Construct {
  constructor(scope: Construct, id: string, props: ScalingProps) {
    super(scope, id);
    const { environment, region, service } = props;
    const { compute, slo } = environment;
    const { min, max } = tasksOf(environment, region);
    const zones = region.existingVpc?.availabilityZones.length ?? environment.network.availabilityZones;

    const count = service.autoScaleTaskCount({ minCapacity: min, maxCapacity: max });
    count.scaleToTrackCustomMetric('Connections', {
      // Each task reports its own, under the same dimensions: the average is that of one task.
      metric: gatewayMetric({ environment, region, metricName: 'ActiveConnections', statistic: 'Average' }),
      targetValue: compute.targetConnectionsPerTask,
      scaleOutCooldown: SCALE_OUT_COOLDOWN,
      scaleInCooldown: SCALE_IN_COOLDOWN,
    });
    count.scaleOnCpuUtilization('Cpu', {
      targetUtilizationPercent: compute.targetCpuPercent,
      scaleOutCooldown: SCALE_OUT_COOLDOWN,
      scaleInCooldown: SCALE_IN_COOLDOWN,
    });
    this.useHighResolution(count);

    const goal = slo.gatewayLatency.p99Ms;
    count.scaleOnMetric('Latency', {
      metric: gatewayMetric({ environment, region, metricName: 'GatewayLatency', statistic: 'p99' }),
      scalingSteps: [
        { upper: 2 * goal, change: 0 },
        { lower: 2 * goal, upper: 4 * goal, change: 25 },
        { lower: 4 * goal, change: 50 },
      ],
      adjustmentType: appscaling.AdjustmentType.PERCENT_CHANGE_IN_CAPACITY,
      minAdjustmentMagnitude: 1,
      evaluationPeriods: 3,
      datapointsToAlarm: 2,
      metricAggregationType: appscaling.MetricAggregationType.MAXIMUM,
      cooldown: Duration.seconds(120),
    });

    compute.schedules.forEach((schedule, index) => {
      count.scaleOnSchedule(`Floor${index + 1}`, {
        schedule: appscaling.Schedule.expression(`cron(${schedule.cron})`),
        minCapacity: schedule.minTasks,
      });
    });

    new CfnOutput(this, 'TasksAfterZoneLoss', {
      key: 'TasksAfterZoneLoss',
      description: `Tasks that are left of ${min} when one of ${zones} AZs is lost, until new ones have started`,
      value: String(tasksAfterZoneLoss(min, zones)),
    });
  }

  /** CPU at 20 s instead of 60 s: the L2 names the metric of old only. */
  private useHighResolution(count: ecs.ScalableTaskCount): void {
    const policy = count.node.findAll().find((node) => node.node.path.endsWith('/Cpu/Resource'));
    if (!(policy instanceof appscaling.CfnScalingPolicy))
      throw new Error('the CPU policy of a service has no resource');
    policy.addPropertyOverride(
      'TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType',
      'ECSServiceAverageCPUUtilizationHighResolution',
    );
  }
}
