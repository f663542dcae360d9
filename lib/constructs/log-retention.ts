import type * as logs from 'aws-cdk-lib/aws-logs';

/**
 * Days as CloudWatch Logs' retention. RetentionDays is an enum of days, and the config's schema lets through those days
 * only that CloudWatch knows.
 */
export function logRetention(days: number): logs.RetentionDays {
  return days as logs.RetentionDays;
}
