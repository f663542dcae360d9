import type { AliasRecordTargetConfig, IAliasRecordTarget, IHostedZone, IRecordSet } from 'aws-cdk-lib/aws-route53';

/**
 * An alias to another name of the same zone, which may be another stack's. The library's own target takes a construct
 * only and never evaluates the target's health.
 *
 * Route 53 refuses an alias to a name that has no record yet: the stack that makes that record is deployed first.
 */
export class AliasOfRecord implements IAliasRecordTarget {
  constructor(
    private readonly dnsName: string,
    private readonly options: { readonly evaluateTargetHealth: boolean },
  ) {}

  bind(_record: IRecordSet, zone?: IHostedZone): AliasRecordTargetConfig {
    if (zone === undefined) throw new Error(`the alias to ${this.dnsName} needs the hosted zone that holds it`);
    return { dnsName: this.dnsName, hostedZoneId: zone.hostedZoneId, ...this.options };
  }
}
