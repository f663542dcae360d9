import { Duration, Validations } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { tasksOf } from '../config/deployment';
import { GATEWAY_PORT } from '../gateway-image';
import { Ec2Capacity } from './ec2-capacity';
import { GATEWAY_CONTAINER, type GatewayTask } from './gateway-task';
import type { Valkey } from './valkey';

export interface GatewayServiceProps {
  readonly environment: Environment;
  readonly region: Region;
  readonly vpc: ec2.IVpc;
  readonly task: GatewayTask;
  readonly targetGroup: elbv2.ApplicationTargetGroup;
  /** Alarms that take a deployment back. */
  readonly rollbackAlarms: readonly cloudwatch.IAlarm[];
  /** @default - none: limits and cache stay with each task */
  readonly valkey?: Valkey | undefined;
}

/** The tasks of one region, spread over its AZs, behind its load balancer. */
export class GatewayService extends Construct {
  readonly cluster: ecs.ICluster;
  readonly service: ecs.FargateService | ecs.Ec2Service;
  readonly securityGroup: ec2.SecurityGroup;

  constructor(scope: Construct, id: string, props: GatewayServiceProps) {
    super(scope, id);
    const { environment, vpc } = props;
    const cluster = new ecs.Cluster(this, 'Cluster', {
      vpc,
      containerInsightsV2: ecs.ContainerInsights.DISABLED,
      enableFargateCapacityProviders: environment.compute.type === 'fargate',
    });
    this.cluster = cluster as ecs.ICluster;
    Validations.of(cluster).acknowledge({
      id: 'AwsSolutions-ECS4',
      reason:
        'The gateway’s own gauges, the service’s CPU at 20 s and the target group’s health say what Container Insights would, without its price for each task.',
    });

    this.securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Tasks: the load balancer in; HTTPS to AWS and to the upstreams out',
      allowAllOutbound: false,
    });
    // By IPv4 only: IPv6 would leave past the fixed addresses.
    for (const port of new Set([443, ...environment.upstreams.map((upstream) => upstream.port)])) {
      this.securityGroup.addEgressRule(
        ec2.Peer.anyIpv4(),
        ec2.Port.tcp(port),
        'Upstreams and AWS, by NAT or endpoints',
      );
    }
    if (props.valkey !== undefined) this.securityGroup.connections.allowToDefaultPort(props.valkey, 'Shared state');

    this.service = this.createService(props, cluster);
    props.targetGroup.addTarget(
      this.service.loadBalancerTarget({ containerName: GATEWAY_CONTAINER, containerPort: GATEWAY_PORT }),
    );
    // Scaling reads CPU every 20 s; a service publishes it every 60 s unless it is told to. There is no L2 for that yet.
    const resource = this.service.node.findChild('Service');
    if (!(resource instanceof ecs.CfnService)) throw new Error('an ECS service without its CfnService');
    resource.monitoring = { metricConfigurations: [{ metricNames: ['CPUUtilization'], resolutionSeconds: 20 }] };
  }

  private createService(props: GatewayServiceProps, cluster: ecs.Cluster): ecs.FargateService | ecs.Ec2Service {
    const common = {
      cluster: this.cluster,
      taskDefinition: props.task.taskDefinition,
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      securityGroups: [this.securityGroup],
      assignPublicIp: false,
      // No desired count: it would undo what scaling has done at each deploy.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      deploymentAlarms: {
        alarmNames: props.rollbackAlarms.map(({ alarmName }) => alarmName),
        behavior: ecs.AlarmBehavior.ROLLBACK_ON_ALARM,
      },
      availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.ENABLED,
      // The first tasks of an environment wait until registry and credentials have been rolled out for the first time.
      healthCheckGracePeriod: Duration.minutes(5),
      enableExecuteCommand: false,
      enableECSManagedTags: true,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    } satisfies Omit<ecs.FargateServiceProps & ecs.Ec2ServiceProps, 'placementStrategies'>;

    // Fargate spreads over the AZs of its subnets by itself.
    if (props.environment.compute.type === 'fargate') return new ecs.FargateService(this, 'Service', common);
    const capacity = new Ec2Capacity(this, 'Capacity', {
      environment: props.environment,
      cluster,
      vpc: props.vpc,
      maxTasks: tasksOf(props.environment, props.region).max,
    });
    const service = new ecs.Ec2Service(this, 'Service', {
      ...common,
      capacityProviderStrategies: [{ capacityProvider: capacity.capacityProvider.capacityProviderName, weight: 1 }],
      placementStrategies: [
        ecs.PlacementStrategy.spreadAcross(ecs.BuiltInAttributes.AVAILABILITY_ZONE),
        ecs.PlacementStrategy.spreadAcrossInstances(),
      ],
    });
    // The cluster knows the capacity provider before the service asks for it, and until the service is gone.
    service.node.addDependency(cluster);
    return service;
  }
}
