import { Stack, type StackProps } from 'aws-cdk-lib';
import * as route53 from 'aws-cdk-lib/aws-route53';
import type { Construct } from 'constructs';
import type { Environment } from '../config';
import { PublicName } from '../constructs/public-name';

export interface GlobalStackProps extends StackProps {
  readonly environment: Environment;
}

/**
 * What belongs to no region: the records of the public name. Its aliases point at names that the gateway stacks make, so
 * that it is deployed after them and destroyed before them.
 */
export class GlobalStack extends Stack {
  constructor(scope: Construct, id: string, props: GlobalStackProps) {
    super(scope, id, props);
    const { environment } = props;
    if (environment.domain === undefined) throw new Error(`environment "${environment.name}" has no domain`);
    const hostedZone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: environment.domain.hostedZoneId,
      zoneName: environment.domain.hostedZoneName,
    });
    new PublicName(this, 'PublicName', { environment, hostedZone });
  }
}
