import type { EnvironmentInput } from '../../lib/config';
import { deepMerge } from '../../lib/config/paths';
import { environment, ofType, synthesize, type Resource } from './support/synthesize';

/** What has ever been set to both: everything on, on Fargate and on instances. */
const EVERYTHING: EnvironmentInput = {
  valkey: { mode: 'replicationGroup' },
  edge: { enabled: true, hostname: 'models.example.com' },
  upstreams: [
    { id: 'anthropic', host: 'api.anthropic.com' },
    { id: 'aws', host: 'claude.example.org', headers: { 'anthropic-workspace-id': 'wrkspc_1' } },
  ],
};

const fargate = synthesize([environment(EVERYTHING)]);
const instances = synthesize([environment({ ...EVERYTHING, compute: { type: 'ec2' } })]);
const serverless = synthesize([environment({ ...EVERYTHING, valkey: { mode: 'serverless' } })]);
const stacks = [...fargate, ...instances, ...serverless];

interface Rule {
  readonly CidrIp?: string;
  readonly CidrIpv6?: string;
  readonly FromPort?: number;
  readonly ToPort?: number;
  readonly IpProtocol?: string;
}

test('no security group is open to the world but the load balancer’s 80 and 443', () => {
  const open = stacks.flatMap((stack) => [
    ...ofType(stack, 'AWS::EC2::SecurityGroup').flatMap(([id, group]) =>
      ((group.Properties?.['SecurityGroupIngress'] ?? []) as Rule[]).map((rule) => ({ id, rule })),
    ),
    ...ofType(stack, 'AWS::EC2::SecurityGroupIngress').map(([id, { Properties }]) => ({
      id,
      rule: Properties as Rule,
    })),
  ]);
  const toTheWorld = open.filter(({ rule }) => rule.CidrIp === '0.0.0.0/0' || rule.CidrIpv6 === '::/0');
  expect(toTheWorld.length).toBeGreaterThan(0);
  for (const { id, rule } of toTheWorld) {
    expect(id).toMatch(/^LoadBalancerSecurityGroup/);
    expect(rule.IpProtocol).toBe('tcp');
    expect([80, 443]).toContain(rule.FromPort);
    expect(rule.ToPort).toBe(rule.FromPort);
  }
});

test('tasks reach nothing by IPv6, and nothing but the ports of AWS, upstreams and Valkey', () => {
  for (const stack of stacks) {
    for (const [, group] of ofType(stack, 'AWS::EC2::SecurityGroup')) {
      for (const rule of (group.Properties?.['SecurityGroupEgress'] ?? []) as Rule[]) {
        expect(rule.CidrIpv6).toBeUndefined();
        if (rule.CidrIp === '0.0.0.0/0') expect(rule.FromPort).toBe(443);
      }
    }
  }
});

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

const policiesOf = (resources: Readonly<Record<string, Resource>>, role: RegExp): Statement[] =>
  ofType({ resources }, 'AWS::IAM::Policy')
    .filter(([, { Properties }]) =>
      (Properties?.['Roles'] as { Ref?: string }[]).some(({ Ref }) => role.test(Ref ?? '')),
    )
    .flatMap(([, { Properties }]) => (Properties?.['PolicyDocument'] as { Statement: Statement[] }).Statement);

test('the task role holds no *, and reads its two documents only', () => {
  for (const stack of stacks.filter(({ path }) => path.endsWith('/Gateway'))) {
    const statements = policiesOf(stack.resources, /TaskDefinitionTaskRole/);
    expect(statements.flatMap(({ Action }) => Action)).toEqual([
      'appconfig:GetLatestConfiguration',
      'appconfig:StartConfigurationSession',
    ]);
    expect(JSON.stringify(statements)).not.toContain('*');
    const [, role] = ofType(stack, 'AWS::IAM::Role').find(([id]) => id.includes('TaskDefinitionTaskRole')) ?? [];
    expect(role?.Properties?.['ManagedPolicyArns']).toBeUndefined();
  }
});

test('no policy at all allows every action', () => {
  for (const { resources } of stacks) {
    for (const { Effect, Action } of policiesOf(resources, /./)) {
      if (Effect === 'Allow') expect([Action].flat()).not.toContain('*');
    }
  }
});

describe('secrets', () => {
  test('are generated or put in by hand: no template holds a value', () => {
    const secrets = stacks.flatMap((stack) => ofType(stack, 'AWS::SecretsManager::Secret'));
    expect(secrets.length).toBeGreaterThan(0);
    for (const [, { Properties }] of secrets) {
      expect(Properties?.['SecretString']).toBeUndefined();
      expect(Properties?.['GenerateSecretString']).toBeDefined();
    }
  });

  test('plain variables of containers hold none', () => {
    for (const stack of stacks) {
      for (const [, { Properties }] of ofType(stack, 'AWS::ECS::TaskDefinition')) {
        const definitions = Properties?.['ContainerDefinitions'] as {
          Environment?: { Name: string; Value: unknown }[];
        }[];
        for (const { Name, Value } of definitions.flatMap((definition) => definition.Environment ?? [])) {
          expect(Name).not.toMatch(/PASSWORD|SECRET|TOKEN|(?<!VAL)KEY|CREDENTIAL/);
          expect(JSON.stringify(Value)).not.toContain('resolve:');
        }
      }
    }
  });

  test('nothing looks like a key', () => {
    for (const { template } of stacks) {
      expect(JSON.stringify(template.toJSON())).not.toMatch(
        /sk-ant-|cwk_[\w-]{20}|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY/,
      );
    }
  });
});

/** What holds data, or what others know by its address. */
const STATEFUL = [
  'AWS::EC2::EIP',
  'AWS::EC2::VPC',
  'AWS::EC2::Subnet',
  'AWS::S3::Bucket',
  'AWS::SecretsManager::Secret',
  'AWS::KMS::Key',
  'AWS::ElastiCache::ReplicationGroup',
  'AWS::ElastiCache::ServerlessCache',
  'AWS::AppConfig::Application',
  'AWS::AppConfig::ConfigurationProfile',
  'AWS::AppConfig::HostedConfigurationVersion',
  // Made anew, it would roll the empty registry out over the one in use.
  'AWS::AppConfig::Deployment',
  'AWS::ElasticLoadBalancingV2::LoadBalancer',
  'AWS::CertificateManager::Certificate',
];

const stateful = (list: typeof fargate) =>
  Object.fromEntries(
    list.flatMap(({ path, resources }) =>
      Object.entries(resources)
        .filter(([, { Type }]) => STATEFUL.includes(Type))
        .map(([id, resource]) => [`${path} ${id}`, resource] as const),
    ),
  );

// A changed id is a new resource: an address that nobody has allowlisted, an empty registry, a lost secret.
test('logical ids of what is stateful never change', () => {
  expect(Object.keys(stateful([...fargate, ...serverless])).sort()).toMatchSnapshot();
});

test('what is lost for good is kept when its stack goes', () => {
  for (const [id, { Type, Properties, DeletionPolicy, UpdateReplacePolicy }] of Object.entries(stateful(stacks))) {
    if (!/EIP|Bucket|Secret|KMS|ElastiCache/.test(Type)) continue;
    if (Type === 'AWS::ElastiCache::ServerlessCache') {
      expect({ id, kept: Properties?.['FinalSnapshotName'] }).toEqual({ id, kept: 'causeway-test-final' });
      continue;
    }
    const kept = Type === 'AWS::ElastiCache::ReplicationGroup' ? 'Snapshot' : 'Retain';
    expect({ id, DeletionPolicy, UpdateReplacePolicy }).toEqual({
      id,
      DeletionPolicy: kept,
      UpdateReplacePolicy: kept,
    });
  }
});

describe('the diff', () => {
  const changed = (change: EnvironmentInput): string[] => {
    const after = synthesize([environment(deepMerge(EVERYTHING, change) as EnvironmentInput)]);
    return fargate.flatMap(({ path, resources }) => {
      const then = after.find((stack) => stack.path === path)?.resources ?? {};
      return [...new Set([...Object.keys(resources), ...Object.keys(then)])]
        .filter((id) => JSON.stringify(resources[id]) !== JSON.stringify(then[id]))
        .map((id) => resources[id]?.Type ?? then[id]?.Type ?? '');
    });
  };

  test.each<[string, EnvironmentInput]>([
    ['a consumer’s default rate', { consumers: { defaults: { rate: 6, burst: 12 } } }],
    ['the limit of an address', { limits: { perAddress: { rate: 20 } } }],
    ['a cache’s TTL', { cache: { ttl: { sharedSeconds: 400 } } }],
    ['a timeout upstream', { timeouts: { upstream: { connectSeconds: 6 } } }],
  ])('of %s is a new task definition, and nothing stateful', (_what, change) => {
    const types = changed(change);
    for (const type of types) expect(STATEFUL).not.toContain(type);
    expect(types).toEqual(types.map(() => 'AWS::ECS::TaskDefinition'));
  });

  test('of the number of tasks touches scaling, and the tasks, which share limits by it until they hear of each other', () => {
    expect(new Set(changed({ compute: { minTasks: 4 } }))).toEqual(
      new Set(['AWS::ApplicationAutoScaling::ScalableTarget', 'AWS::ECS::TaskDefinition']),
    );
  });

  test('of the most tasks touches scaling alone', () => {
    expect(new Set(changed({ compute: { maxTasks: 40 } }))).toEqual(
      new Set(['AWS::ApplicationAutoScaling::ScalableTarget']),
    );
  });

  test('of a limit of the firewall touches the firewall alone', () => {
    expect(changed({ firewall: { perAddressPer5Minutes: 40_000 } })).toEqual(['AWS::WAFv2::WebACL']);
  });
});
