import { Fn, Stack, type StackProps } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { Network } from '../constructs/network';

export interface EgressStackProps extends StackProps {
  readonly environment: Environment;
  readonly region: Region;
}

/** What must outlive the gateway: the network of one region and the addresses that others have allowlisted. */
export class EgressStack extends Stack {
  readonly vpc: ec2.IVpc;

  constructor(scope: Construct, id: string, props: EgressStackProps) {
    super(scope, id, props);
    this.vpc = new Network(this, 'Network', props).vpc;
  }

  /** Zones by position, resolved at deploy: their names differ between accounts, and looking them up needs one. */
  override get availabilityZones(): string[] {
    return [0, 1, 2].map((index) => Fn.select(index, Fn.getAzs()));
  }
}
