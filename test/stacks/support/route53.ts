/** A template as synthesized, as far as records and health checks are concerned. */
export interface DeployedTemplate {
  readonly region: string;
  readonly template: { readonly Resources?: Readonly<Record<string, unknown>> };
}

/** What is unhealthy while a question is answered. */
export interface Outage {
  /** Regions whose load balancer has no healthy target. */
  readonly loadBalancers?: readonly string[];
  /** Regions whose health checks fail. */
  readonly healthChecks?: readonly string[];
}

/** Who asks: from where, and which regions are near, the nearest first. */
export interface Resolver {
  readonly country: string;
  readonly nearest: readonly string[];
}

interface RecordProperties {
  readonly Name: string;
  readonly Type: string;
  readonly SetIdentifier?: string;
  readonly Region?: string;
  readonly Weight?: number;
  readonly GeoLocation?: { readonly CountryCode?: string };
  readonly HealthCheckId?: unknown;
  readonly AliasTarget?: { readonly DNSName: unknown; readonly EvaluateTargetHealth?: boolean };
}

interface DnsRecord extends RecordProperties {
  /** The region of the stack that holds it: its health check and load balancer are of the same. */
  readonly home: string;
}

/**
 * Answers as Route 53 does, over synthesized templates: weighted, latency and geolocation sets, aliases, health checks,
 * evaluated targets, and the rule that an unhealthy set is answered as if it were healthy.
 */
export class Route53Simulator {
  private readonly records: DnsRecord[];

  constructor(templates: readonly DeployedTemplate[]) {
    this.records = templates.flatMap(({ region, template }) =>
      Object.values(template.Resources ?? {})
        .map((resource) => resource as { Type: string; Properties: RecordProperties })
        .filter(({ Type }) => Type === 'AWS::Route53::RecordSet')
        .map(({ Properties }) => ({ ...Properties, home: region })),
    );
  }

  /** Names that have records of a type. */
  names(type: string): string[] {
    return [...new Set(this.records.filter((record) => record.Type === type).map(({ Name }) => Name))];
  }

  /** The routing policies of a name's records: more than one would be refused by Route 53. */
  policies(name: string, type: string): string[] {
    return [...new Set(this.set(name, type).map(policyOf))];
  }

  /** The region of the load balancer that a name leads to. */
  resolve(name: string, type: string, resolver: Resolver, outage: Outage = {}): string {
    const set = this.set(name, type);
    const record = this.choose(set, resolver, outage);
    const target = record.AliasTarget?.DNSName;
    if (target === undefined) throw new Error(`${name} ${type} is no alias`);
    return typeof target === 'string' ? this.resolve(`${target}.`, type, resolver, outage) : record.home;
  }

  private choose(set: readonly DnsRecord[], resolver: Resolver, outage: Outage): DnsRecord {
    const ranked = ranking(set, resolver);
    const chosen = ranked.find((record) => this.isHealthy(record, outage)) ?? ranked[0];
    if (chosen === undefined) throw new Error(`no record of ${set[0]?.Name ?? 'nothing'} answers ${resolver.country}`);
    return chosen;
  }

  private isHealthy(record: DnsRecord, outage: Outage): boolean {
    if (record.HealthCheckId !== undefined && outage.healthChecks?.includes(record.home) === true) return false;
    const target = record.AliasTarget;
    if (target?.EvaluateTargetHealth !== true) return true;
    return typeof target.DNSName === 'string'
      ? this.set(`${target.DNSName}.`, record.Type).some((member) => this.isHealthy(member, outage))
      : outage.loadBalancers?.includes(record.home) !== true;
  }

  private set(name: string, type: string): DnsRecord[] {
    const set = this.records.filter((record) => record.Name === name && record.Type === type);
    if (set.length === 0) throw new Error(`there is no record ${name} ${type}`);
    return set;
  }
}

function policyOf(record: DnsRecord): string {
  if (record.GeoLocation !== undefined) return 'geolocation';
  if (record.Region !== undefined) return 'latency';
  return record.Weight === undefined ? 'simple' : 'weighted';
}

/** The records that may answer, in the order in which they are tried. */
function ranking(set: readonly DnsRecord[], { country, nearest }: Resolver): DnsRecord[] {
  const first = set[0];
  if (first === undefined) return [];
  switch (policyOf(first)) {
    case 'geolocation':
      return [country, '*'].flatMap((code) => set.filter(({ GeoLocation }) => GeoLocation?.CountryCode === code));
    case 'latency':
      return nearest.flatMap((region) => set.filter(({ Region }) => Region === region));
    default:
      return [...set];
  }
}
