import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { gatewayMetric } from './gateway-metric';

/** Requests in a minute below which a share of failures says nothing. */
const MIN_REQUESTS = 20;
/** Share of answers, in per cent, that the load balancer had to make up, or that a task failed on. */
const MAX_FAILED_PERCENT = 5;

export interface RollbackAlarmsProps {
  readonly environment: Environment;
  readonly region: Region;
  readonly loadBalancer: elbv2.ApplicationLoadBalancer;
}

/**
 * What takes a change back by itself. Only what the change can have caused: an upstream that fails everywhere must not
 * roll back the release that was meant to help.
 */
export class RollbackAlarms extends Construct {
  /** Tasks do not answer the load balancer: takes back a deployment of tasks, and of a registry that breaks them. */
  readonly failedByGateway: cloudwatch.Alarm;
  /** Tasks refuse a registry or credentials as broken, and go on with the last good ones. */
  readonly documentRefused: cloudwatch.Alarm;

  constructor(scope: Construct, id: string, props: RollbackAlarmsProps) {
    super(scope, id);
    const { environment, region } = props;
    const { metrics } = props.loadBalancer;
    const period = Duration.minutes(1);
    this.failedByGateway = new cloudwatch.Alarm(this, 'FailedByGateway', {
      alarmDescription:
        'The load balancer answers 5xx itself, or tasks fail on requests with 500: a deployment is taken back',
      metric: new cloudwatch.MathExpression({
        label: 'Failed by the gateway, %',
        expression: `IF(requests > ${MIN_REQUESTS}, 100 * (FILL(failed, 0) + FILL(internal, 0)) / requests, 0)`,
        usingMetrics: {
          requests: metrics.requestCount({ period }),
          failed: metrics.httpCodeElb(elbv2.HttpCodeElb.ELB_5XX_COUNT, { period }),
          // A release whose own code fails answers, and so passes for healthy at the load balancer.
          internal: gatewayMetric({ environment, region, metricName: 'InternalErrors', statistic: 'Sum' }),
        },
        period,
      }),
      threshold: MAX_FAILED_PERCENT,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 3,
      datapointsToAlarm: 2,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    this.documentRefused = new cloudwatch.Alarm(this, 'DocumentRefused', {
      alarmDescription: 'Tasks refuse the consumer registry or the credentials: AppConfig takes the version back',
      metric: new cloudwatch.MathExpression({
        label: 'Documents refused',
        expression: 'FILL(registry, 0) + FILL(credentials, 0)',
        usingMetrics: {
          registry: gatewayMetric({ environment, region, metricName: 'RegistryRefused', statistic: 'Sum' }),
          credentials: gatewayMetric({ environment, region, metricName: 'CredentialsRefused', statistic: 'Sum' }),
        },
        period,
      }),
      threshold: 0,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  }
}
