import {
  environmentNames,
  resolveEnvironment,
  type CausewayConfig,
  type EnvironmentInput,
  type Rule,
} from '../../lib/config';
import { environment, problemsOf } from './environment';

test('an empty environment is a whole one', () => {
  expect(environment()).toMatchObject({
    name: 'test',
    regions: [],
    auth: { mode: 'keys', revocationSeconds: 300, pollSeconds: 2 },
    consumers: { defaults: { rate: 5, burst: 10, concurrency: 100 } },
    upstreams: [{ id: 'anthropic', host: 'api.anthropic.com', port: 443, credentialHeader: 'x-api-key' }],
    tls: { protocols: ['TLSv1.2', 'TLSv1.3'] },
    limits: { allowAdminApi: false },
  });
});

test('the API’s own limits are the least that bodies may have by default', () => {
  expect(environment().bodies).toEqual({
    generate: 33_554_432,
    count: 33_554_432,
    models: 1_048_576,
    batches: 268_435_456,
    files: 525_336_576,
    other: 33_554_432,
  });
});

test('everything that an operator may say at once is taken', () => {
  const input: EnvironmentInput = {
    account: '123456789012',
    regions: [
      { region: 'eu-central-1', eipAllocationIds: ['eipalloc-0123456789abcdef0'] },
      {
        region: 'ap-northeast-1',
        vpcCidr: '10.65.0.0/20',
        certificateArn: 'arn:aws:acm:ap-northeast-1:123456789012:certificate/x',
        existingVpc: {
          vpcId: 'vpc-12345678',
          cidr: '10.65.0.0/20',
          availabilityZones: ['ap-northeast-1a', 'ap-northeast-1c'],
          privateSubnetIds: ['subnet-12345678', 'subnet-12345679'],
        },
      },
    ],
    domain: { name: 'claude.example.com', hostedZoneId: 'Z0123456789', hostedZoneName: 'example.com' },
    routing: { countries: { JP: { region: 'ap-northeast-1', pinned: true } }, allowCountries: ['DE', 'JP'] },
    consumers: {
      reservations: [
        { consumer: 'team-a', requestsPerSecond: 10, shares: { 'eu-central-1': 0.3, 'ap-northeast-1': 0.7 } },
      ],
    },
    quota: { requestsPerMinute: 1000 },
    upstreams: [
      { id: 'anthropic', host: 'api.anthropic.com' },
      {
        id: 'aws',
        host: 'aws-external-anthropic.eu-central-1.api.aws',
        basePath: '/anthropic',
        addresses: ['192.0.2.1', '2001:db8::1'],
        credentialHeader: 'authorization',
        headers: { 'anthropic-workspace-id': 'wrkspc_1' },
        routeClasses: ['generate', 'count'],
      },
    ],
    valkey: { mode: 'replicationGroup', replicas: 2 },
    edge: { enabled: true, hostname: 'models.example.com' },
  };
  expect(environment(input)).toMatchObject({ ...input, name: 'test' });
});

test.each<[string, EnvironmentInput]>([
  ['an upper-case host', { upstreams: [{ id: 'a', host: 'API.example' }] }],
  ['a host with a trailing dot', { upstreams: [{ id: 'a', host: 'api.example.' }] }],
  ['a host that would end a directive', { upstreams: [{ id: 'a', host: 'a.example; return 200' }] }],
  ['a path with a trailing slash', { upstreams: [{ id: 'a', host: 'a.example', basePath: '/x/' }] }],
  ['a path that would end a directive', { upstreams: [{ id: 'a', host: 'a.example', basePath: '/x;' }] }],
  ['a header value with a line break', { upstreams: [{ id: 'a', host: 'a.example', headers: { a: 'b\r\nc: d' } }] }],
  ['an id that is no DNS label', { upstreams: [{ id: 'a_b', host: 'a.example' }] }],
  ['a port that is none', { upstreams: [{ id: 'a', host: 'a.example', port: 65_536 }] }],
  ['a country in lower case', { routing: { allowCountries: ['de'] } }],
  ['a cron expression of five fields', { compute: { schedules: [{ cron: '0 8 * * *', minTasks: 1 }] } }],
])('%s is refused', (_, input) => {
  expect(problemsOf(() => environment(input))).toHaveLength(1);
});

describe('a config of several environments', () => {
  const config: CausewayConfig = {
    common: { auth: { pollSeconds: 5 }, upstreams: [{ id: 'a', host: 'a.example' }] },
    environments: {
      prod: { auth: { revocationSeconds: 60 }, upstreams: [{ id: 'b', host: 'b.example' }] },
    },
  };

  test('always has a local one', () => {
    expect(environmentNames(config)).toEqual(['local', 'prod']);
    expect(resolveEnvironment(config, 'local').upstreams).toMatchObject([{ id: 'a' }]);
  });

  test('merges objects over what is common, and replaces lists', () => {
    const prod = resolveEnvironment(config, 'prod');
    expect(prod.auth).toEqual({ mode: 'keys', pollSeconds: 5, revocationSeconds: 60 });
    expect(prod.upstreams).toMatchObject([{ id: 'b' }]);
    expect(prod.upstreams).toHaveLength(1);
  });

  test('names what there is where another is asked for', () => {
    expect(problemsOf(() => resolveEnvironment(config, 'stage'))).toEqual([
      'environments.stage: does not exist; there are: local, prod',
    ]);
  });

  test('names file and environment in its errors', () => {
    const broken: CausewayConfig = { environments: { prod: { account: '1' } } };
    expect(() => resolveEnvironment(broken, 'prod', [], 'my.config.ts')).toThrow(
      'my.config.ts, environment "prod": account: is "1"; must be a 12-digit AWS account id',
    );
  });

  test('is held against further rules beside the ladder', () => {
    const rule: Rule = ({ name, regions }) =>
      regions.length === 0 ? [{ field: 'regions', message: `are none in ${name}` }] : [];
    expect(problemsOf(() => environment({}, [rule]))).toEqual(['regions: are none in test']);
  });
});

test.each<[unknown, string[]]>([
  [undefined, ['must say `export default defineConfig({ environments: { … } })`; it exports no such object']],
  [[], ['must say `export default defineConfig({ environments: { … } })`; it exports no such object']],
  [{}, ['environments: is missing; must be an object']],
  [{ environments: { prod: 5 } }, ['environments.prod: is 5; must be an object']],
  [{ environments: {}, common: 'x' }, ['common: is "x"; must be an object']],
  [{ environments: {}, comon: {} }, ['comon: unknown setting; allowed here: common, environments']],
  [
    { environments: { 'My Prod': {} } },
    [
      'environments["My Prod"]: the name is "My Prod"; must be 1 to 31 of a-z, 0-9 and single inner hyphens, a letter first',
    ],
  ],
  // The names of Valkey's users begin with `causeway-` and have 40 characters at most, with single inner hyphens.
  ...['prod-', 'my--prod', 'a'.repeat(32)].map((name): [unknown, string[]] => [
    { environments: { [name]: {} } },
    [expect.stringContaining('must be 1 to 31 of a-z, 0-9 and single inner hyphens, a letter first') as string],
  ]),
])('%j is no config', (config, problems) => {
  expect(problemsOf(() => environmentNames(config))).toEqual(problems);
});
