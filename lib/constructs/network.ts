import { CfnOutput, Fn, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { logRetention } from './log-retention';

/** Subnets of every zone that will ever be used have their ranges kept free, so that a third zone moves nobody. */
const MAX_ZONES = 3;

export interface NetworkProps {
  readonly environment: Environment;
  readonly region: Region;
}

/**
 * The VPC of one region, its fixed addresses towards the internet, and endpoints that keep AWS traffic off the NAT.
 *
 * Only IPv4 leaves through the NAT gateways: private subnets have no IPv6 route, because an address that nobody
 * allowlisted would be used as soon as an upstream had an AAAA record.
 */
export class Network extends Construct {
  readonly vpc: ec2.IVpc;
  /** Allocation ids of the Elastic IPs that requests leave from. */
  readonly eipAllocationIds: readonly string[];

  constructor(scope: Construct, id: string, props: NetworkProps) {
    super(scope, id);
    const { network, loadBalancer, compute } = props.environment;
    const zones = network.availabilityZones;

    const addresses = this.elasticIps(network.nat === 'single' ? 1 : zones, props.region.eipAllocationIds);
    this.eipAllocationIds = addresses.map(({ allocationId }) => allocationId);

    const masks = subnetMasks(props.region.vpcCidr);
    const vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(props.region.vpcCidr),
      maxAzs: zones,
      reservedAzs: MAX_ZONES - zones,
      // A regional gateway is one, whatever its addresses.
      natGateways: network.nat === 'perAz' ? zones : 1,
      natGatewayProvider: this.natProvider(network.nat, zones),
      subnetConfiguration: [
        { name: 'Public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: masks.public, mapPublicIpOnLaunch: false },
        { name: 'Private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: masks.private },
      ],
      gatewayEndpoints: {
        // Image layers come from S3, and access logs go there: neither pays for the NAT.
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
      },
      // It would take a Lambda with rights on security groups to empty a group that nothing is in.
      restrictDefaultSecurityGroup: false,
    });
    // aws-cdk-lib is not written for exactOptionalPropertyTypes: its classes fit their own interfaces by assertion only.
    this.vpc = vpc as ec2.IVpc;
    // A regional gateway has no public subnet whose route would make it wait for the way into the internet.
    if (network.nat === 'regional') {
      vpc.node.findChild('RegionalNatGateway').node.addDependency(vpc.node.findChild('VPCGW'));
    }
    if (loadBalancer.dualStack) {
      this.addIpv6(vpc, loadBalancer.exposure === 'public' ? vpc.publicSubnets : vpc.privateSubnets);
    }
    if (network.flowLogs) {
      this.addFlowLogs(props.environment);
    } else {
      Validations.of(vpc).acknowledge({
        id: 'AwsSolutions-VPC7',
        reason: 'network.flowLogs is false: the operator chose to do without them.',
      });
    }
    if (network.interfaceEndpoints) this.addInterfaceEndpoints(compute.type === 'ec2');

    new CfnOutput(this, 'EgressAddresses', {
      key: 'EgressAddresses',
      description: 'What to allowlist: requests to upstreams leave from these addresses (or allocation ids, if given)',
      value: addresses.map(({ address }) => address).join(','),
    });
    new CfnOutput(this, 'EgressAllocationIds', {
      key: 'EgressAllocationIds',
      description: 'For regions[].eipAllocationIds, where this stack is ever made anew',
      value: this.eipAllocationIds.join(','),
    });
  }

  /** The given addresses, or new ones that stay when the stack goes: others have allowlisted them. */
  private elasticIps(
    count: number,
    given: readonly string[] | undefined,
  ): { readonly allocationId: string; readonly address: string }[] {
    if (given !== undefined) return given.slice(0, count).map((id) => ({ allocationId: id, address: id }));
    return Array.from({ length: count }, (_, index) => {
      const eip = new ec2.CfnEIP(this, `EgressIp${index + 1}`, { domain: 'vpc' });
      eip.applyRemovalPolicy(RemovalPolicy.RETAIN);
      return { allocationId: eip.attrAllocationId, address: eip.ref };
    });
  }

  private natProvider(nat: Environment['network']['nat'], zones: number): ec2.NatProvider {
    const allocationIds = [...this.eipAllocationIds];
    if (nat !== 'regional') return ec2.NatProvider.gateway({ eipAllocationIds: allocationIds });
    // In automatic mode AWS would choose the addresses.
    return ec2.NatProvider.regionalGateway({
      availabilityZoneAddresses: Array.from({ length: zones }, (_, index) => ({
        availabilityZone: Fn.select(index, Fn.getAzs()),
        allocationIds: allocationIds.slice(index, index + 1),
      })),
    });
  }

  /**
   * IPv6 for the load balancer's subnets alone. `IpProtocol.DUAL_STACK` would give the private subnets a way out past
   * the fixed addresses.
   */
  private addIpv6(vpc: ec2.Vpc, subnets: readonly ec2.ISubnet[]): void {
    const block = new ec2.CfnVPCCidrBlock(this, 'Ipv6', {
      vpcId: vpc.vpcId,
      amazonProvidedIpv6CidrBlock: true,
    });
    const blocks = Fn.cidr(Fn.select(0, vpc.vpcIpv6CidrBlocks), 2 * MAX_ZONES, '64');
    subnets.forEach((subnet, index) => {
      const resource = subnet.node.defaultChild;
      if (!(resource instanceof ec2.CfnSubnet)) throw new Error('a subnet of the VPC is no CfnSubnet');
      resource.ipv6CidrBlock = Fn.select(index, blocks);
      resource.addResourceDependency(block);
      if (subnet instanceof ec2.PublicSubnet && vpc.internetGatewayId !== undefined) {
        subnet.addIpv6DefaultInternetRoute(vpc.internetGatewayId, vpc.node.findChild('VPCGW'));
      }
    });
  }

  private addFlowLogs(environment: Environment): void {
    this.vpc.addFlowLog('FlowLog', {
      destination: ec2.FlowLogDestination.toCloudWatchLogs(
        new logs.LogGroup(this, 'FlowLogs', {
          retention: logRetention(environment.observability.logRetentionDays),
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
      // One minute instead of ten: who spoke to whom is asked for while something is going on.
      maxAggregationInterval: ec2.FlowLogMaxAggregationInterval.ONE_MINUTE,
    });
  }

  /** Logs, secrets, images and the consumer registry, without the NAT and with its outage survived. */
  private addInterfaceEndpoints(withInstances: boolean): void {
    const securityGroup = new ec2.SecurityGroup(this, 'EndpointSecurityGroup', {
      vpc: this.vpc,
      description: 'AWS endpoints: HTTPS from inside the VPC',
      allowAllOutbound: false,
    });
    securityGroup.addIngressRule(ec2.Peer.ipv4(this.vpc.vpcCidrBlock), ec2.Port.HTTPS);
    // The rule cannot be evaluated: the VPC's range is an attribute in the template. It is never 0.0.0.0/0.
    Validations.of(securityGroup).acknowledge({
      id: 'AwsSolutions-EC23',
      reason: 'The only source is the range of the VPC itself.',
    });
    const services: Record<string, ec2.InterfaceVpcEndpointAwsService> = {
      EcrApi: ec2.InterfaceVpcEndpointAwsService.ECR,
      EcrDocker: ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
      Logs: ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
      SecretsManager: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
      AppConfigData: ec2.InterfaceVpcEndpointAwsService.APPCONFIGDATA,
      // Instances register themselves and report through these; Fargate does so behind the scenes.
      ...(withInstances
        ? {
            Ecs: ec2.InterfaceVpcEndpointAwsService.ECS,
            EcsAgent: ec2.InterfaceVpcEndpointAwsService.ECS_AGENT,
            EcsTelemetry: ec2.InterfaceVpcEndpointAwsService.ECS_TELEMETRY,
          }
        : {}),
    };
    for (const [name, service] of Object.entries(services)) {
      this.vpc.addInterfaceEndpoint(name, {
        service,
        securityGroups: [securityGroup],
        open: false,
        subnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      });
    }
  }
}

/** Room for three zones: a quarter of the range for each one's tasks, and the /27 that a load balancer wants (AWS: ALB). */
function subnetMasks(cidr: string): { readonly public: number; readonly private: number } {
  const prefix = Number(cidr.split('/')[1]);
  return { public: Math.min(prefix + 5, 27), private: prefix > 23 ? prefix + 3 : prefix + 2 };
}

/** The VPC that an operator names instead of having one made. */
export function existingVpc(scope: Construct, vpc: NonNullable<Region['existingVpc']>): ec2.IVpc {
  const given = ec2.Vpc.fromVpcAttributes(scope, 'Vpc', {
    vpcId: vpc.vpcId,
    vpcCidrBlock: vpc.cidr,
    availabilityZones: vpc.availabilityZones,
    privateSubnetIds: vpc.privateSubnetIds,
    ...(vpc.publicSubnetIds.length > 0 ? { publicSubnetIds: vpc.publicSubnetIds } : {}),
  });
  Validations.of(given).acknowledge({
    id: '@aws-cdk/aws-ec2:noSubnetRouteTableId',
    reason: 'Nothing routes here: the way out of a given VPC is its owner’s.',
  });
  return given;
}
