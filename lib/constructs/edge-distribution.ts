import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import * as origins from 'aws-cdk-lib/aws-cloudfront-origins';
import * as route53 from 'aws-cdk-lib/aws-route53';
import { CloudFrontTarget } from 'aws-cdk-lib/aws-route53-targets';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { hostnames } from '../config/hostnames';
import { EDGE_KEY_HEADER } from '../nginx/edge-key';
import { EDGE_FUNCTION_CODE } from './edge-function';
import { CREDENTIAL_HEADERS } from './firewall-rules';

/** Statuses that CloudFront would keep for ten seconds if it were not told otherwise. */
const CACHED_ERRORS = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];

const PRICE_CLASSES = {
  '100': cloudfront.PriceClass.PRICE_CLASS_100,
  '200': cloudfront.PriceClass.PRICE_CLASS_200,
  all: cloudfront.PriceClass.PRICE_CLASS_ALL,
} as const;

export interface EdgeDistributionProps {
  readonly environment: Environment;
  /** Host name of the distribution: `edge.hostname`. */
  readonly hostname: string;
  /** The public hosted zone of `domain`, which the host name lies in. */
  readonly hostedZone: route53.IHostedZone;
}

/**
 * CloudFront for `GET /v1/models*`, on a host name of its own: the one answer that many clients ask for, with three
 * seconds' patience, and that is the same for minutes. Everything else is 404 there, for CloudFront gives up on an
 * origin after 120 s, and a prompt has nothing to gain from it.
 *
 * An answer is kept by the credential that got it, for `cache.ttl.edgeSeconds` exactly: the least, the default and the
 * greatest TTL are one number. It is above 0 because the gateway says `private`, which is meant for every other cache on
 * the way: what says so, CloudFront keeps for its least TTL (AWS: CloudFront, "Manage how long content stays in the
 * cache"). So a revoked key is served from here for no longer than the ladder allows; and what has expired is not served
 * while the gateway cannot be reached, which it would be without `stale-if-error=0` (the gateway's phase/answer_head.lua).
 * Errors are never kept.
 */
export class EdgeDistribution extends Construct {
  readonly distribution: cloudfront.Distribution;

  constructor(scope: Construct, id: string, props: EdgeDistributionProps) {
    super(scope, id);
    const { environment, hostname, hostedZone } = props;

    this.distribution = new cloudfront.Distribution(this, 'Distribution', {
      comment: `Causeway ${environment.name}: GET /v1/models`,
      domainNames: [hostname],
      certificate: this.certificate(props),
      minimumProtocolVersion: cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
      httpVersion: cloudfront.HttpVersion.HTTP2_AND_3,
      priceClass: PRICE_CLASSES[environment.edge.priceClass],
      enableIpv6: true,
      defaultBehavior: {
        origin: this.origin(environment),
        // All methods, so that the function answers them: what a distribution does not allow it refuses in HTML.
        allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
        cachedMethods: cloudfront.CachedMethods.CACHE_GET_HEAD,
        cachePolicy: this.cachePolicy(environment),
        // Every header but Host, for `anthropic-*` is an open list; the origin's certificate is on its own name.
        originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        // A redirect would have had the credential sent in clear first.
        viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        // Answers go on as the gateway sent them.
        compress: false,
        functionAssociations: [
          { eventType: cloudfront.FunctionEventType.VIEWER_REQUEST, function: this.viewerRequest() },
        ],
      },
      errorResponses: CACHED_ERRORS.map((httpStatus) => ({ httpStatus, ttl: Duration.seconds(0) })),
      enableLogging: true,
      logBucket: this.logBucket(environment),
      logIncludesCookies: false,
    });
    Validations.of(this.distribution).acknowledge(
      {
        id: 'AwsSolutions-CFR1',
        reason: 'Who may connect is the gateway’s decision; routing.allowCountries and an edge exclude each other.',
      },
      {
        id: 'AwsSolutions-CFR2',
        reason:
          'The gateway’s own firewall judges every request that the cache does not answer, and the cache answers nobody but whom the gateway let in seconds before.',
      },
    );

    const record = {
      zone: hostedZone,
      recordName: `${hostname}.`,
      // Route 53 cannot evaluate the health of a distribution.
      target: route53.RecordTarget.fromAlias(new CloudFrontTarget(this.distribution)),
    };
    new route53.ARecord(this, 'A', record);
    new route53.AaaaRecord(this, 'Aaaa', record);
  }

  private certificate({ environment, hostname, hostedZone }: EdgeDistributionProps): acm.ICertificate {
    const { certificateArn } = environment.edge;
    return certificateArn === undefined
      ? new acm.Certificate(this, 'Certificate', {
          domainName: hostname,
          validation: acm.CertificateValidation.fromDns(hostedZone),
        })
      : acm.Certificate.fromCertificateArn(this, 'Certificate', certificateArn);
  }

  private origin(environment: Environment): origins.HttpOrigin {
    return new origins.HttpOrigin(hostnames(environment).publicName, {
      protocolPolicy: cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
      originSslProtocols: [cloudfront.OriginSslPolicy.TLS_V1_2],
      readTimeout: Duration.seconds(environment.timeouts.edgeReadSeconds),
      // The gateway tries another upstream by itself; a second try from here would only hide for how long it took.
      connectionAttempts: 1,
      connectionTimeout: Duration.seconds(5),
    });
  }

  private cachePolicy(environment: Environment): cloudfront.CachePolicy {
    const ttl = Duration.seconds(environment.cache.ttl.edgeSeconds);
    return new cloudfront.CachePolicy(this, 'CachePolicy', {
      comment: 'By credential, version, betas and every other header of the API',
      minTtl: ttl,
      defaultTtl: ttl,
      maxTtl: ttl,
      headerBehavior: cloudfront.CacheHeaderBehavior.allowList(
        ...CREDENTIAL_HEADERS,
        'anthropic-version',
        'anthropic-beta',
        EDGE_KEY_HEADER,
      ),
      queryStringBehavior: cloudfront.CacheQueryStringBehavior.all(),
      cookieBehavior: cloudfront.CacheCookieBehavior.none(),
      // An encoding that the upstream chose for one client must not reach one that cannot read it.
      enableAcceptEncodingGzip: true,
      enableAcceptEncodingBrotli: true,
    });
  }

  private viewerRequest(): cloudfront.Function {
    return new cloudfront.Function(this, 'ViewerRequest', {
      comment: 'Only GET /v1/models goes on',
      runtime: cloudfront.FunctionRuntime.JS_2_0,
      code: cloudfront.FunctionCode.fromInline(EDGE_FUNCTION_CODE),
    });
  }

  private logBucket(environment: Environment): s3.IBucket {
    const bucket = new s3.Bucket(this, 'Logs', {
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      // CloudFront writes its logs by way of an ACL.
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
      lifecycleRules: [{ expiration: Duration.days(environment.loadBalancer.logDays) }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'The bucket holds access logs itself: logging access to them would go on without end.',
    });
    // Bucket's optional members are typed for a compiler without exactOptionalPropertyTypes.
    return bucket as s3.IBucket;
  }
}
