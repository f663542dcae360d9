import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Environment, Region } from '../config';
import type { MetricName } from '../observability/metrics';

export interface GatewayMetricProps {
  readonly environment: Environment;
  readonly region: Region;
  readonly metricName: MetricName;
  readonly statistic: string;
  /** @default Duration.minutes(1) */
  readonly period?: Duration;
}

/** A metric of the gateways of one region together. Its name and dimensions are those of the catalogue. */
export function gatewayMetric(props: GatewayMetricProps): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: props.environment.observability.namespace,
    metricName: props.metricName,
    dimensionsMap: { Environment: props.environment.name, Region: props.region.region },
    statistic: props.statistic,
    period: props.period ?? Duration.minutes(1),
  });
}
