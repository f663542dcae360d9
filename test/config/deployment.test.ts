import { ConfigError, resolveEnvironment, type EnvironmentInput } from '../../lib/config';
import { countryStatus, SUPPORTED_COUNTRIES, TERRITORIES, UNSUPPORTED_COUNTRIES } from '../../lib/config/countries';
import { DEPLOYMENT_RULES, tasksAfterZoneLoss } from '../../lib/config/deployment';
import { deepMerge } from '../../lib/config/paths';

const GOOD: EnvironmentInput = {
  regions: [{ region: 'eu-central-1' }, { region: 'ap-northeast-1' }],
  domain: { name: 'claude.example.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' },
};

const VPC = {
  vpcId: 'vpc-0123456789abcdef0',
  cidr: '10.0.0.0/16',
  availabilityZones: ['eu-central-1a', 'eu-central-1b'],
  publicSubnetIds: ['subnet-00000001', 'subnet-00000002'],
  privateSubnetIds: ['subnet-00000003', 'subnet-00000004'],
};

const EDGE: EnvironmentInput = { edge: { enabled: true, hostname: 'models.example.com' } };
const LONG = `${'a'.repeat(60)}.example.com`;
const eip = (digit: string): string => `eipalloc-${digit.repeat(8)}`;

function problemsOf(change: EnvironmentInput, base: EnvironmentInput = GOOD): string[] {
  try {
    resolveEnvironment({ environments: { production: deepMerge(base, change) as EnvironmentInput } }, 'production', [
      ...DEPLOYMENT_RULES,
    ]);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ field, message }) => `${field}: ${message}`);
  }
}

const REFUSED: [string, EnvironmentInput, string[]][] = [
  ['no region', { regions: [] }, ['regions: is empty; a deployment needs at least one region']],
  [
    'a region of another partition',
    { regions: [{ region: 'cn-north-1' }] },
    [
      'regions[0].region: is "cn-north-1"; must be a region of the aws partition, which one hosted zone and one account span',
    ],
  ],
  [
    'a certificate of another region',
    { regions: [{ region: 'eu-central-1', certificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/x' }] },
    [
      'regions[0].certificateArn: is of region "us-east-1"; must be of "eu-central-1", for a load balancer uses certificates of its own region only',
    ],
  ],
  [
    'a name outside the zone',
    { domain: { name: 'claude.example.org', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' } },
    ['domain.name: is "claude.example.org"; must be "example.com" (domain.hostedZoneName) or end in ".example.com"'],
  ],
  [
    'a name that only ends like the zone',
    { domain: { name: 'badexample.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' } },
    ['domain.name: is "badexample.com"; must be "example.com" (domain.hostedZoneName) or end in ".example.com"'],
  ],
  [
    'a name too long for a certificate',
    { domain: { name: LONG, hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' } },
    [
      'domain.name: has 72 characters; a requested ACM certificate allows 64: give regions[].certificateArn or a shorter name',
    ],
  ],
  [
    'a name too long for DNS',
    {
      regions: [{ region: 'ap-northeast-1', certificateArn: 'arn:aws:acm:ap-northeast-1:123456789012:certificate/x' }],
      domain: {
        name: `${Array.from({ length: 4 }, () => 'a'.repeat(58)).join('.')}.example.com`,
        hostedZoneId: 'Z0123456789ABC',
        hostedZoneName: 'example.com',
      },
    },
    ['domain.name: makes the regional name of ap-northeast-1 262 characters long; DNS allows 253'],
  ],
  [
    'a country that Claude does not support',
    { routing: { countries: { KP: { region: 'ap-northeast-1' } } } },
    [
      'routing.countries.KP: names "KP"; must be a country that the Claude API supports (platform.claude.com/docs/en/api/supported-regions)',
    ],
  ],
  [
    'a country that does not exist',
    { routing: { countries: { XX: { region: 'ap-northeast-1' } } } },
    ['routing.countries.XX: names "XX"; must be an ISO 3166-1 alpha-2 code'],
  ],
  [
    'a country that leads nowhere',
    { routing: { countries: { JP: { region: 'us-east-1' } } } },
    [
      'routing.countries.JP.region: is "us-east-1"; must be one of the environment\'s regions: eu-central-1, ap-northeast-1',
    ],
  ],
  [
    'a mapped country that may not connect',
    { routing: { countries: { JP: { region: 'ap-northeast-1' } }, allowCountries: ['DE'] } },
    ['routing.countries.JP: is mapped, but is not in routing.allowCountries, so that nobody there could connect'],
  ],
  [
    'an allowed country that Claude does not support',
    { routing: { allowCountries: ['DE', 'RU'] } },
    [
      'routing.allowCountries[1]: names "RU"; must be a country that the Claude API supports (platform.claude.com/docs/en/api/supported-regions)',
    ],
  ],
  [
    'an edge without a name',
    { edge: { enabled: true } },
    ['edge.hostname: is missing; must be given where edge.enabled is true'],
  ],
  [
    'an edge outside the zone',
    { edge: { enabled: true, hostname: 'models.example.org' } },
    ['edge.hostname: is "models.example.org"; must be "example.com" (domain.hostedZoneName) or end in ".example.com"'],
  ],
  ...['claude.example.com', 'latency.claude.example.com', 'ap-northeast-1.claude.example.com'].map(
    (hostname): [string, EnvironmentInput, string[]] => [
      `an edge at ${hostname}`,
      { edge: { enabled: true, hostname } },
      [
        `edge.hostname: is "${hostname}"; must be none of the gateway's own names: claude.example.com, latency.claude.example.com, eu-central-1.claude.example.com, ap-northeast-1.claude.example.com`,
      ],
    ],
  ),
  [
    'an edge name too long for a certificate',
    { edge: { enabled: true, hostname: LONG } },
    [
      'edge.hostname: has 72 characters; a requested ACM certificate allows 64: give edge.certificateArn or a shorter name',
    ],
  ],
  [
    'an edge certificate elsewhere',
    deepMerge(EDGE, {
      edge: { certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/x' },
    }) as EnvironmentInput,
    [
      'edge.certificateArn: is of region "eu-central-1"; must be of "us-east-1", where CloudFront looks for certificates',
    ],
  ],
  [
    'an edge that caches nothing',
    { ...EDGE, cache: { ttl: { edgeSeconds: 0 } } },
    [
      'edge.enabled: is true, but nothing is cached there: cache.enabled must be true and cache.ttl.edgeSeconds at least 1',
    ],
  ],
  [
    'an edge without a cache',
    { ...EDGE, cache: { enabled: false } },
    [
      'edge.enabled: is true, but nothing is cached there: cache.enabled must be true and cache.ttl.edgeSeconds at least 1',
    ],
  ],
  [
    'an edge before internal load balancers',
    { ...EDGE, loadBalancer: { exposure: 'internal' } },
    [
      'edge.enabled: is true with loadBalancer.exposure "internal"; must be false there: CloudFront reaches public names only',
    ],
  ],
  [
    'an edge before mutual TLS',
    { ...EDGE, loadBalancer: { mutualTls: { bucketName: 'trust', key: 'ca.pem' } } },
    [
      'edge.enabled: is true with loadBalancer.mutualTls; must be false there: CloudFront ends the client’s TLS and has no certificate of its own to show',
    ],
  ],
  [
    'an edge with a country allowlist',
    { ...EDGE, routing: { allowCountries: ['DE'] } },
    [
      'edge.enabled: is true with routing.allowCountries; must be false there: the firewall would judge CloudFront’s address, not the client’s',
    ],
  ],
  [
    'too few addresses',
    { regions: [{ region: 'eu-central-1', eipAllocationIds: [eip('1')] }] },
    ['regions[0].eipAllocationIds: holds 1; must hold 2, for network.nat "perAz" over 2 AZs'],
  ],
  [
    'too few addresses for a regional NAT gateway',
    {
      regions: [{ region: 'eu-central-1', eipAllocationIds: [eip('1'), eip('2')] }],
      network: { nat: 'regional', availabilityZones: 3 },
    },
    ['regions[0].eipAllocationIds: holds 2; must hold 3, for network.nat "regional" over 3 AZs'],
  ],
  [
    'too many addresses',
    { regions: [{ region: 'eu-central-1', eipAllocationIds: [eip('1'), eip('2')] }], network: { nat: 'single' } },
    ['regions[0].eipAllocationIds: holds 2; must hold 1, for network.nat "single" over 2 AZs'],
  ],
  [
    'an address twice',
    {
      regions: [
        { region: 'eu-central-1', eipAllocationIds: [eip('1'), eip('2')] },
        { region: 'ap-northeast-1', eipAllocationIds: [eip('2'), eip('3')] },
      ],
    },
    [
      'regions[1].eipAllocationIds: holds "eipalloc-22222222", which eu-central-1 holds already; an address serves one NAT gateway',
    ],
  ],
  [
    'addresses for a VPC that exists',
    { regions: [{ region: 'eu-central-1', eipAllocationIds: [eip('1'), eip('2')], existingVpc: VPC }] },
    [
      'regions[0].eipAllocationIds: is given with existingVpc; must be left out: the NAT of a VPC that exists already has its addresses',
    ],
  ],
  [
    'a VPC with too few AZs',
    { regions: [{ region: 'eu-central-1', existingVpc: VPC }], network: { availabilityZones: 3 } },
    ['regions[0].existingVpc.availabilityZones: holds 2; must hold at least network.availabilityZones (3)'],
  ],
  [
    'a VPC of another region',
    { regions: [{ region: 'us-east-1', existingVpc: { ...VPC, availabilityZones: ['us-east-1a', 'us-west-2a'] } }] },
    ['regions[0].existingVpc.availabilityZones: holds "us-west-2a"; must be AZs of us-east-1'],
  ],
  [
    'a VPC with too few private subnets',
    {
      regions: [
        {
          region: 'eu-central-1',
          existingVpc: { ...VPC, privateSubnetIds: [...VPC.privateSubnetIds, 'subnet-00000005'] },
        },
      ],
    },
    ['regions[0].existingVpc.privateSubnetIds: holds 3; must hold 2, one for each of availabilityZones in its order'],
  ],
  [
    'a VPC without public subnets',
    { regions: [{ region: 'eu-central-1', existingVpc: { ...VPC, publicSubnetIds: [] } }] },
    ['regions[0].existingVpc.publicSubnetIds: holds 0; must hold 2, one for each of availabilityZones in its order'],
  ],
  [
    'a range too small for a VPC',
    { regions: [{ region: 'eu-central-1', vpcCidr: '10.0.0.0/25' }] },
    ['regions[0].vpcCidr: is "10.0.0.0/25"; must be an IPv4 block from /16, the largest of a VPC, to /24'],
  ],
  [
    'an IPv6 range',
    { regions: [{ region: 'eu-central-1', vpcCidr: 'fd00::/20' }] },
    ['regions[0].vpcCidr: is "fd00::/20"; must be an IPv4 block from /16, the largest of a VPC, to /24'],
  ],
  [
    'a range that begins in the middle of itself',
    { regions: [{ region: 'eu-central-1', vpcCidr: '10.64.8.0/20' }] },
    ['regions[0].vpcCidr: is "10.64.8.0/20"; must begin at a multiple of its own size'],
  ],
  [
    'hops that are everybody',
    { clientAddress: { trustedHops: ['10.0.0.0/8', '0.0.0.0/0', '::/0'] } },
    [
      'clientAddress.trustedHops[1]: is "0.0.0.0/0"; must be /8 or narrower, or clients could forge their address',
      'clientAddress.trustedHops[2]: is "::/0"; must be /32 or narrower, or clients could forge their address',
    ],
  ],
  [
    'one task',
    { compute: { minTasks: 1 } },
    ['compute.minTasks: is 1; must be at least 2, so that a task is left when one of 2 AZs is lost'],
  ],
  [
    'one task in one region',
    { regions: [{ region: 'eu-central-1', minTasks: 1 }] },
    ['regions[0].minTasks: is 1; must be at least 2, so that a task is left when one of 2 AZs is lost'],
  ],
  [
    'a floor over the ceiling',
    { compute: { minTasks: 30 } },
    ['compute.minTasks: is 30; must be at most maxTasks (20)'],
  ],
  [
    'a floor over the ceiling of one region',
    { regions: [{ region: 'eu-central-1', minTasks: 5, maxTasks: 4 }] },
    ['regions[0].minTasks: is 5; must be at most maxTasks (4)'],
  ],
  [
    'a schedule over one region’s ceiling',
    {
      regions: [{ region: 'eu-central-1' }, { region: 'ap-northeast-1', maxTasks: 4 }],
      compute: { schedules: [{ cron: '0 8 ? * MON-FRI *', minTasks: 6 }] },
    },
    ['compute.schedules[0].minTasks: is 6; must be at most the 4 tasks of ap-northeast-1'],
  ],
  [
    'a schedule that leaves one task',
    { compute: { schedules: [{ cron: '0 20 ? * MON-FRI *', minTasks: 1 }] } },
    ['compute.schedules[0].minTasks: is 1; must be at least 2, so that a task is left when one of 2 AZs is lost'],
  ],
  [
    'a size that Fargate does not offer',
    { compute: { cpu: 256, memoryMiB: 4096 } },
    ['compute.memoryMiB: is 4096; with compute.cpu 256 Fargate offers 512, 1024, 2048'],
  ],
  [
    'a large size that Fargate does not offer',
    { compute: { cpu: 8192, memoryMiB: 18_432 } },
    [
      'compute.memoryMiB: is 18432; with compute.cpu 8192 Fargate offers 16384, 20480, 24576, 28672, 32768, 36864, 40960, 45056, 49152, 53248, 57344, 61440',
    ],
  ],
  [
    'instances that the image does not run on',
    { compute: { type: 'ec2', instanceType: 'm7gd.large' } },
    [
      'compute.instanceType: is "m7gd.large", of Graviton; must be x86_64, which image and AMI are of, such as c6i.large',
    ],
  ],
  [
    'stored answers that fill a serverless Valkey',
    { valkey: { mode: 'serverless', maxDataGb: 1 }, cache: { sharedBytes: 800_000_001 } },
    ['cache.sharedBytes: is 800000001; must be at most 800000000, four fifths of valkey.maxDataGb (1)'],
  ],
  [
    'a cache that leaves a task no memory',
    { cache: { nodeBytes: 512 * 1024 * 1024 + 1 } },
    ['cache.nodeBytes: is 536870913; must be at most 536870912, half of compute.memoryMiB (1024)'],
  ],
  [
    'an allowlist that nothing enforces',
    { routing: { allowCountries: ['DE'] }, firewall: { enabled: false } },
    ['routing.allowCountries: is given with firewall.enabled false; the firewall is what enforces it'],
  ],
  [
    'an allowlist of private addresses',
    { routing: { allowCountries: ['DE'] }, loadBalancer: { exposure: 'internal' } },
    [
      'routing.allowCountries: is given with loadBalancer.exposure "internal"; must be left out there: private addresses have no country',
    ],
  ],
  [
    'a credential limit that never takes effect',
    { firewall: { perAddressPer5Minutes: 10_000 } },
    [
      'firewall.perCredentialPer5Minutes: is 15000; must be at most firewall.perAddressPer5Minutes (10000), or it never takes effect',
    ],
  ],
  [
    'a firewall below the consumers’ limits',
    { consumers: { defaults: { rate: 60, burst: 100 } } },
    [
      'firewall.perCredentialPer5Minutes: is 15000; must be at least 18100, what a consumer by default may send in 5 minutes',
    ],
  ],
  [
    'a firewall below a reservation',
    {
      consumers: {
        reservations: [
          { consumer: 'batch', requestsPerSecond: 100, shares: { 'eu-central-1': 0.6, 'ap-northeast-1': 0.4 } },
        ],
      },
    },
    [
      'firewall.perCredentialPer5Minutes: is 15000; must be at least 18000, what the reservation of "batch" may send in 5 minutes',
    ],
  ],
  [
    'a client’s credential shown to a second upstream',
    {
      auth: { mode: 'passthrough' },
      upstreams: [
        { id: 'anthropic', host: 'api.anthropic.com' },
        { id: 'aws', host: 'aws-external-anthropic.us-east-1.api.aws' },
      ],
    },
    [
      'upstreams[1].credential: is "aws"; with auth.mode "passthrough" it must be "anthropic", the first upstream\'s, for the client\'s own credential is all there is',
    ],
  ],
];

describe('rules of a deployment', () => {
  test.each(REFUSED)('refuses %s', (_, change, expected) => {
    expect(problemsOf(change)).toEqual(expected);
  });

  test('names what is missing where nothing is given', () => {
    expect(problemsOf({}, {})).toEqual([
      'regions: is empty; a deployment needs at least one region',
      'domain: is missing; a deployment needs { name, hostedZoneId, hostedZoneName }',
    ]);
  });

  const accepted: [string, EnvironmentInput][] = [
    ['two regions with one range', {}],
    [
      'the zone’s own name',
      { domain: { name: 'example.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' } },
    ],
    [
      'mapped countries',
      { routing: { countries: { JP: { region: 'ap-northeast-1', pinned: true }, PR: { region: 'eu-central-1' } } } },
    ],
    ['an edge', EDGE],
    ['a VPC that exists', { regions: [{ region: 'eu-central-1', existingVpc: VPC }] }],
    [
      'an internal gateway in private subnets',
      {
        regions: [{ region: 'eu-central-1', existingVpc: { ...VPC, publicSubnetIds: [] } }],
        loadBalancer: { exposure: 'internal' },
      },
    ],
    ['an address for each AZ', { regions: [{ region: 'eu-central-1', eipAllocationIds: [eip('1'), eip('2')] }] }],
    ['any memory on EC2', { compute: { type: 'ec2', cpu: 256, memoryMiB: 4096 } }],
    [
      'passthrough to two upstreams of one credential',
      {
        auth: { mode: 'passthrough' },
        upstreams: [
          { id: 'a', host: 'a.example.com' },
          { id: 'b', host: 'b.example.com', credential: 'a' },
        ],
      },
    ],
    ['high limits without a firewall', { firewall: { enabled: false }, consumers: { defaults: { rate: 1000 } } }],
  ];
  test.each(accepted)('accepts %s', (_, change) => {
    expect(problemsOf(change)).toEqual([]);
  });

  test('leave the local environment alone', () => {
    expect(() => resolveEnvironment({ environments: {} }, 'local')).not.toThrow();
  });
});

describe('country codes', () => {
  test('cover the 249 of ISO 3166-1, each once', () => {
    const all = [...SUPPORTED_COUNTRIES, ...Object.values(TERRITORIES).flat(), ...UNSUPPORTED_COUNTRIES];
    expect(SUPPORTED_COUNTRIES.size).toBe(175);
    expect(all).toHaveLength(249);
    expect(new Set(all).size).toBe(249);
    const names = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });
    expect(all.filter((code) => names.of(code) === undefined)).toEqual([]);
  });

  test('give a territory the status of its country', () => {
    expect(Object.keys(TERRITORIES).map(countryStatus)).toEqual(Object.keys(TERRITORIES).map(() => 'supported'));
    expect(countryStatus('HK')).toBe('unsupported');
    expect(countryStatus('XK')).toBe('unknown');
  });
});

test.each([
  [1, 2, 0],
  [2, 2, 1],
  [3, 2, 1],
  [2, 3, 1],
  [7, 3, 4],
])('%i tasks over %i AZs leave %i', (tasks, zones, left) => {
  expect(tasksAfterZoneLoss(tasks, zones)).toBe(left);
});
