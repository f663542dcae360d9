import type { EnvironmentInput } from '../../lib/config';
import { registryRollout } from '../../lib/config/aws-limits';
import { ROUTE_CLASSES } from '../../lib/config';
import { renderImage } from '../../lib/gateway-image';
import { environment, ofType, stackOf, synthesize, type SynthesizedStack } from './support/synthesize';

/** Attribute of a load balancer or target group, as a number of seconds. */
function attribute(stack: SynthesizedStack, type: string, list: string, key: string): number {
  const [, resource] = ofType(stack, type)[0] ?? [];
  const attributes = resource?.Properties?.[list] as { Key: string; Value: string }[];
  return Number(attributes.find(({ Key }) => Key === key)?.Value);
}

/** Every value that a directive of nginx has in the rendered files, in seconds. */
function directive(files: Readonly<Record<string, string>>, name: string): number[] {
  return Object.values(files).flatMap((text) =>
    [...text.matchAll(new RegExp(`^\\s*${name} (\\d+)s;`, 'gm'))].map(([, value]) => Number(value)),
  );
}

const CASES: Record<string, EnvironmentInput> = {
  'by default': {},
  'with short streams': { timeouts: { maxStreamSeconds: 300 } },
  'with long silence': { timeouts: { upstream: { readSeconds: { generate: 1800 } } } },
  'behind CloudFront': { edge: { enabled: true, hostname: 'models.example.com' } },
  'on instances': { compute: { type: 'ec2' } },
};

describe.each(Object.entries(CASES))('from the client to the upstream %s', (_name, change) => {
  const env = environment(change);
  const stacks = synthesize([env]);
  const gateway = stackOf(stacks, 'Gateway');
  const files = renderImage(env, { region: { region: 'eu-central-1' }, loadBalancerRanges: ['10.64.0.0/25'] });

  const idle = attribute(
    gateway,
    'AWS::ElasticLoadBalancingV2::LoadBalancer',
    'LoadBalancerAttributes',
    'idle_timeout.timeout_seconds',
  );
  const drain = attribute(
    gateway,
    'AWS::ElasticLoadBalancingV2::TargetGroup',
    'TargetGroupAttributes',
    'deregistration_delay.timeout_seconds',
  );
  const reads = directive(files, 'proxy_read_timeout');
  const [send = 0] = directive(files, 'send_timeout');
  const [keepalive = 0] = directive(files, 'keepalive_timeout');

  test('each hop waits longer than the next', () => {
    // Each route class where clients come in, and again behind the fetches of the cache.
    expect(reads.length).toBeGreaterThanOrEqual(ROUTE_CLASSES.length);
    expect(Math.max(...reads)).toBeLessThan(send);
    expect(send).toBeLessThan(idle);
    expect(idle).toBeLessThanOrEqual(4000);
  });

  test('nginx closes no connection that the load balancer may still use', () => {
    expect(keepalive).toBeGreaterThan(idle);
  });

  test('no stream is cut by a deployment', () => {
    expect(drain).toBeGreaterThanOrEqual(env.timeouts.maxStreamSeconds);
    const [shutdown = 0] = directive(files, 'worker_shutdown_timeout');
    expect(shutdown).toBeGreaterThanOrEqual(env.timeouts.maxStreamSeconds);
  });

  test('the load balancer, the task and nginx mean the same port and the same check', () => {
    const [, group] = ofType(gateway, 'AWS::ElasticLoadBalancingV2::TargetGroup')[0] ?? [];
    const [, service] = ofType(gateway, 'AWS::ECS::Service')[0] ?? [];
    expect(files['server/listen.conf']).toContain(`listen 0.0.0.0:${String(group?.Properties?.['Port'])} ssl`);
    expect(files['server/health.conf']).toContain(`location = ${String(group?.Properties?.['HealthCheckPath'])} `);
    expect(service?.Properties?.['LoadBalancers']).toMatchObject([{ ContainerPort: group?.Properties?.['Port'] }]);
  });

  test('by the edge as well', () => {
    if (!env.edge.enabled) {
      expect(stacks.filter(({ path }) => path.endsWith('/Edge'))).toEqual([]);
      return;
    }
    const edge = stackOf(stacks, 'Edge');
    const [, distribution] = ofType(edge, 'AWS::CloudFront::Distribution')[0] ?? [];
    const { Origins } = distribution?.Properties?.['DistributionConfig'] as {
      Origins: { CustomOriginConfig: { OriginReadTimeout: number } }[];
    };
    expect(env.timeouts.upstream.readSeconds.models).toBeLessThan(
      Origins[0]?.CustomOriginConfig.OriginReadTimeout ?? 0,
    );
    expect(reads).toContain(env.timeouts.upstream.readSeconds.models);

    const [, policy] = ofType(edge, 'AWS::CloudFront::CachePolicy')[0] ?? [];
    const { MaxTTL } = policy?.Properties?.['CachePolicyConfig'] as { MaxTTL: number };
    expect(MaxTTL).toBeLessThanOrEqual(env.cache.ttl.proxySeconds);
    expect(MaxTTL + registryRollout(env).boundSeconds).toBeLessThanOrEqual(env.auth.revocationSeconds);
  });
});
