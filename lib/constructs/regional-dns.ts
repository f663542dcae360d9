import { CfnOutput, Duration } from 'aws-cdk-lib';
import type { IApplicationLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { hostnames } from '../config/hostnames';
import { READY_PATH } from '../gateway-image';

export interface RegionalDnsProps {
  readonly environment: Environment;
  readonly region: Region;
  readonly loadBalancer: IApplicationLoadBalancer;
  /** The public hosted zone of `domain`. */
  readonly hostedZone: route53.IHostedZone;
  /**
   * What must be healthy too for the region to be answered with, such as the verdict of the region-health controller.
   * @default - none
   */
  readonly healthChecks?: readonly route53.IHealthCheck[];
}

/**
 * One region's part of the names: its own name `<region>.<domain>`, and its member of the latency set
 * `latency.<domain>`, which the records of the public name (GlobalStack) refer to.
 *
 * Both are held against the same health check and the load balancer's own health. The regional name is a weighted set
 * of one for that reason only: a simple record takes no health check, and without one the country map could not leave a
 * region. Asked for by itself it is answered even when unhealthy, for Route 53 answers with what there is when nothing
 * is healthy; so the checkers, who ask for this very name, see a region recover.
 */
export class RegionalDns extends Construct {
  /** The region's health as Route 53 sees it; undefined where there is nothing but the load balancer to go by. */
  readonly healthCheck: route53.IHealthCheck | undefined;

  constructor(scope: Construct, id: string, props: RegionalDnsProps) {
    super(scope, id);
    const { environment, hostedZone, loadBalancer } = props;
    const { region } = props.region;
    const { latencyName, regionalName } = hostnames(environment);
    this.healthCheck = this.makeHealthCheck(props);

    const record = {
      zone: hostedZone,
      setIdentifier: region,
      target: route53.RecordTarget.fromAlias(new LoadBalancerTarget(loadBalancer, { evaluateTargetHealth: true })),
      ...(this.healthCheck === undefined ? {} : { healthCheck: this.healthCheck }),
    };
    const own = { ...record, recordName: `${regionalName(region)}.`, weight: 1 };
    const latency = { ...record, recordName: `${latencyName}.`, region };
    new route53.ARecord(this, 'RegionalA', own);
    new route53.ARecord(this, 'LatencyA', latency);
    if (environment.loadBalancer.dualStack) {
      new route53.AaaaRecord(this, 'RegionalAaaa', own);
      new route53.AaaaRecord(this, 'LatencyAaaa', latency);
    }
  }

  private makeHealthCheck(props: RegionalDnsProps): route53.IHealthCheck | undefined {
    const { environment, region, healthChecks = [] } = props;
    const children = isCheckedFromOutside(environment)
      ? [this.endpointCheck(hostnames(environment).regionalName(region.region)), ...healthChecks]
      : [...healthChecks];
    if (children.length === 0) return undefined;
    // Calculated even from a single one, so that a check that comes later replaces nothing that records refer to.
    const healthCheck = new route53.HealthCheck(this, 'HealthCheck', {
      type: route53.HealthCheckType.CALCULATED,
      childHealthChecks: children,
      healthThreshold: children.length,
    });
    new CfnOutput(this, 'RegionHealthCheckId', {
      key: 'RegionHealthCheckId',
      description: 'Inverted by hand, it takes a healthy region out of DNS (docs/deploy.md)',
      value: healthCheck.healthCheckId,
    });
    return healthCheck;
  }

  private endpointCheck(fqdn: string): route53.IHealthCheck {
    return new route53.HealthCheck(this, 'EndpointCheck', {
      type: route53.HealthCheckType.HTTPS,
      fqdn,
      port: 443,
      resourcePath: READY_PATH,
      enableSNI: true,
      requestInterval: Duration.seconds(30),
      failureThreshold: 3,
    });
  }
}

/** Whether Route 53's checkers can ask at all: they have no way into a VPC, and no client certificate to show. */
function isCheckedFromOutside({ loadBalancer }: Environment): boolean {
  return loadBalancer.exposure === 'public' && loadBalancer.mutualTls === undefined;
}
