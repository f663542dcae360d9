import { deployedStacks } from './support/deployed';
import { deployable } from './support/environment';
import { Route53Simulator, type Outage } from './support/route53';

const PUBLIC_NAME = 'claude.example.com.';
const REGIONS = ['eu-central-1', 'ap-northeast-1', 'us-east-1'];
const PINNED = { DE: 'eu-central-1' };
const MAPPED = { JP: 'ap-northeast-1', KR: 'ap-northeast-1', CA: 'us-east-1' };

const environment = deployable({
  routing: {
    countries: {
      ...Object.fromEntries(Object.entries(MAPPED).map(([code, region]) => [code, { region }])),
      ...Object.fromEntries(Object.entries(PINNED).map(([code, region]) => [code, { region, pinned: true }])),
    },
  },
});

/** The whole app, as `cdk deploy` would make it. */
const stacks = deployedStacks(environment);

/** The ways in which a region can be gone. */
const outages = (...regions: string[]): Outage[] => [
  { loadBalancers: regions },
  { healthChecks: regions },
  { loadBalancers: regions, healthChecks: regions },
];

const rotations = REGIONS.map((_, index) => [...REGIONS.slice(index), ...REGIONS.slice(0, index)]);

describe.each(['A', 'AAAA'])('from the public name to a load balancer (%s)', (type) => {
  const dns = new Route53Simulator(stacks);
  const ask = (country: string, nearest: readonly string[], outage?: Outage): string =>
    dns.resolve(PUBLIC_NAME, type, { country, nearest }, outage);

  test('no name mixes routing policies', () => {
    expect(Object.fromEntries(dns.names(type).map((name) => [name, dns.policies(name, type)]))).toEqual({
      [PUBLIC_NAME]: ['geolocation'],
      'latency.claude.example.com.': ['latency'],
      ...Object.fromEntries(REGIONS.map((region) => [`${region}.claude.example.com.`, ['weighted']])),
    });
  });

  test.each(Object.entries({ ...MAPPED, ...PINNED }))('%s reaches %s wherever it is', (country, region) => {
    for (const nearest of rotations) expect(ask(country, nearest)).toBe(region);
  });

  test('everybody else, and whom Route 53 cannot place, reaches the nearest region', () => {
    for (const country of ['FR', 'ZZ']) for (const nearest of rotations) expect(ask(country, nearest)).toBe(nearest[0]);
  });

  test.each(REGIONS)('with %s unhealthy, whoever is not pinned to it reaches the nearest other region', (gone) => {
    for (const outage of outages(gone)) {
      for (const nearest of rotations) {
        const left = nearest.filter((region) => region !== gone)[0];
        for (const [country, region] of Object.entries(MAPPED)) {
          expect(ask(country, nearest, outage)).toBe(region === gone ? left : region);
        }
        for (const [country, region] of Object.entries(PINNED)) expect(ask(country, nearest, outage)).toBe(region);
        expect(ask('FR', nearest, outage)).toBe(left);
      }
    }
  });

  test.each(REGIONS)('with only %s healthy, everybody who is not pinned elsewhere reaches it', (left) => {
    for (const outage of outages(...REGIONS.filter((region) => region !== left))) {
      for (const country of [...Object.keys(MAPPED), 'FR']) expect(ask(country, REGIONS, outage)).toBe(left);
    }
  });

  test('with every region unhealthy, everybody is answered as if all were healthy', () => {
    for (const outage of outages(...REGIONS)) {
      for (const [country, region] of Object.entries({ ...MAPPED, ...PINNED })) {
        expect(ask(country, REGIONS, outage)).toBe(region);
      }
      expect(ask('FR', REGIONS, outage)).toBe(REGIONS[0]);
    }
  });

  test.each(REGIONS)('%s stays reachable by its own name while unhealthy, so that its recovery is seen', (region) => {
    for (const outage of outages(region)) {
      expect(dns.resolve(`${region}.claude.example.com.`, type, { country: 'FR', nearest: REGIONS }, outage)).toBe(
        region,
      );
    }
  });
});

test.each(REGIONS)('the load balancer that names of %s lead to forwards 443 to a target group', (region) => {
  const gateway = stacks.find((stack) => stack.region === region && stack.name.endsWith('-gateway'));
  const resources = Object.values(gateway?.template.Resources ?? {}) as Resource[];
  const of = (type: string): Resource[] => resources.filter(({ Type }) => Type === type);
  const aliases = of('AWS::Route53::RecordSet').map(({ Properties }) =>
    JSON.stringify((Properties['AliasTarget'] as { DNSName: unknown }).DNSName),
  );
  const listeners = of('AWS::ElasticLoadBalancingV2::Listener').filter(({ Properties }) => Properties['Port'] === 443);
  expect(listeners).toHaveLength(1);
  const { Ref: loadBalancer } = listeners[0]?.Properties['LoadBalancerArn'] as { Ref: string };
  expect(aliases).toHaveLength(4);
  for (const alias of aliases) expect(alias).toContain(`{"Fn::GetAtt":["${loadBalancer}","DNSName"]}`);
  expect(listeners[0]?.Properties['DefaultActions']).toMatchObject([
    { Type: 'forward', TargetGroupArn: { Ref: expect.any(String) as string } },
  ]);
});

interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
}
