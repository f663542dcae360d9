import { PRICES } from './prices';

/** A resource of a template. */
export interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

/** Resources of one stack by logical id. */
export type Resources = Readonly<Record<string, Resource>>;

/** What costs money whether or not a request comes. */
export interface LineItem {
  readonly what: string;
  readonly quantity: number;
  /** USD a month, of one. */
  readonly each: number;
}

type Pricer = (properties: Properties, resources: Resources) => LineItem[];

/** Types that cost nothing by themselves, or only by use. */
const FREE = [
  /^AWS::(IAM|CDK|CloudFormation)::/,
  /^AWS::AppConfig::/,
  /^AWS::ApplicationAutoScaling::ScalableTarget$/,
  /^AWS::AutoScaling::(LifecycleHook|ScalingPolicy)$/,
  /^AWS::CertificateManager::Certificate$/,
  /^AWS::CloudFront::/,
  /^AWS::EC2::(VPC|VPCCidrBlock|VPCGatewayAttachment|Subnet.*|Route|RouteTable|InternetGateway|EgressOnlyInternetGateway)$/,
  /^AWS::EC2::(SecurityGroup.*|FlowLog|LaunchTemplate|NetworkAcl.*)$/,
  /^AWS::ECS::(Cluster|ClusterCapacityProviderAssociations|CapacityProvider|TaskDefinition)$/,
  /^AWS::ElastiCache::(SubnetGroup|ParameterGroup|User|UserGroup)$/,
  /^AWS::ElasticLoadBalancingV2::(Listener|ListenerRule|TargetGroup|TrustStore)$/,
  /^AWS::Events::Rule$/,
  /^AWS::KMS::Alias$/,
  /^AWS::Lambda::/,
  /^AWS::Logs::/,
  /^AWS::Route53::RecordSet$/,
  /^AWS::S3::/,
  /^AWS::SNS::/,
  /^AWS::SQS::/,
  /^AWS::SSM::Parameter$/,
  /^AWS::Scheduler::/,
  /^AWS::SecretsManager::(ResourcePolicy|SecretTargetAttachment)$/,
  /^AWS::WAFv2::(WebACLAssociation|LoggingConfiguration)$/,
];

const month = (hourly: number): number => hourly * PRICES.hoursPerMonth;

const PRICERS: Readonly<Record<string, Pricer>> = {
  'AWS::ElasticLoadBalancingV2::LoadBalancer': (properties) => [
    { what: 'Application Load Balancer', quantity: 1, each: month(PRICES.loadBalancer.hour) },
    ...(properties.text('Scheme') === 'internal'
      ? []
      : [
          {
            what: 'Public IPv4 address of the load balancer',
            quantity: properties.list('Subnets').length,
            each: month(PRICES.vpc.publicIpv4Hour),
          },
        ]),
  ],
  'AWS::EC2::NatGateway': (properties) => [
    {
      what: 'NAT gateway (each AZ of a regional one)',
      quantity: Math.max(1, properties.list('AvailabilityZoneAddresses').length),
      each: month(PRICES.vpc.natHour),
    },
  ],
  'AWS::EC2::EIP': () => [{ what: 'Elastic IP', quantity: 1, each: month(PRICES.vpc.publicIpv4Hour) }],
  'AWS::EC2::VPCEndpoint': (properties) =>
    properties.text('VpcEndpointType') === 'Interface'
      ? [
          {
            what: 'Interface endpoint in an AZ',
            quantity: properties.list('SubnetIds').length,
            each: month(PRICES.vpc.interfaceEndpointHour),
          },
        ]
      : [],
  'AWS::ECS::Service': (properties, resources) => fargateTasks(properties, resources),
  'AWS::AutoScaling::AutoScalingGroup': (properties, resources) => instances(properties, resources),
  'AWS::WAFv2::WebACL': (properties) => [
    { what: 'WAF web ACL', quantity: 1, each: PRICES.waf.webAclMonth },
    { what: 'WAF rule', quantity: properties.list('Rules').length, each: PRICES.waf.ruleMonth },
  ],
  'AWS::Route53::HealthCheck': (properties) => {
    const isHttps = properties.child('HealthCheckConfig').text('Type').startsWith('HTTPS');
    return [
      {
        what: isHttps ? 'Route 53 health check by HTTPS' : 'Route 53 health check',
        quantity: 1,
        each: PRICES.route53.healthCheckMonth + (isHttps ? PRICES.route53.healthCheckOptionMonth : 0),
      },
    ];
  },
  'AWS::KMS::Key': () => [{ what: 'KMS key', quantity: 1, each: PRICES.kmsKeyMonth }],
  'AWS::SecretsManager::Secret': () => [{ what: 'Secret', quantity: 1, each: PRICES.secretMonth }],
  // The one there is looks for new credentials once a minute, and takes less than a second for it.
  'AWS::StepFunctions::StateMachine': () => [
    {
      what: 'State machine that runs each minute',
      quantity: 1,
      each: 60 * PRICES.hoursPerMonth * PRICES.expressExecution,
    },
  ],
  'AWS::CloudWatch::Alarm': (properties) => [
    {
      what: 'Metric of an alarm',
      quantity: Math.max(
        1,
        properties.list('Metrics').filter((metric) => new Properties(metric).has('MetricStat')).length,
      ),
      each: PRICES.cloudWatch.alarmMetricMonth,
    },
  ],
  'AWS::CloudWatch::CompositeAlarm': () => [
    { what: 'Composite alarm', quantity: 1, each: PRICES.cloudWatch.compositeAlarmMonth },
  ],
  'AWS::CloudWatch::Dashboard': () => [{ what: 'Dashboard', quantity: 1, each: PRICES.cloudWatch.dashboardMonth }],
  'AWS::ApplicationAutoScaling::ScalingPolicy': (properties) =>
    // AWS makes two alarms for each target, one a direction; a step policy's alarm stands in the template itself.
    properties.text('PolicyType') === 'TargetTrackingScaling'
      ? [
          JSON.stringify(properties.value).includes('HighResolution')
            ? {
                what: 'Alarm of target tracking at 20 s',
                quantity: 2,
                each: PRICES.cloudWatch.highResolutionAlarmMetricMonth,
              }
            : { what: 'Alarm of target tracking', quantity: 2, each: PRICES.cloudWatch.alarmMetricMonth },
        ]
      : [],
  'AWS::ElastiCache::ReplicationGroup': (properties) => {
    const type = properties.text('CacheNodeType');
    const nodes = properties.number('NumCacheClusters') || 1 + properties.number('ReplicasPerNodeGroup');
    return [{ what: `Valkey node ${type}`, quantity: nodes, each: month(known(PRICES.valkey.nodeHour, type)) }];
  },
  'AWS::ElastiCache::ServerlessCache': () => [
    {
      what: 'Valkey Serverless, least billed data',
      quantity: 1,
      each: month(PRICES.valkey.serverlessGbHour * PRICES.valkey.serverlessMinGb),
    },
  ],
};

/** What a resource costs a month by being there; undefined where its type is in no list here. */
export function priceResource(resource: Resource, resources: Resources): LineItem[] | undefined {
  const pricer = PRICERS[resource.Type];
  if (pricer !== undefined) return pricer(new Properties(resource.Properties), resources);
  return FREE.some((pattern) => pattern.test(resource.Type)) ? [] : undefined;
}

function fargateTasks(service: Properties, resources: Resources): LineItem[] {
  const taskDefinition = referred(service.child('TaskDefinition'), resources);
  if (!taskDefinition.list('RequiresCompatibilities').includes('FARGATE')) return [];
  const vcpu = taskDefinition.number('Cpu') / 1024;
  const gb = taskDefinition.number('Memory') / 1024;
  return [
    {
      what: `Fargate task of ${vcpu} vCPU and ${gb} GB`,
      quantity: leastTasks(resources),
      each: month(vcpu * PRICES.fargate.vcpuHour + gb * PRICES.fargate.gbHour),
    },
  ];
}

/** Network interfaces that the smallest sensible instances (`.large`) have to give away: each task takes one. */
const TASKS_OF_INSTANCE = 2;

/** ECS itself starts as many instances as the tasks need, which it spreads over the AZs: one subnet each. */
function instances(group: Properties, resources: Resources): LineItem[] {
  const tasks = leastTasks(resources);
  const spread = Math.min(tasks, group.list('VPCZoneIdentifier').length);
  const template = referred(group.child('LaunchTemplate').child('LaunchTemplateId'), resources).child(
    'LaunchTemplateData',
  );
  const type = template.text('InstanceType');
  const disk = template.list('BlockDeviceMappings').reduce<number>((sum, mapping) => {
    return sum + new Properties(mapping).child('Ebs').number('VolumeSize');
  }, 0);
  return [
    {
      what: `EC2 instance ${type} with ${disk} GB`,
      quantity: Math.max(group.number('MinSize'), spread, Math.ceil(tasks / TASKS_OF_INSTANCE)),
      each: month(known(PRICES.ec2Hour, type)) + disk * PRICES.ebsGbMonth,
    },
  ];
}

/** The floor that scaling keeps; there is one service in a stack. */
function leastTasks(resources: Resources): number {
  const target = Object.values(resources).find(({ Type }) => Type === 'AWS::ApplicationAutoScaling::ScalableTarget');
  return new Properties(target?.Properties).number('MinCapacity');
}

function referred(reference: Properties, resources: Resources): Properties {
  return new Properties(resources[reference.text('Ref')]?.Properties);
}

function known(prices: Readonly<Record<string, number>>, type: string): number {
  const price = prices[type];
  if (price === undefined)
    throw new Error(`lib/cost/prices.ts has no price of ${type}; it knows ${Object.keys(prices).join(', ')}`);
  return price;
}

/** Reads a template's properties, which are anything until looked at. */
class Properties {
  constructor(readonly value: unknown) {}

  has(name: string): boolean {
    return this.member(name) !== undefined;
  }

  text(name: string): string {
    const value = this.member(name);
    return typeof value === 'string' ? value : '';
  }

  number(name: string): number {
    const value = Number(this.member(name));
    return Number.isFinite(value) ? value : 0;
  }

  list(name: string): readonly unknown[] {
    const value = this.member(name);
    return Array.isArray(value) ? (value as readonly unknown[]) : [];
  }

  child(name: string): Properties {
    return new Properties(this.member(name));
  }

  private member(name: string): unknown {
    return typeof this.value === 'object' && this.value !== null
      ? (this.value as Record<string, unknown>)[name]
      : undefined;
  }
}
