import { Stack, type StackProps } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { AppConfig } from '../constructs/app-config';
import { GatewayCertificate } from '../constructs/certificate';
import { Firewall } from '../constructs/firewall';
import { GatewayImage } from '../constructs/gateway-image';
import { GatewayService } from '../constructs/gateway-service';
import { GatewayTask } from '../constructs/gateway-task';
import { LoadBalancer } from '../constructs/load-balancer';
import { existingVpc } from '../constructs/network';
import { RegionalDns } from '../constructs/regional-dns';
import { RollbackAlarms } from '../constructs/rollback-alarms';
import { Scaling } from '../constructs/scaling';
import { Valkey } from '../constructs/valkey';

export interface GatewayStackProps extends StackProps {
  readonly environment: Environment;
  readonly region: Region;
  /** VPC of the egress stack. @default - region.existingVpc */
  readonly vpc?: ec2.IVpc | undefined;
  /** Upstream credentials of the egress stack. @default - none, in passthrough */
  readonly credentials?: secretsmanager.ISecret | undefined;
}

/** The gateway of one region: everything that a release may replace. */
export class GatewayStack extends Stack {
  readonly loadBalancer: LoadBalancer;
  readonly task: GatewayTask;
  readonly service: GatewayService;
  readonly appConfig: AppConfig;
  readonly valkey: Valkey | undefined;
  readonly rollbackAlarms: RollbackAlarms;

  constructor(scope: Construct, id: string, props: GatewayStackProps) {
    super(scope, id, props);
    const { environment, region } = props;
    const vpc = props.vpc ?? this.givenVpc(region);
    const { domain } = environment;
    if (domain === undefined) throw new Error(`environment "${environment.name}" has no domain`);
    const hostedZone = route53.HostedZone.fromHostedZoneAttributes(this, 'HostedZone', {
      hostedZoneId: domain.hostedZoneId,
      zoneName: domain.hostedZoneName,
    });

    const { certificate } = new GatewayCertificate(this, 'Certificate', { environment, region, hostedZone });
    this.loadBalancer = new LoadBalancer(this, 'LoadBalancer', { environment, vpc, certificate });
    this.rollbackAlarms = new RollbackAlarms(this, 'RollbackAlarms', {
      environment,
      region,
      loadBalancer: this.loadBalancer.loadBalancer,
    });
    const { failedByGateway, documentRefused } = this.rollbackAlarms;
    this.appConfig = new AppConfig(this, 'AppConfig', {
      environment,
      region,
      credentials: props.credentials,
      rollbackAlarms: [failedByGateway, documentRefused],
    });
    this.valkey = environment.valkey.mode === 'none' ? undefined : new Valkey(this, 'Valkey', { environment, vpc });
    this.task = new GatewayTask(this, 'Task', {
      environment,
      image: new GatewayImage(this, 'Image', {
        environment,
        region,
        loadBalancerRanges: loadBalancerRanges(environment, region, vpc),
      }),
      appConfig: this.appConfig,
      valkey: this.valkey,
    });
    this.service = new GatewayService(this, 'Service', {
      environment,
      region,
      vpc,
      task: this.task,
      targetGroup: this.loadBalancer.targetGroup,
      rollbackAlarms: [failedByGateway],
      valkey: this.valkey,
    });
    // The first tasks look for the registry at once: no registry, no readiness, no first deployment.
    this.service.service.node.addDependency(this.appConfig);
    new Scaling(this, 'Scaling', { environment, region, service: this.service.service });

    if (environment.firewall.enabled) {
      new Firewall(this, 'Firewall', { environment, loadBalancer: this.loadBalancer.loadBalancer });
    }
    new RegionalDns(this, 'Dns', { environment, region, loadBalancer: this.loadBalancer.loadBalancer, hostedZone });
  }

  private givenVpc(region: Region): ec2.IVpc {
    if (region.existingVpc === undefined) throw new Error(`region ${region.region} has no VPC`);
    return existingVpc(this, region.existingVpc);
  }
}

/**
 * Where the load balancer's own addresses are from: the ranges of its subnets. Of a given VPC only the whole range is
 * known.
 */
function loadBalancerRanges(environment: Environment, region: Region, vpc: ec2.IVpc): string[] {
  if (region.existingVpc !== undefined) return [region.existingVpc.cidr];
  const subnets = environment.loadBalancer.exposure === 'public' ? vpc.publicSubnets : vpc.privateSubnets;
  return subnets.map(({ ipv4CidrBlock }) => ipv4CidrBlock);
}
