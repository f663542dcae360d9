import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as route53 from 'aws-cdk-lib/aws-route53';
import type { EnvironmentInput } from '../../lib/config';
import { RegionalDns } from '../../lib/constructs/regional-dns';
import { GlobalStack } from '../../lib/stacks/global-stack';
import { deployable } from './support/environment';
import { firstRegion, GatewayShell } from './support/gateway-shell';

function regional(change: EnvironmentInput = {}, healthCheckIds: string[] = []): Template {
  const environment = deployable(change);
  const region = firstRegion(environment);
  const stack = new GatewayShell(environment, region);
  new RegionalDns(stack, 'Dns', {
    environment,
    region,
    loadBalancer: stack.loadBalancer,
    hostedZone: stack.hostedZone,
    healthChecks: healthCheckIds.map((id) => route53.HealthCheck.fromHealthCheckId(stack, id, id)),
  });
  return stack.synthesized;
}

function global(change: EnvironmentInput = {}): Template {
  const stack = new GlobalStack(new App(), 'Global', { environment: deployable(change), env: { region: 'us-east-1' } });
  return Template.fromStack(stack);
}

describe('a region’s records', () => {
  const template = regional();

  test.each(['A', 'AAAA'])('hold a latency member and a name of its own (%s), each with the health check', (type) => {
    const shared = {
      Type: type,
      HostedZoneId: 'Z0123456789ABC',
      SetIdentifier: 'eu-central-1',
      HealthCheckId: { Ref: Match.stringLikeRegexp('^DnsHealthCheck') },
      AliasTarget: { EvaluateTargetHealth: true, DNSName: Match.objectLike({}) },
    };
    template.hasResourceProperties('AWS::Route53::RecordSet', {
      ...shared,
      Name: 'latency.claude.example.com.',
      Region: 'eu-central-1',
    });
    template.hasResourceProperties('AWS::Route53::RecordSet', {
      ...shared,
      Name: 'eu-central-1.claude.example.com.',
      Weight: 1,
    });
  });

  test('have no AAAA without dual stack', () => {
    const ipv4 = regional({ loadBalancer: { dualStack: false } });
    ipv4.resourceCountIs('AWS::Route53::RecordSet', 2);
    ipv4.allResourcesProperties('AWS::Route53::RecordSet', { Type: 'A' });
  });
});

describe('a region’s health', () => {
  const endpoint = {
    HealthCheckConfig: {
      Type: 'HTTPS',
      FullyQualifiedDomainName: 'eu-central-1.claude.example.com',
      Port: 443,
      ResourcePath: '/readyz',
      EnableSNI: true,
      RequestInterval: 30,
      FailureThreshold: 3,
    },
  };

  test('is the answer of /readyz at the region’s own name', () => {
    const template = regional();
    template.hasResourceProperties('AWS::Route53::HealthCheck', endpoint);
    template.hasResourceProperties('AWS::Route53::HealthCheck', {
      HealthCheckConfig: {
        Type: 'CALCULATED',
        ChildHealthChecks: [{ Ref: Match.stringLikeRegexp('^DnsEndpointCheck') }],
        HealthThreshold: 1,
      },
    });
  });

  test('is that and every further check', () => {
    regional({}, ['verdict']).hasResourceProperties('AWS::Route53::HealthCheck', {
      HealthCheckConfig: {
        Type: 'CALCULATED',
        ChildHealthChecks: [{ Ref: Match.stringLikeRegexp('^DnsEndpointCheck') }, 'verdict'],
        HealthThreshold: 2,
      },
    });
  });

  test.each<[string, EnvironmentInput]>([
    ['an internal load balancer', { loadBalancer: { exposure: 'internal' } }],
    ['mutual TLS', { loadBalancer: { mutualTls: { bucketName: 'trust', key: 'ca.pem' } } }],
  ])('is not asked from outside with %s', (_, change) => {
    const template = regional(change);
    template.resourceCountIs('AWS::Route53::HealthCheck', 0);
    template.allResourcesProperties('AWS::Route53::RecordSet', { HealthCheckId: Match.absent() });
    regional(change, ['verdict']).hasResourceProperties('AWS::Route53::HealthCheck', {
      HealthCheckConfig: { Type: 'CALCULATED', ChildHealthChecks: ['verdict'], HealthThreshold: 1 },
    });
  });
});

describe('the public name', () => {
  test('leads everybody to the latency set where no country is mapped', () => {
    const template = global();
    template.resourceCountIs('AWS::Route53::RecordSet', 2);
    template.allResourcesProperties('AWS::Route53::RecordSet', {
      Name: 'claude.example.com.',
      GeoLocation: { CountryCode: '*' },
      SetIdentifier: 'default',
      AliasTarget: {
        DNSName: 'latency.claude.example.com',
        HostedZoneId: 'Z0123456789ABC',
        EvaluateTargetHealth: true,
      },
    });
  });

  test('leads a mapped country to its region, and looks at its health unless it is pinned', () => {
    const template = global({
      routing: { countries: { JP: { region: 'ap-northeast-1' }, DE: { region: 'eu-central-1', pinned: true } } },
    });
    template.resourceCountIs('AWS::Route53::RecordSet', 6);
    for (const [country, region, evaluated] of [
      ['JP', 'ap-northeast-1', true],
      ['DE', 'eu-central-1', false],
    ]) {
      template.hasResourceProperties('AWS::Route53::RecordSet', {
        Name: 'claude.example.com.',
        GeoLocation: { CountryCode: country },
        SetIdentifier: country,
        AliasTarget: { DNSName: `${String(region)}.claude.example.com`, EvaluateTargetHealth: evaluated },
      });
    }
  });
});
