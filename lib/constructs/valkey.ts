import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elasticache from 'aws-cdk-lib/aws-elasticache';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { Environment } from '../config';

/** Port that clients use; serverless caches have no other. */
const VALKEY_PORT = 6379;
/** The user that tasks sign in as. */
const VALKEY_USER = 'causeway';
/** Snapshots of a replication group that are kept, one a day. */
const SNAPSHOT_DAYS = 1;

export interface ValkeyProps {
  readonly environment: Environment;
  readonly vpc: ec2.IVpc;
}

/**
 * What the tasks of a region share: limits of the fleet and the second cache tier. It is reached inside the VPC only, over
 * TLS, by a user that may neither administer nor list.
 */
export class Valkey extends Construct implements ec2.IConnectable {
  readonly connections: ec2.Connections;
  readonly host: string;
  readonly port: number = VALKEY_PORT;
  readonly user: string = VALKEY_USER;
  readonly password: secretsmanager.ISecret;

  constructor(scope: Construct, id: string, props: ValkeyProps) {
    super(scope, id);
    const { environment, vpc } = props;
    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: 'Valkey: the tasks of the gateway, and nothing else',
      allowAllOutbound: false,
    });
    this.connections = new ec2.Connections({
      securityGroups: [securityGroup],
      defaultPort: ec2.Port.tcp(VALKEY_PORT),
    });
    const key = new kms.Key(this, 'Key', {
      description: 'Valkey of the gateway, at rest',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const secret = new secretsmanager.Secret(this, 'Password', {
      description: 'Password of the Valkey user that the tasks sign in as',
      encryptionKey: key,
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Valkey’s password changes with its user in this template; tasks read it when they start.',
    });
    this.password = secret as secretsmanager.ISecret;

    const name = `causeway-${environment.name}`;
    const user = new elasticache.CfnUser(this, 'User', {
      engine: 'valkey',
      userId: name,
      userName: VALKEY_USER,
      // Everything that limits and cache need, scripts included; neither administration nor KEYS, FLUSHALL and the like.
      accessString: 'on ~* &* +@all -@admin -@dangerous',
      authenticationMode: {
        Type: 'password',
        // A reference that CloudFormation resolves at deploy: the template holds no password.
        Passwords: [secret.secretValue.unsafeUnwrap()],
      },
    });
    const userGroup = new elasticache.CfnUserGroup(this, 'UserGroup', {
      engine: 'valkey',
      userGroupId: name,
      userIds: [user.ref],
    });
    const shared = { name, vpc, securityGroup, key, userGroup };
    this.host =
      environment.valkey.mode === 'serverless'
        ? this.serverless(environment, shared)
        : this.replicationGroup(environment, shared);
  }

  private serverless({ valkey }: Environment, shared: SharedProps): string {
    const cache = new elasticache.CfnServerlessCache(this, 'ServerlessCache', {
      serverlessCacheName: shared.name,
      description: 'Limits of the fleet and the shared cache tier of the gateway',
      engine: 'valkey',
      majorEngineVersion: '8',
      subnetIds: shared.vpc.selectSubnets({ subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS }).subnetIds,
      securityGroupIds: [shared.securityGroup.securityGroupId],
      kmsKeyId: shared.key.keyArn,
      userGroupId: shared.userGroup.ref,
      cacheUsageLimits: {
        dataStorage: { maximum: valkey.maxDataGb, unit: 'GB' },
        ecpuPerSecond: { maximum: valkey.maxEcpuPerSecond },
      },
      finalSnapshotName: `${shared.name}-final`,
    });
    // Gone with its stack, but for a snapshot: a cache that stayed would hold on to its security group and its users.
    cache.applyRemovalPolicy(RemovalPolicy.DESTROY);
    return cache.attrEndpointAddress;
  }

  private replicationGroup({ valkey }: Environment, shared: SharedProps): string {
    const { replicas } = valkey;
    const subnetGroup = new elasticache.CfnSubnetGroup(this, 'SubnetGroup', {
      description: 'Private subnets of the gateway',
      subnetIds: shared.vpc.selectSubnets({ subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS }).subnetIds,
    });
    const group = new elasticache.CfnReplicationGroup(this, 'ReplicationGroup', {
      replicationGroupDescription: 'Limits of the fleet and the shared cache tier of the gateway',
      engine: 'valkey',
      engineVersion: '8.0',
      cacheNodeType: valkey.nodeType,
      numCacheClusters: replicas + 1,
      automaticFailoverEnabled: replicas > 0,
      multiAzEnabled: replicas > 0,
      port: VALKEY_PORT,
      cacheSubnetGroupName: subnetGroup.ref,
      securityGroupIds: [shared.securityGroup.securityGroupId],
      transitEncryptionEnabled: true,
      transitEncryptionMode: 'required',
      atRestEncryptionEnabled: true,
      kmsKeyId: shared.key.keyArn,
      userGroupIds: [shared.userGroup.ref],
      autoMinorVersionUpgrade: true,
      snapshotRetentionLimit: SNAPSHOT_DAYS,
    });
    group.applyRemovalPolicy(RemovalPolicy.SNAPSHOT);
    Validations.of(group).acknowledge(
      {
        id: 'AwsSolutions-AEC5',
        reason:
          'The port is no secret: security group, TLS and a password stand before it. Serverless caches have no other.',
      },
      {
        id: 'AwsSolutions-AEC6',
        reason: 'Users with access control replace the single AUTH token: the group admits no one without a password.',
      },
      ...(replicas > 0
        ? []
        : [
            {
              id: 'AwsSolutions-AEC4',
              reason:
                'valkey.replicas is 0: the operator chose one node. Without it limits go on by task, and the cache is empty.',
            },
          ]),
    );
    return group.attrPrimaryEndPointAddress;
  }
}

interface SharedProps {
  readonly name: string;
  readonly vpc: ec2.IVpc;
  readonly securityGroup: ec2.SecurityGroup;
  readonly key: kms.Key;
  readonly userGroup: elasticache.CfnUserGroup;
}
