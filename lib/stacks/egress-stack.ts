import { Fn, Stack, type StackProps } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { Network } from '../constructs/network';
import { UpstreamCredentials } from '../constructs/upstream-credentials';

export interface EgressStackProps extends StackProps {
  readonly environment: Environment;
  readonly region: Region;
}

/**
 * What must outlive the gateway of a region: its network with the addresses that others have allowlisted, and the keys of
 * the upstreams.
 */
export class EgressStack extends Stack {
  readonly vpc: ec2.IVpc | undefined;
  readonly credentials: secretsmanager.ISecret | undefined;

  /** Whether there is anything for it to hold. */
  static isNeeded(environment: Environment, region: Region): boolean {
    return region.existingVpc === undefined || environment.auth.mode === 'keys';
  }

  constructor(scope: Construct, id: string, props: EgressStackProps) {
    super(scope, id, props);
    const { environment, region } = props;
    this.vpc = region.existingVpc === undefined ? new Network(this, 'Network', { environment, region }).vpc : undefined;
    this.credentials =
      environment.auth.mode === 'keys' ? new UpstreamCredentials(this, 'UpstreamCredentials').secret : undefined;
  }

  /** Zones by position, resolved at deploy: their names differ between accounts, and looking them up needs one. */
  override get availabilityZones(): string[] {
    return [0, 1, 2].map((index) => Fn.select(index, Fn.getAzs()));
  }
}
