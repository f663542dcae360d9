import { Match } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { environment, ofType, stackOf, synthesize } from './support/synthesize';

const gateway = (change: EnvironmentInput) => stackOf(synthesize([environment(change)]), 'Gateway');

test('none: nothing of it', () => {
  const stack = gateway({ valkey: { mode: 'none' } });
  expect(Object.values(stack.resources).filter(({ Type }) => Type.startsWith('AWS::ElastiCache'))).toEqual([]);
});

// Retained, it would keep the security group and the users of a stack that is to go.
test('serverless: bounded, encrypted with our key, with a snapshot at its end', () => {
  const { template } = gateway({ valkey: { mode: 'serverless', maxDataGb: 7, maxEcpuPerSecond: 2000 } });
  template.hasResource('AWS::ElastiCache::ServerlessCache', {
    DeletionPolicy: 'Delete',
    Properties: {
      Engine: 'valkey',
      FinalSnapshotName: 'causeway-test-final',
      KmsKeyId: Match.anyValue(),
      UserGroupId: Match.anyValue(),
      CacheUsageLimits: { DataStorage: { Maximum: 7, Unit: 'GB' }, ECPUPerSecond: { Maximum: 2000 } },
    },
  });
});

test('replication group: TLS only, encrypted, over AZs, with a snapshot at its end', () => {
  const { template } = gateway({ valkey: { mode: 'replicationGroup', nodeType: 'cache.m7g.large', replicas: 2 } });
  template.hasResource('AWS::ElastiCache::ReplicationGroup', {
    DeletionPolicy: 'Snapshot',
    UpdateReplacePolicy: 'Snapshot',
    Properties: {
      Engine: 'valkey',
      CacheNodeType: 'cache.m7g.large',
      NumCacheClusters: 3,
      AutomaticFailoverEnabled: true,
      MultiAZEnabled: true,
      TransitEncryptionEnabled: true,
      TransitEncryptionMode: 'required',
      AtRestEncryptionEnabled: true,
      KmsKeyId: Match.anyValue(),
      UserGroupIds: [Match.anyValue()],
    },
  });
});

test('one node fails over to none, and says so', () => {
  gateway({ valkey: { mode: 'replicationGroup', replicas: 0 } }).template.hasResourceProperties(
    'AWS::ElastiCache::ReplicationGroup',
    { NumCacheClusters: 1, AutomaticFailoverEnabled: false, MultiAZEnabled: false },
  );
});

describe.each(['serverless', 'replicationGroup'] as const)('%s', (mode) => {
  const stack = gateway({ valkey: { mode } });

  test('admits the tasks alone', () => {
    const groups = ofType(stack, 'AWS::EC2::SecurityGroup').filter(([id]) => id.startsWith('Valkey'));
    expect(groups).toHaveLength(1);
    expect(groups[0]?.[1].Properties?.['SecurityGroupIngress']).toBeUndefined();
    const rules = ofType(stack, 'AWS::EC2::SecurityGroupIngress').filter(([id]) => id.startsWith('Valkey'));
    expect(rules).toHaveLength(1);
    expect(rules[0]?.[1].Properties).toMatchObject({
      FromPort: 6379,
      ToPort: 6379,
      SourceSecurityGroupId: { 'Fn::GetAtt': [expect.stringMatching(/^ServiceSecurityGroup/) as unknown, 'GroupId'] },
    });
  });

  test('stands in private subnets', () => {
    const text = JSON.stringify(
      Object.values(stack.resources).filter(({ Type }) => /ServerlessCache|SubnetGroup/.test(Type)),
    );
    expect(text).toContain('PrivateSubnet');
    expect(text).not.toContain('PublicSubnet');
  });

  test('knows one user, who cannot administer it, by a password out of Secrets Manager', () => {
    const [user] = ofType(stack, 'AWS::ElastiCache::User').map(([, { Properties }]) => Properties);
    expect(user).toMatchObject({ Engine: 'valkey', UserName: 'causeway' });
    expect(user?.['AccessString']).toMatch(/^on .*-@admin -@dangerous$/);
    expect(JSON.stringify(user?.['AuthenticationMode'])).toContain('{{resolve:secretsmanager:');
    expect(user?.['NoPasswordRequired'] ?? false).toBe(false);
  });
});
