import * as logs from 'aws-cdk-lib/aws-logs';

/** Days as CloudWatch Logs' retention. The config's schema lets through those only that CloudWatch Logs knows. */
export function logRetention(days: number): logs.RetentionDays {
  const known = Object.values(logs.RetentionDays).find((value): value is logs.RetentionDays => Number(value) === days);
  if (known === undefined) throw new Error(`CloudWatch Logs keeps nothing for ${days} days`);
  return known;
}
