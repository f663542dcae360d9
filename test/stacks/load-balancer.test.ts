import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { environment, ofType, stackOf, synthesize } from './support/synthesize';

const gateway = (change: EnvironmentInput = {}) => stackOf(synthesize([environment(change)]), 'Gateway');

const LOAD_BALANCER = 'AWS::ElasticLoadBalancingV2::LoadBalancer';
const LISTENER = 'AWS::ElasticLoadBalancingV2::Listener';
const TARGET_GROUP = 'AWS::ElasticLoadBalancingV2::TargetGroup';

const attributes = (values: Record<string, unknown>) =>
  Match.arrayWith(Object.entries(values).map(([Key, Value]) => ({ Key, Value })));

describe('public', () => {
  const { template } = gateway();

  test('dual stack, in the public subnets', () => {
    template.hasResourceProperties(LOAD_BALANCER, { Scheme: 'internet-facing', IpAddressType: 'dualstack' });
  });

  test('protected from deletion, and hardened', () => {
    template.hasResourceProperties(LOAD_BALANCER, {
      LoadBalancerAttributes: Match.arrayWith([{ Key: 'deletion_protection.enabled', Value: 'true' }]),
    });
    template.hasResourceProperties(LOAD_BALANCER, {
      LoadBalancerAttributes: Match.arrayWith([
        { Key: 'routing.http.drop_invalid_header_fields.enabled', Value: 'true' },
        { Key: 'routing.http.desync_mitigation_mode', Value: 'defensive' },
        { Key: 'routing.http.xff_header_processing.mode', Value: 'append' },
      ]),
    });
  });

  test('443 with a post-quantum policy that TLS 1.2 can speak to, 80 redirected', () => {
    template.hasResourceProperties(LISTENER, {
      Port: 443,
      Protocol: 'HTTPS',
      SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09',
    });
    template.hasResourceProperties(LISTENER, {
      Port: 80,
      DefaultActions: [
        { Type: 'redirect', RedirectConfig: { Protocol: 'HTTPS', Port: '443', StatusCode: 'HTTP_301' } },
      ],
    });
    template.resourceCountIs(LISTENER, 2);
  });

  test('TLS to the tasks, the least busy first, health by /readyz', () => {
    template.hasResourceProperties(TARGET_GROUP, {
      Protocol: 'HTTPS',
      Port: 8443,
      TargetType: 'ip',
      HealthCheckPath: '/readyz',
      HealthCheckProtocol: 'HTTPS',
      TargetGroupAttributes: attributes({ 'load_balancing.algorithm.type': 'least_outstanding_requests' }),
    });
  });

  test('the certificate names the gateway and the region, is proven by DNS, and renews', () => {
    template.hasResourceProperties('AWS::CertificateManager::Certificate', {
      DomainName: 'claude.example.com',
      SubjectAlternativeNames: ['eu-central-1.claude.example.com'],
      ValidationMethod: 'DNS',
      DomainValidationOptions: Match.arrayWith([
        { DomainName: 'claude.example.com', HostedZoneId: 'Z0123456789ABC' },
        { DomainName: 'eu-central-1.claude.example.com', HostedZoneId: 'Z0123456789ABC' },
      ]),
    });
  });

  test('access and connection logs go to a bucket that is encrypted, closed, kept and expiring', () => {
    template.hasResourceProperties(LOAD_BALANCER, {
      LoadBalancerAttributes: Match.arrayWith([
        { Key: 'access_logs.s3.enabled', Value: 'true' },
        { Key: 'connection_logs.s3.enabled', Value: 'true' },
      ]),
    });
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
        LifecycleConfiguration: { Rules: [Match.objectLike({ ExpirationInDays: 90, Status: 'Enabled' })] },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
      },
    });
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
  });
});

test('times follow maxStreamSeconds', () => {
  const { template } = gateway({ timeouts: { maxStreamSeconds: 600 } });
  template.hasResourceProperties(LOAD_BALANCER, {
    LoadBalancerAttributes: attributes({ 'idle_timeout.timeout_seconds': '630' }),
  });
  template.hasResourceProperties(TARGET_GROUP, {
    TargetGroupAttributes: attributes({ 'deregistration_delay.timeout_seconds': '600' }),
  });
});

test('a firewall that does not answer lets traffic pass, or not, as chosen', () => {
  const failOpen = (change: EnvironmentInput) =>
    JSON.stringify(ofType(gateway(change), LOAD_BALANCER)).includes('{"Key":"waf.fail_open.enabled","Value":"true"}');
  expect(failOpen({})).toBe(true);
  expect(failOpen({ firewall: { fail: 'closed' } })).toBe(false);
  expect(failOpen({ firewall: { enabled: false } })).toBe(false);
});

test('a given certificate is used, and none requested', () => {
  const certificateArn = 'arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef';
  const { template } = gateway({ regions: [{ region: 'eu-central-1', certificateArn }] });
  template.resourceCountIs('AWS::CertificateManager::Certificate', 0);
  template.hasResourceProperties(LISTENER, { Port: 443, Certificates: [{ CertificateArn: certificateArn }] });
});

test('mutual TLS verifies clients against the given trust store', () => {
  const { template } = gateway({ loadBalancer: { mutualTls: { bucketName: 'trust-store', key: 'authorities.pem' } } });
  template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TrustStore', {
    CaCertificatesBundleS3Bucket: 'trust-store',
    CaCertificatesBundleS3Key: 'authorities.pem',
  });
  template.hasResourceProperties(LISTENER, { Port: 443, MutualAuthentication: { Mode: 'verify' } });
});

test('internal: private subnets, private sources', () => {
  const stack = gateway({ loadBalancer: { exposure: 'internal' } });
  stack.template.hasResourceProperties(LOAD_BALANCER, { Scheme: 'internal' });
  const subnets = JSON.stringify(ofType(stack, LOAD_BALANCER)[0]?.[1].Properties?.['Subnets']);
  expect(subnets).toContain('PrivateSubnet');
  expect(subnets).not.toContain('PublicSubnet');
  const sources = ofType(stack, 'AWS::EC2::SecurityGroup').flatMap(
    ([, group]) => (group.Properties?.['SecurityGroupIngress'] ?? []) as { CidrIp?: string; CidrIpv6?: string }[],
  );
  expect([...new Set(sources.map(({ CidrIp, CidrIpv6 }) => CidrIp ?? CidrIpv6))]).toEqual([
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '100.64.0.0/10',
    'fc00::/7',
  ]);
});
