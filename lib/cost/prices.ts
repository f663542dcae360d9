/**
 * List prices of us-east-1 in USD, without free tiers, discounts and taxes. Other regions cost from 0 to 60 % more.
 * Copied by hand: where money depends on it, compare with https://calculator.aws.
 */
export const PRICES = {
  /** When these were last compared with the pages named beside them. */
  asOf: '2025-06',
  hoursPerMonth: 730,
  /** https://aws.amazon.com/fargate/pricing: Linux, x86_64. */
  fargate: { vcpuHour: 0.04048, gbHour: 0.004445 },
  /** https://aws.amazon.com/ec2/pricing/on-demand: Linux. */
  ec2Hour: {
    't3.medium': 0.0416,
    't3.large': 0.0832,
    'c6i.large': 0.085,
    'c6i.xlarge': 0.17,
    'c6i.2xlarge': 0.34,
    'c7i.large': 0.08925,
    'c7i.xlarge': 0.1785,
    'm6i.large': 0.096,
    'm6i.xlarge': 0.192,
    'm7i.large': 0.1008,
  } as Readonly<Record<string, number>>,
  /** https://aws.amazon.com/ebs/pricing: gp3. */
  ebsGbMonth: 0.08,
  /** https://aws.amazon.com/elasticloadbalancing/pricing. */
  loadBalancer: { hour: 0.0225, lcuHour: 0.008 },
  /** https://aws.amazon.com/vpc/pricing. */
  vpc: { natHour: 0.045, natGb: 0.045, publicIpv4Hour: 0.005, interfaceEndpointHour: 0.01 },
  /** https://aws.amazon.com/ec2/pricing/on-demand, data transfer: the first 10 TB out to the internet. */
  internetOutGb: 0.09,
  /** https://aws.amazon.com/waf/pricing. */
  waf: { webAclMonth: 5, ruleMonth: 1, millionRequests: 0.6 },
  /** https://aws.amazon.com/route53/pricing: checks of AWS endpoints, and each of their options. */
  route53: { healthCheckMonth: 0.5, healthCheckOptionMonth: 1 },
  /** https://aws.amazon.com/kms/pricing. */
  kmsKeyMonth: 1,
  /** https://aws.amazon.com/secrets-manager/pricing. */
  secretMonth: 0.4,
  /** https://aws.amazon.com/step-functions/pricing: Express, a request and one second of 64 MB. */
  expressExecution: 1e-6 + 0.000_016_67 / 16,
  /** https://aws.amazon.com/cloudwatch/pricing. */
  cloudWatch: {
    alarmMetricMonth: 0.1,
    highResolutionAlarmMetricMonth: 0.3,
    compositeAlarmMonth: 0.5,
    dashboardMonth: 3,
    metricMonth: 0.3,
    logGb: 0.5,
  },
  /** https://aws.amazon.com/elasticache/pricing: Valkey. */
  valkey: {
    nodeHour: {
      'cache.t4g.micro': 0.0128,
      'cache.t4g.small': 0.0256,
      'cache.t4g.medium': 0.052,
      'cache.m7g.large': 0.1264,
      'cache.r7g.large': 0.1752,
    } as Readonly<Record<string, number>>,
    serverlessGbHour: 0.084,
    /** A serverless cache is billed for no less than this. */
    serverlessMinGb: 0.1,
    millionEcpu: 0.0023,
  },
} as const;
