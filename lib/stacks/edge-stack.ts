import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import * as route53 from 'aws-cdk-lib/aws-route53';
import type { Construct } from 'constructs';
import type { Environment } from '../config';
import { EdgeDistribution } from '../constructs/edge-distribution';

/** Where CloudFront looks for its certificate, and so where this stack must stand. */
export const EDGE_REGION = 'us-east-1';

export interface EdgeStackProps extends StackProps {
  readonly environment: Environment;
}

/** CloudFront on its own host name; made only where `edge.enabled`. Its origin is the public name, whose stack comes first. */
export class EdgeStack extends Stack {
  constructor(scope: Construct, id: string, props: EdgeStackProps) {
    super(scope, id, props);
    const { environment } = props;
    const { domain, edge } = environment;
    if (this.region !== EDGE_REGION) throw new Error(`the edge stack belongs to ${EDGE_REGION}, not to ${this.region}`);
    if (domain === undefined || edge.hostname === undefined) {
      throw new Error(`environment "${environment.name}" has no domain or no edge.hostname`);
    }
    const hostedZone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: domain.hostedZoneId,
      zoneName: domain.hostedZoneName,
    });
    new EdgeDistribution(this, 'Edge', { environment, hostname: edge.hostname, hostedZone });
    new CfnOutput(this, 'EdgeUrl', { key: 'EdgeUrl', value: `https://${edge.hostname}` });
  }
}
