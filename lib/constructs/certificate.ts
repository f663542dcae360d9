import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import type * as route53 from 'aws-cdk-lib/aws-route53';
import { Construct } from 'constructs';
import type { Environment, Region } from '../config';
import { hostnames } from '../config/hostnames';

export interface GatewayCertificateProps {
  readonly environment: Environment;
  readonly region: Region;
  /** Zone of the names: ACM proves by a record in it that they are ours, now and at each renewal. */
  readonly hostedZone: route53.IHostedZone;
}

/**
 * The certificate that clients of one region see: on the name of all regions and on the region's own. ACM renews it as
 * long as its validation record stands, which is why that record is never deleted with the stack.
 */
export class GatewayCertificate extends Construct {
  readonly certificate: acm.ICertificate;

  constructor(scope: Construct, id: string, props: GatewayCertificateProps) {
    super(scope, id);
    if (props.region.certificateArn !== undefined) {
      this.certificate = acm.Certificate.fromCertificateArn(this, 'Given', props.region.certificateArn);
      return;
    }
    const { publicName, regionalName } = hostnames(props.environment);
    this.certificate = new acm.Certificate(this, 'Certificate', {
      domainName: publicName,
      subjectAlternativeNames: [regionalName(props.region.region)],
      validation: acm.CertificateValidation.fromDns(props.hostedZone),
    });
  }
}
