import * as route53 from 'aws-cdk-lib/aws-route53';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { hostnames } from '../config/hostnames';
import { AliasOfRecord } from './alias-of-record';

export interface PublicNameProps {
  readonly environment: Environment;
  /** The public hosted zone of `domain`. */
  readonly hostedZone: route53.IHostedZone;
}

/**
 * The records of the public name: one for each mapped country, and one for everybody else.
 *
 * - Everybody else: the latency set, which answers with the nearest healthy region.
 * - A mapped country: its region's own name. When that is unhealthy, Route 53 takes the record of the next larger
 *   location, which is everybody else's: the fallback needs no records of its own.
 * - A country pinned for data residency: the same, but its target's health is not looked at, so that it stays.
 *
 * Geolocation is used even without a single country: records of one name cannot mix routing policies, so that a first
 * country would otherwise mean to delete the latency records that clients are being served from.
 */
export class PublicName extends Construct {
  constructor(scope: Construct, id: string, props: PublicNameProps) {
    super(scope, id);
    const { environment, hostedZone } = props;
    const { publicName, latencyName, regionalName } = hostnames(environment);

    this.addRecords('Default', environment, {
      zone: hostedZone,
      recordName: `${publicName}.`,
      setIdentifier: 'default',
      geoLocation: route53.GeoLocation.default(),
      target: route53.RecordTarget.fromAlias(new AliasOfRecord(latencyName, { evaluateTargetHealth: true })),
    });
    for (const [country, { region, pinned }] of Object.entries(environment.routing.countries)) {
      this.addRecords(country, environment, {
        zone: hostedZone,
        recordName: `${publicName}.`,
        setIdentifier: country,
        geoLocation: route53.GeoLocation.country(country),
        target: route53.RecordTarget.fromAlias(
          new AliasOfRecord(regionalName(region), { evaluateTargetHealth: !pinned }),
        ),
      });
    }
  }

  private addRecords(id: string, { loadBalancer }: Environment, record: route53.ARecordProps): void {
    new route53.ARecord(this, `${id}A`, record);
    if (loadBalancer.dualStack) new route53.AaaaRecord(this, `${id}Aaaa`, record);
  }
}
