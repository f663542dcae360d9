import { z } from 'zod';
import { awsRegion, cidr, countryCode, hostname, seconds } from './primitives';

const arn = (service: string) =>
  z.string().regex(new RegExp(`^arn:aws[a-z-]*:${service}:`), `must be an ARN that starts with arn:aws:${service}:`);

const allocationId = z.string().regex(/^eipalloc-[0-9a-f]{8,17}$/, 'must be an Elastic IP allocation id (eipalloc-…)');

/** The public name of the gateway. */
export const domain = z.strictObject({
  /** The latency-routed name that clients use. */
  name: hostname,
  /** The Route 53 hosted zone that holds it. */
  hostedZoneId: z.string().regex(/^Z[A-Z0-9]{3,31}$/, 'must be a Route 53 hosted zone id (Z…)'),
  /** That zone's name; `name` must end in it. */
  hostedZoneName: hostname,
});

/** A VPC that exists already. */
const existingVpc = z.strictObject({
  vpcId: z.string().regex(/^vpc-[0-9a-f]{8,17}$/, 'must be a VPC id (vpc-…)'),
  cidr,
  availabilityZones: z
    .array(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d[a-z]$/, 'must be an AZ name'))
    .min(2)
    .max(3),
  publicSubnetIds: z.array(z.string().regex(/^subnet-[0-9a-f]{8,17}$/, 'must be a subnet id')).default([]),
  privateSubnetIds: z.array(z.string().regex(/^subnet-[0-9a-f]{8,17}$/, 'must be a subnet id')).min(2),
});

/** One region of an environment. */
export const region = z.strictObject({
  /** AWS region name; each stands once. */
  region: awsRegion,
  /** The region's VPC range. @default '10.64.0.0/20' */
  vpcCidr: cidr.default('10.64.0.0/20'),
  /** Elastic IPs that are allocated already, to be used for NAT. @default - allocated by the egress stack */
  eipAllocationIds: z.array(allocationId).optional(),
  /** A VPC to use instead of making one. @default - made by the egress stack */
  existingVpc: existingVpc.optional(),
  /** ACM certificate in this region to use instead of requesting one. @default - requested, validated by DNS */
  certificateArn: arn('acm').optional(),
  /** Tasks that always run here. @default - compute.minTasks */
  minTasks: z.int().min(1).max(1000).optional(),
  /** Tasks at the most here. @default - compute.maxTasks */
  maxTasks: z.int().min(1).max(1000).optional(),
});

/** Which region a client reaches. */
export const routing = z.strictObject({
  /** Country code → region, instead of the region with the least latency. @default {} */
  countries: z
    .record(
      countryCode,
      z.strictObject({
        region: awsRegion,
        /** Whether the country stays on its region even when that is unhealthy, for data residency. @default false */
        pinned: z.boolean().default(false),
      }),
    )
    .default({}),
  /** Countries that may connect at all. @default - all */
  allowCountries: z.array(countryCode).min(1).optional(),
});

/** Network of each region. */
export const network = z.strictObject({
  /** Availability zones. @default 2 */
  availabilityZones: z.int().min(2).max(3).default(2),
  /**
   * `perAz`: one NAT gateway and one address an AZ. `single`: one for all, cheaper, lost with its AZ. `regional`: one
   * regional NAT gateway with fixed addresses an AZ.
   * @default 'perAz'
   */
  nat: z.enum(['perAz', 'single', 'regional']).default('perAz'),
  /** @default true */
  flowLogs: z.boolean().default(true),
  /** Interface endpoints, so that logs, secrets and images do not cross the NAT. @default true */
  interfaceEndpoints: z.boolean().default(true),
});

/** Load balancer of each region. */
export const loadBalancer = z.strictObject({
  /** @default 'public' */
  exposure: z.enum(['public', 'internal']).default('public'),
  /** IPv4 and IPv6; the subnets of a given VPC must then have both. @default true */
  dualStack: z.boolean().default(true),
  /** @default true */
  deletionProtection: z.boolean().default(true),
  /** Days that access and connection logs are kept. @default 90 */
  logDays: z.int().min(1).max(3650).default(90),
  /** Clients must present a certificate of this trust store. @default - no mutual TLS */
  mutualTls: z
    .strictObject({
      bucketName: z.string().min(3).max(63),
      key: z.string().min(1),
    })
    .optional(),
});

/** What runs nginx. */
export const compute = z.strictObject({
  /** @default 'fargate' */
  type: z.enum(['fargate', 'ec2']).default('fargate'),
  /** Fargate CPU units of a task. @default 512 */
  cpu: z.union([256, 512, 1024, 2048, 4096, 8192].map((units) => z.literal(units))).default(512),
  /** Memory of a task in MiB. @default 1024 */
  memoryMiB: z.int().min(512).max(61_440).default(1024),
  /** Instance type where `type` is `ec2`. @default 'c6i.large' */
  instanceType: z
    .string()
    .regex(/^[a-z0-9]+\.[a-z0-9]+$/, 'must be an EC2 instance type')
    .default('c6i.large'),
  /** @default 2 */
  minTasks: z.int().min(1).max(1000).default(2),
  /** @default 20 */
  maxTasks: z.int().min(1).max(1000).default(20),
  /** Image to run instead of building gateway/Dockerfile. @default - built */
  imageUri: z
    .string()
    .regex(/^[a-z0-9.:/_@-]+$/i, 'must be an image URI')
    .optional(),
  /** Active connections of a task that scaling aims for. @default 500 */
  targetConnectionsPerTask: z.int().min(1).max(100_000).default(500),
  /** CPU of the service that scaling aims for, in per cent. @default 50 */
  targetCpuPercent: z.int().min(10).max(90).default(50),
  /** Floors by schedule. @default [] */
  schedules: z
    .array(
      z.strictObject({
        /** Six-field cron expression, UTC. */
        cron: z
          .string()
          .regex(/^(\S+\s){5}\S+$/, 'must be a six-field cron expression (minute hour day month weekday year)'),
        minTasks: z.int().min(1).max(1000),
      }),
    )
    .default([]),
});

/** AWS WAF in front of the load balancer. */
export const firewall = z.strictObject({
  /** @default true */
  enabled: z.boolean().default(true),
  /** Requests by one address in five minutes: high, for a company may share one. @default 30000 */
  perAddressPer5Minutes: z.int().min(10).max(2_000_000_000).default(30_000),
  /** Requests by one credential in five minutes. @default 15000 */
  perCredentialPer5Minutes: z.int().min(10).max(2_000_000_000).default(15_000),
  /** AWS reputation lists. @default true */
  reputationLists: z.boolean().default(true),
  /** What the load balancer does when WAF does not answer. @default 'open' */
  fail: z.enum(['open', 'closed']).default('open'),
  /** Days that firewall logs are kept. @default 30 */
  logDays: z.union([1, 3, 5, 7, 14, 30, 60, 90, 180, 365].map((days) => z.literal(days))).default(30),
});

/** CloudFront for `GET /v1/models*`, on its own host name. */
export const edge = z.strictObject({
  /** @default false */
  enabled: z.boolean().default(false),
  /** Its host name; required where enabled. @default - none */
  hostname: hostname.optional(),
  /** Certificate in us-east-1 to use instead of requesting one. @default - requested */
  certificateArn: arn('acm').optional(),
  priceClass: z.enum(['100', '200', 'all']).default('100'),
});

/** When a region is left, and when it is taken back. */
export const regionHealth = z.strictObject({
  /** Minutes in a row that it must be bad before it is left. @default 3 */
  leaveAfterMinutes: z.int().min(1).max(60).default(3),
  /** Minutes in a row that it must be good before it is taken back. @default 10 */
  returnAfterMinutes: z.int().min(1).max(240).default(10),
  /** Share of 5xx that the region's own path made, 0–1. @default 0.05 */
  errorShare: z.number().gt(0).lt(1).default(0.05),
  /** Interval of the outside probe in seconds. @default 60 */
  probeSeconds: seconds(60, 3600).default(60),
});
