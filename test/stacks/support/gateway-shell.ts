import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import type { Environment, Region } from '../../../lib/config';

/** A stack with a bare load balancer and the zone: what constructs of the edge of a region are put on in tests. */
export class GatewayShell extends Stack {
  readonly loadBalancer: elbv2.ApplicationLoadBalancer;
  readonly hostedZone: route53.IHostedZone;

  constructor(environment: Environment, { region }: Region, app: App = new App()) {
    super(app, `Shell-${region}`, { env: { region } });
    this.loadBalancer = new elbv2.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: new ec2.Vpc(this, 'Vpc', { natGateways: 0 }) as ec2.IVpc,
      internetFacing: true,
    });
    this.hostedZone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: environment.domain?.hostedZoneId ?? '',
      zoneName: environment.domain?.hostedZoneName ?? '',
    });
  }

  /** The stack's template. */
  get synthesized(): Template {
    return Template.fromStack(this);
  }
}

/** The first region of an environment. */
export function firstRegion(environment: Environment): Region {
  const [first] = environment.regions;
  if (first === undefined) throw new Error('the environment has no region');
  return first;
}
