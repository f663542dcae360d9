import { ConfigError, type EnvironmentInput } from '../../lib/config';
import { environment, problemsOf } from './environment';

// What an operator's editor would underline, and what reaches the schema all the same from JavaScript or a cast.
const check = (input: unknown): string[] => problemsOf(() => environment(input as EnvironmentInput));

const upstream = (over: Record<string, unknown>) => ({ upstreams: [{ id: 'a', host: 'a.example', ...over }] });

test.each<[string, unknown, string[]]>([
  ['a missing setting', { upstreams: [{ id: 'a' }] }, ['upstreams[0].host: is missing; must be a string']],
  ['text for an object', { auth: 'keys' }, ['auth: is "keys"; must be an object']],
  ['null for an object', { auth: null }, ['auth: is null; must be an object']],
  ['a list for a map', { routing: { countries: [] } }, ['routing.countries: is []; must be an object']],
  ['an object for a list', { regions: {} }, ['regions: is {}; must be an array']],
  ['text for a number', { auth: { pollSeconds: '2' } }, ['auth.pollSeconds: is "2"; must be a number']],
  ['a number for a flag', { edge: { enabled: 1 } }, ['edge.enabled: is 1; must be a boolean']],
  ['a number for text', { account: 12 }, ['account: is 12; must be a string']],
  ['a fraction', { auth: { pollSeconds: 1.5 } }, ['auth.pollSeconds: is 1.5; must be a whole number']],
  ['NaN', { auth: { pollSeconds: NaN } }, ['auth.pollSeconds: is NaN; must be a number']],
  ['Infinity', { slo: { errorShare: Infinity } }, ['slo.errorShare: is Infinity; must be a number']],
  ['-Infinity', { slo: { errorShare: -Infinity } }, ['slo.errorShare: is -Infinity; must be a number']],
  ['a bigint', { auth: { pollSeconds: 2n } }, ['auth.pollSeconds: is 2; must be a number']],
  ['a function', { auth: { mode: () => 'keys' } }, ['auth.mode: is a function; must be one of "keys", "passthrough"']],
  ['a number beyond 2^53', { auth: { pollSeconds: 1e300 } }, ['auth.pollSeconds: is 1e+300; must be at most 300']],
  ['too small', { auth: { pollSeconds: 0 } }, ['auth.pollSeconds: is 0; must be at least 1']],
  ['too big', { auth: { pollSeconds: 301 } }, ['auth.pollSeconds: is 301; must be at most 300']],
  ['on an open lower bound', { slo: { errorShare: 0 } }, ['slo.errorShare: is 0; must be more than 0']],
  ['on an open upper bound', { slo: { errorShare: 1 } }, ['slo.errorShare: is 1; must be less than 1']],
  ['a list that is too short', { upstreams: [] }, ['upstreams: is []; must have at least 1 entry']],
  ['text that is too short', upstream({ caFile: '' }), ['upstreams[0].caFile: is ""; must have at least 1 character']],
  [
    'text that is too long',
    { observability: { namespace: 'n'.repeat(256) } },
    [`observability.namespace: is "${'n'.repeat(76)}...; must be a CloudWatch namespace`],
  ],
  [
    'a list that is too long',
    {
      regions: [
        {
          region: 'eu-west-1',
          existingVpc: {
            vpcId: 'vpc-12345678',
            cidr: '10.0.0.0/16',
            availabilityZones: ['eu-west-1a', 'eu-west-1b', 'eu-west-1c', 'eu-west-1d'],
            privateSubnetIds: ['subnet-12345678', 'subnet-12345679'],
          },
        },
      ],
    },
    [
      'regions[0].existingVpc.availabilityZones: is ["eu-west-1a","eu-west-1b","eu-west-1c","eu-west-1d"]; must have at most 3 entries',
    ],
  ],
  [
    'a word that is none of the allowed',
    { auth: { mode: 'x' } },
    ['auth.mode: is "x"; must be one of "keys", "passthrough"'],
  ],
  [
    'a number that is none of the allowed',
    { compute: { cpu: 300 } },
    ['compute.cpu: is 300; must be one of 256, 512, 1024, 2048, 4096, 8192'],
  ],
  ['text of another form', { account: '12' }, ['account: is "12"; must be a 12-digit AWS account id']],
  [
    'an e-mail address that is none',
    { observability: { alarmEmails: ['x'] } },
    ['observability.alarmEmails[0]: is "x"; must be an e-mail address'],
  ],
  [
    'an address that is none, in a list in a list',
    { upstreams: [{ id: 'a', host: 'a.example', addresses: ['192.0.2.1', '192.0.2.256'] }] },
    ['upstreams[0].addresses[1]: is "192.0.2.256"; must be an IPv4 or IPv6 address'],
  ],
  [
    'a block that is none',
    { clientAddress: { trustedHops: ['10.0.0.0/33'] } },
    ['clientAddress.trustedHops[0]: is "10.0.0.0/33"; must be a CIDR block such as 10.0.0.0/16 or 2001:db8::/32'],
  ],
  [
    'a name that a map does not allow',
    { routing: { countries: { jp: { region: 'ap-northeast-1' } } } },
    ['routing.countries.jp: the name is "jp"; must be an ISO 3166-1 alpha-2 code such as JP'],
  ],
  [
    'a name with odd characters',
    upstream({ headers: { 'X-A': 'b' } }),
    ['upstreams[0].headers["X-A"]: the name is "X-A"; must be a lower-case HTTP header name'],
  ],
  [
    'an unknown setting',
    { auth: { modus: 'keys' } },
    ['auth.modus: unknown setting; allowed here: mode, revocationSeconds, pollSeconds'],
  ],
  [
    'an unknown setting in a list',
    { consumers: { reservations: [{ consumer: 'a', requestsPerSecond: 1, rate: 1 }] } },
    ['consumers.reservations[0].rate: unknown setting; allowed here: consumer, requestsPerSecond, shares'],
  ],
  [
    'an unknown setting in a map',
    { routing: { countries: { JP: { region: 'ap-northeast-1', sticky: true } } } },
    ['routing.countries.JP.sticky: unknown setting; allowed here: region, pinned'],
  ],
  [
    'several at once, each with a message of its own',
    { auth: { mode: 'x', a: 1, b: 2 }, edge: { enabled: 'yes' } },
    [
      'auth.mode: is "x"; must be one of "keys", "passthrough"',
      'auth.a: unknown setting; allowed here: mode, revocationSeconds, pollSeconds',
      'auth.b: unknown setting; allowed here: mode, revocationSeconds, pollSeconds',
      'edge.enabled: is "yes"; must be a boolean',
    ],
  ],
])('%s', (_, input, problems) => {
  expect(check(input)).toEqual(problems);
});

test('an unknown setting at the top is answered with all that is allowed there', () => {
  const [problem] = check({ timeout: 5 });
  expect(problem).toMatch(/^timeout: unknown setting; allowed here: account, regions, .*, regionHealth$/);
});

test('a value that refers to itself is named by its type', () => {
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;
  expect(check({ account: loop })).toEqual(['account: is an object; must be a string']);
});

test('the message of an error is one line for one problem, and a list for more', () => {
  expect(new ConfigError('a.ts', [{ field: 'b', message: 'is 1; must be 2' }]).message).toBe(
    'a.ts: b: is 1; must be 2',
  );
  expect(new ConfigError('a.ts', [{ field: '', message: 'is empty' }]).message).toBe('a.ts: is empty');
  expect(
    new ConfigError('a.ts', [
      { field: 'b', message: 'is 1; must be 2' },
      { field: 'c', message: 'is missing; must be a string' },
    ]).message,
  ).toBe('a.ts has 2 problems:\n  b: is 1; must be 2\n  c: is missing; must be a string');
});
