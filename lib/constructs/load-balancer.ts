import { CfnOutput, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import type * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { GATEWAY_PORT, READY_PATH } from '../gateway-image';

/**
 * TLS 1.2 and 1.3 with forward secrecy and AEAD only, and the post-quantum key exchange where the client has it. Not the
 * TLS-1.3-only policy: the health checkers of Route 53 end at 1.2.
 */
const TLS_POLICY = elbv2.SslPolicy.TLS13_12_RES_PQ;

/** Ranges that internal clients come from: other VPCs, offices and VPNs (RFC 1918, RFC 6598, RFC 4193). */
const PRIVATE_RANGES = {
  ipv4: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'],
  ipv6: ['fc00::/7'],
} as const;

export interface LoadBalancerProps {
  readonly environment: Environment;
  readonly vpc: ec2.IVpc;
  readonly certificate: acm.ICertificate;
}

/** What clients of one region connect to: it ends their TLS, and speaks TLS to the tasks. */
export class LoadBalancer extends Construct {
  readonly loadBalancer: elbv2.ApplicationLoadBalancer;
  readonly listener: elbv2.ApplicationListener;
  readonly targetGroup: elbv2.ApplicationTargetGroup;
  /** Where access and connection logs go. */
  readonly logBucket: s3.IBucket;

  constructor(scope: Construct, id: string, props: LoadBalancerProps) {
    super(scope, id);
    const { environment, vpc } = props;
    const { loadBalancer: config, timeouts } = environment;
    const isPublic = config.exposure === 'public';

    const securityGroup = new ec2.SecurityGroup(this, 'SecurityGroup', {
      vpc,
      description: isPublic ? 'Clients: HTTPS, and HTTP to be redirected' : 'Clients inside private networks',
      allowAllOutbound: false,
    });
    this.allowClients(securityGroup, config);

    this.loadBalancer = new elbv2.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc,
      vpcSubnets: { subnetType: isPublic ? ec2.SubnetType.PUBLIC : ec2.SubnetType.PRIVATE_WITH_EGRESS },
      internetFacing: isPublic,
      ipAddressType: config.dualStack ? elbv2.IpAddressType.DUAL_STACK : elbv2.IpAddressType.IPV4,
      securityGroup,
      deletionProtection: config.deletionProtection,
      // A model that thinks in silence must not be cut: longer than anything behind it waits.
      idleTimeout: Duration.seconds(timeouts.loadBalancerIdleSeconds),
      http2Enabled: true,
      // Header names beyond [-A-Za-z0-9] end here. No header of the API has any (underscores included), and what a proxy,
      // nginx and an upstream could each read differently is how requests are smuggled.
      dropInvalidHeaderFields: true,
      desyncMitigationMode: elbv2.DesyncMitigationMode.DEFENSIVE,
      xffHeaderProcessingMode: elbv2.XffHeaderProcessingMode.APPEND,
      wafFailOpen: environment.firewall.enabled && environment.firewall.fail === 'open',
    });
    // Lets an operator, or AWS, move traffic out of an ailing AZ in minutes.
    this.loadBalancer.setAttribute('zonal_shift.config.enabled', 'true');

    this.logBucket = this.createLogBucket(config.logDays) as s3.IBucket;
    this.loadBalancer.logAccessLogs(this.logBucket, 'access');
    this.loadBalancer.logConnectionLogs(this.logBucket, 'connection');

    this.targetGroup = new elbv2.ApplicationTargetGroup(this, 'TargetGroup', {
      vpc,
      targetType: elbv2.TargetType.IP,
      protocol: elbv2.ApplicationProtocol.HTTPS,
      port: GATEWAY_PORT,
      // Streams last from seconds to an hour: their number says how busy a task is, turns do not.
      loadBalancingAlgorithmType: elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      deregistrationDelay: Duration.seconds(timeouts.drainSeconds),
      healthCheck: {
        path: READY_PATH,
        protocol: elbv2.Protocol.HTTPS,
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 2,
        healthyHttpCodes: '200',
      },
    });

    this.listener = this.loadBalancer.addListener('Https', {
      port: 443,
      protocol: elbv2.ApplicationProtocol.HTTPS,
      certificates: [props.certificate],
      sslPolicy: TLS_POLICY,
      open: false,
      defaultTargetGroups: [this.targetGroup],
      ...this.mutualTls(config.mutualTls),
    });
    this.loadBalancer.addRedirect({ open: false });

    new CfnOutput(this, 'LoadBalancerDnsName', {
      key: 'LoadBalancerDnsName',
      description: 'Where the names of this region lead',
      value: this.loadBalancer.loadBalancerDnsName,
    });
  }

  /** 443, and 80 for the redirect, from everywhere or from private ranges. */
  private allowClients(securityGroup: ec2.SecurityGroup, config: Environment['loadBalancer']): void {
    const isPublic = config.exposure === 'public';
    const sources = [
      ...(isPublic ? ['0.0.0.0/0'] : PRIVATE_RANGES.ipv4).map((range) => ec2.Peer.ipv4(range)),
      ...(config.dualStack ? (isPublic ? ['::/0'] : PRIVATE_RANGES.ipv6) : []).map((range) => ec2.Peer.ipv6(range)),
    ];
    for (const source of sources) {
      securityGroup.addIngressRule(source, ec2.Port.HTTPS, 'Clients');
      securityGroup.addIngressRule(source, ec2.Port.HTTP, 'Redirected to HTTPS');
    }
    if (isPublic) {
      Validations.of(securityGroup).acknowledge({
        id: 'AwsSolutions-EC23',
        reason:
          'The public entry point of the gateway: clients connect from anywhere; WAF and keys decide who may go on.',
      });
    }
  }

  private createLogBucket(days: number): s3.Bucket {
    const bucket = new s3.Bucket(this, 'LogBucket', {
      // Logs of a load balancer can be encrypted with the key of S3 alone (AWS: ALB access logs).
      encryption: s3.BucketEncryption.S3_MANAGED,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      lifecycleRules: [
        { expiration: Duration.days(days), abortIncompleteMultipartUploadAfter: Duration.days(1), enabled: true },
      ],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'The bucket holds access logs itself: logging access to them would go on without end.',
    });
    return bucket;
  }

  private mutualTls(
    config: Environment['loadBalancer']['mutualTls'],
  ): Pick<elbv2.BaseApplicationListenerProps, 'mutualAuthentication'> {
    if (config === undefined) return {};
    return {
      mutualAuthentication: {
        mutualAuthenticationMode: elbv2.MutualAuthenticationMode.VERIFY,
        trustStore: new elbv2.TrustStore(this, 'TrustStore', {
          bucket: s3.Bucket.fromBucketName(this, 'TrustStoreBucket', config.bucketName),
          key: config.key,
        }),
      },
    };
  }
}
