import { countryStatus } from '../countries';
import type { Environment } from '../derive';
import type { ConfigProblem } from '../errors';
import { hostnames } from '../hostnames';
import type { Rule } from '../ladder';
import { problem } from './problem';

/** ACM puts a certificate's first name into its common name, which X.509 limits to 64 octets. */
const MAX_CERTIFICATE_NAME = 64;
const MAX_HOSTNAME = 253;

/** There is somewhere to deploy to, and one DNS and one account can span it. */
export const regionsAreGiven: Rule = ({ regions }) => {
  if (regions.length === 0) return [problem('regions', 'is empty; a deployment needs at least one region')];
  return regions.flatMap(({ region, certificateArn }, index) => {
    const problems: ConfigProblem[] = [];
    if (/^(cn-|us-gov-|us-iso|eu-iso|eusc-)/.test(region)) {
      problems.push(
        problem(
          `regions[${index}].region`,
          `is "${region}"; must be a region of the aws partition, which one hosted zone and one account span`,
        ),
      );
    }
    if (certificateArn !== undefined && regionOfArn(certificateArn) !== region) {
      problems.push(
        problem(
          `regions[${index}].certificateArn`,
          `is of region "${regionOfArn(certificateArn)}"; must be of "${region}", for a load balancer uses certificates of its own region only`,
        ),
      );
    }
    return problems;
  });
};

/** The public name lies in the hosted zone, and what is derived from it is a name that DNS and ACM accept. */
export const domainIsInZone: Rule = ({ name: environmentName, domain, regions }) => {
  if (domain === undefined) {
    return [problem('domain', 'is missing; a deployment needs { name, hostedZoneId, hostedZoneName }')];
  }
  const problems: ConfigProblem[] = [];
  if (!isWithin(domain.name, domain.hostedZoneName)) {
    problems.push(outsideZone('domain.name', domain.name, domain.hostedZoneName));
  }
  const { regionalName } = hostnames({ name: environmentName, domain });
  for (const { region } of regions) {
    if (regionalName(region).length > MAX_HOSTNAME) {
      problems.push(
        problem(
          'domain.name',
          `makes the regional name of ${region} ${regionalName(region).length} characters long; DNS allows ${MAX_HOSTNAME}`,
        ),
      );
    }
  }
  if (domain.name.length > MAX_CERTIFICATE_NAME && regions.some(({ certificateArn }) => certificateArn === undefined)) {
    problems.push(
      problem(
        'domain.name',
        `has ${domain.name.length} characters; a requested ACM certificate allows ${MAX_CERTIFICATE_NAME}: give regions[].certificateArn or a shorter name`,
      ),
    );
  }
  return problems;
};

/** Countries are such as Route 53 and WAF know and Claude supports, and lead to regions that exist. */
export const countriesAreSupported: Rule = ({ routing, regions }) => {
  const problems: ConfigProblem[] = [];
  const names = regions.map(({ region }) => region);
  for (const [code, { region }] of Object.entries(routing.countries)) {
    problems.push(...unsupported(`routing.countries.${code}`, code));
    if (!names.includes(region)) {
      problems.push(
        problem(
          `routing.countries.${code}.region`,
          `is "${region}"; must be one of the environment's regions: ${names.join(', ') || 'none'}`,
        ),
      );
    }
    if (routing.allowCountries?.includes(code) === false) {
      problems.push(
        problem(
          `routing.countries.${code}`,
          'is mapped, but is not in routing.allowCountries, so that nobody there could connect',
        ),
      );
    }
  }
  routing.allowCountries?.forEach((code, index) => {
    problems.push(...unsupported(`routing.allowCountries[${index}]`, code));
  });
  return problems;
};

/** CloudFront has a name of its own and reaches an origin that serves it. */
export const edgeIsReachable: Rule = (environment) => {
  const { edge, domain, cache, loadBalancer, routing } = environment;
  if (!edge.enabled) return [];
  const problems: ConfigProblem[] = [];
  if (edge.hostname === undefined) {
    problems.push(problem('edge.hostname', 'is missing; must be given where edge.enabled is true'));
  } else if (domain !== undefined) {
    if (!isWithin(edge.hostname, domain.hostedZoneName)) {
      problems.push(outsideZone('edge.hostname', edge.hostname, domain.hostedZoneName));
    }
    const taken = takenNames(environment);
    if (taken.includes(edge.hostname)) {
      problems.push(
        problem('edge.hostname', `is "${edge.hostname}"; must be none of the gateway's own names: ${taken.join(', ')}`),
      );
    }
    if (edge.hostname.length > MAX_CERTIFICATE_NAME && edge.certificateArn === undefined) {
      problems.push(
        problem(
          'edge.hostname',
          `has ${edge.hostname.length} characters; a requested ACM certificate allows ${MAX_CERTIFICATE_NAME}: give edge.certificateArn or a shorter name`,
        ),
      );
    }
  }
  if (edge.certificateArn !== undefined && regionOfArn(edge.certificateArn) !== 'us-east-1') {
    problems.push(
      problem(
        'edge.certificateArn',
        `is of region "${regionOfArn(edge.certificateArn)}"; must be of "us-east-1", where CloudFront looks for certificates`,
      ),
    );
  }
  if (!cache.enabled || cache.ttl.edgeSeconds === 0) {
    problems.push(
      problem(
        'edge.enabled',
        'is true, but nothing is cached there: cache.enabled must be true and cache.ttl.edgeSeconds at least 1',
      ),
    );
  }
  if (loadBalancer.exposure === 'internal') {
    problems.push(
      problem(
        'edge.enabled',
        'is true with loadBalancer.exposure "internal"; must be false there: CloudFront reaches public names only',
      ),
    );
  }
  if (loadBalancer.mutualTls !== undefined) {
    problems.push(
      problem(
        'edge.enabled',
        'is true with loadBalancer.mutualTls; must be false there: CloudFront ends the client’s TLS and has no certificate of its own to show',
      ),
    );
  }
  if (routing.allowCountries !== undefined) {
    problems.push(
      problem(
        'edge.enabled',
        'is true with routing.allowCountries; must be false there: the firewall would judge CloudFront’s address, not the client’s',
      ),
    );
  }
  return problems;
};

function takenNames(environment: Environment): string[] {
  const { publicName, latencyName, regionalName } = hostnames(environment);
  return [publicName, latencyName, ...environment.regions.map(({ region }) => regionalName(region))];
}

function isWithin(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

function outsideZone(field: string, name: string, zone: string): ConfigProblem {
  return problem(field, `is "${name}"; must be "${zone}" (domain.hostedZoneName) or end in ".${zone}"`);
}

function regionOfArn(arn: string): string {
  return arn.split(':')[3] ?? '';
}

function unsupported(field: string, code: string): ConfigProblem[] {
  switch (countryStatus(code)) {
    case 'supported':
      return [];
    case 'unsupported':
      return [
        problem(
          field,
          `names "${code}"; must be a country that the Claude API supports (platform.claude.com/docs/en/api/supported-regions)`,
        ),
      ];
    case 'unknown':
      return [problem(field, `names "${code}"; must be an ISO 3166-1 alpha-2 code`)];
  }
}
