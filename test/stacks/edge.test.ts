import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import fc from 'fast-check';
import type { EnvironmentInput } from '../../lib/config';
import { EDGE_FUNCTION_CODE } from '../../lib/constructs/edge-function';
import { EdgeStack } from '../../lib/stacks/edge-stack';
import { deepMerge } from '../../lib/config/paths';
import { deployable } from './support/environment';

const EDGE: EnvironmentInput = { edge: { enabled: true, hostname: 'models.example.com' } };

function stack(change: EnvironmentInput = {}, region = 'us-east-1'): EdgeStack {
  const environment = deployable(deepMerge(EDGE, change) as EnvironmentInput);
  return new EdgeStack(new App(), 'Edge', { environment, env: { region } });
}

const synthesize = (change?: EnvironmentInput): Template => Template.fromStack(stack(change));

describe('the distribution', () => {
  const template = synthesize({ cache: { ttl: { edgeSeconds: 45 } }, timeouts: { edgeReadSeconds: 50 } });

  test('speaks TLS to clients on its own name, and to the gateway on the public one', () => {
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        Aliases: ['models.example.com'],
        HttpVersion: 'http2and3',
        IPV6Enabled: true,
        ViewerCertificate: { MinimumProtocolVersion: 'TLSv1.2_2021', SslSupportMethod: 'sni-only' },
        DefaultCacheBehavior: { ViewerProtocolPolicy: 'https-only', Compress: false },
        CacheBehaviors: Match.absent(),
        Origins: [
          {
            DomainName: 'claude.example.com',
            ConnectionAttempts: 1,
            CustomOriginConfig: {
              OriginProtocolPolicy: 'https-only',
              OriginSSLProtocols: ['TLSv1.2'],
              OriginReadTimeout: 50,
            },
          },
        ],
      },
    });
  });

  test('keeps an answer by credential, version, betas and query, for the TTL of the ladder exactly', () => {
    template.hasResourceProperties('AWS::CloudFront::CachePolicy', {
      CachePolicyConfig: {
        MinTTL: 45,
        DefaultTTL: 45,
        MaxTTL: 45,
        ParametersInCacheKeyAndForwardedToOrigin: {
          HeadersConfig: {
            HeaderBehavior: 'whitelist',
            Headers: ['x-api-key', 'authorization', 'anthropic-version', 'anthropic-beta', 'x-causeway-edge-key'],
          },
          QueryStringsConfig: { QueryStringBehavior: 'all' },
          CookiesConfig: { CookieBehavior: 'none' },
          EnableAcceptEncodingGzip: true,
          EnableAcceptEncodingBrotli: true,
        },
      },
    });
  });

  test('keeps no error', () => {
    const [distribution] = Object.values(template.findResources('AWS::CloudFront::Distribution')) as {
      Properties: {
        DistributionConfig: { CustomErrorResponses: { ErrorCode: number; ErrorCachingMinTTL: number }[] };
      };
    }[];
    const errors = distribution?.Properties.DistributionConfig.CustomErrorResponses ?? [];
    expect(errors.map(({ ErrorCode }) => ErrorCode)).toEqual(expect.arrayContaining([403, 404, 500, 502, 503, 504]));
    expect(errors.filter(({ ErrorCachingMinTTL }) => ErrorCachingMinTTL !== 0)).toEqual([]);
  });

  test('forwards every header but Host', () => {
    // The id of AWS's own policy AllViewerExceptHostHeader.
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        DefaultCacheBehavior: { OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac' },
      },
    });
  });

  test('asks the function about every method', () => {
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: {
        DefaultCacheBehavior: {
          AllowedMethods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'POST', 'DELETE'],
          CachedMethods: ['GET', 'HEAD'],
          FunctionAssociations: [{ EventType: 'viewer-request' }],
        },
      },
    });
    template.hasResourceProperties('AWS::CloudFront::Function', {
      FunctionCode: EDGE_FUNCTION_CODE,
      FunctionConfig: { Runtime: 'cloudfront-js-2.0' },
    });
    expect(Buffer.byteLength(EDGE_FUNCTION_CODE)).toBeLessThan(10_240);
  });

  test('logs to a bucket of its own that is encrypted, closed, kept and expires', () => {
    template.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: { Logging: { IncludeCookies: false } },
    });
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      Properties: {
        BucketEncryption: Match.objectLike({}),
        PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
        LifecycleConfiguration: { Rules: [{ ExpirationInDays: 90, Status: 'Enabled' }] },
      },
    });
  });

  test('has A and AAAA records, whose target’s health is not evaluated', () => {
    template.resourceCountIs('AWS::Route53::RecordSet', 2);
    for (const type of ['A', 'AAAA']) {
      template.hasResourceProperties('AWS::Route53::RecordSet', {
        Name: 'models.example.com.',
        Type: type,
        AliasTarget: { EvaluateTargetHealth: Match.absent() },
      });
    }
  });

  test('requests a certificate, unless one is given', () => {
    template.hasResourceProperties('AWS::CertificateManager::Certificate', {
      DomainName: 'models.example.com',
      ValidationMethod: 'DNS',
    });
    const certificateArn = 'arn:aws:acm:us-east-1:123456789012:certificate/given';
    const given = synthesize({ edge: { certificateArn } });
    given.resourceCountIs('AWS::CertificateManager::Certificate', 0);
    given.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: { ViewerCertificate: { AcmCertificateArn: certificateArn } },
    });
  });

  test('stands in us-east-1 only', () => {
    expect(() => stack({}, 'eu-central-1')).toThrow('the edge stack belongs to us-east-1, not to eu-central-1');
  });
});

type Headers = Record<string, { value: string; multiValue?: { value: string }[] }>;
interface ViewerRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: Headers;
}
interface ViewerResponse {
  readonly statusCode: number;
  readonly headers: Headers;
  readonly body: { readonly data: string };
}

// CloudFront's own runtime has `require('crypto')` with createHash, as Node has.
const handler = runInNewContext(`${EDGE_FUNCTION_CODE}; handler`, {
  require: (name: string) => (name === 'crypto' ? { createHash } : undefined),
}) as (event: object) => ViewerRequest | ViewerResponse;

describe('the function', () => {
  const run = (uri: string, method = 'GET', headers: Headers = {}, requestId = 'abc'): ViewerRequest | ViewerResponse =>
    handler({
      context: { requestId },
      request: { method, uri, querystring: {}, headers: { ...headers }, cookies: {} },
    });
  const key = (headers: Headers): string | undefined =>
    run('/v1/models', 'GET', headers).headers['x-causeway-edge-key']?.value;

  test.each([
    ['GET', '/v1/models'],
    ['HEAD', '/v1/models'],
    ['GET', '/v1/models/claude-opus-4-7'],
    ['GET', '/v1/models/anthropic.claude-3-5-sonnet-20241022-v2:0'],
  ])('lets %s %s go on', (method, uri) => {
    expect(run(uri, method)).toMatchObject({ method, uri });
  });

  test.each([
    ['POST', '/v1/models'],
    ['OPTIONS', '/v1/models'],
    ['POST', '/v1/messages'],
    ['GET', '/v1/messages'],
    ['GET', '/'],
    ['GET', '/v1/models/'],
    ['GET', '/v1/modelsandmore'],
    ['GET', '/v1/models/../messages'],
    ['GET', '/v1/models/..'],
    ['GET', '/v1/models/%2e%2e/messages'],
    ['GET', '/v1/models//x'],
    ['GET', '/v1/models/x/y'],
    ['GET', '/V1/models'],
    ['GET', '//v1/models'],
  ])('answers %s %s with the API’s 404', (method, uri) => {
    const response = run(uri, method) as ViewerResponse;
    expect(response.statusCode).toBe(404);
    expect(response.headers).toMatchObject({
      'content-type': { value: 'application/json' },
      'cache-control': { value: 'no-store' },
      'request-id': { value: 'abc' },
    });
    expect(JSON.parse(response.body.data)).toEqual({
      type: 'error',
      error: { type: 'not_found_error', message: expect.any(String) as string },
      request_id: 'abc',
    });
  });

  test('tells apart any header of the API, known or not, and each of its values', () => {
    const plain = key({ 'anthropic-version': { value: '2023-06-01' } });
    expect(plain).toMatch(/^[0-9a-f]{64}$/);
    expect(key({ 'anthropic-version': { value: '2023-06-01' }, 'user-agent': { value: 'x' } })).toBe(plain);
    expect(key({ 'anthropic-version': { value: '2023-06-01' }, 'x-stainless-lang': { value: 'js' } })).toBe(plain);
    const others: Headers[] = [
      { 'anthropic-version': { value: '2026-10-21' } },
      { 'anthropic-version': { value: '2023-06-01' }, 'anthropic-workspace-id': { value: 'w' } },
      { 'anthropic-version': { value: '2023-06-01' }, accept: { value: 'application/json' } },
      { 'anthropic-version': { value: '2023-06-01' }, 'content-encoding': { value: 'gzip' } },
      { 'anthropic-beta': { value: 'a', multiValue: [{ value: 'a' }, { value: 'b' }] } },
      { 'anthropic-beta': { value: 'a', multiValue: [{ value: 'a,b' }] } },
    ];
    const keys = others.map(key);
    expect(new Set([plain, ...keys]).size).toBe(others.length + 1);
  });

  test.each(['x-causeway-cache', 'x-http-method-override', 'x-original-url'])(
    'gives each request with %s a key of its own: the gateway answers it',
    (name) => {
      const headers: Headers = { [name]: { value: 'no-store' } };
      const keys = ['1', '2', '3'].map(
        (id) => run('/v1/models', 'GET', headers, id).headers['x-causeway-edge-key']?.value,
      );
      expect(new Set([...keys, key({})]).size).toBe(4);
      expect(run('/v1/models', 'GET', headers).headers).toMatchObject(headers);
    },
  );

  test('does not let a client choose the key', () => {
    expect(key({ 'x-causeway-edge-key': { value: 'chosen' } })).toBe(key({}));
  });
});

/** A request for models: lines by lower-case header name. */
interface ModelsRequest {
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** What CloudFront looks an answer up by, from the synthesized policy and what the function makes of the request. */
function edgeKeys(requests: readonly ModelsRequest[]): string[] {
  const template = synthesize();
  const [policy] = Object.values(template.findResources('AWS::CloudFront::CachePolicy')) as {
    Properties: {
      CachePolicyConfig: { ParametersInCacheKeyAndForwardedToOrigin: { HeadersConfig: { Headers: string[] } } };
    };
  }[];
  const named = policy?.Properties.CachePolicyConfig.ParametersInCacheKeyAndForwardedToOrigin.HeadersConfig.Headers;
  if (named === undefined) throw new Error('the policy names no header');
  return requests.map(({ path, query, headers }, index) => {
    const given: Headers = Object.fromEntries(
      Object.entries(headers).map(([name, lines]) => [
        name,
        {
          value: lines[0] ?? '',
          ...(lines.length > 1 ? { multiValue: lines.map((value) => ({ value })) } : {}),
        },
      ]),
    );
    const request = { method: 'GET', uri: path, querystring: {}, headers: given, cookies: {} };
    const passed = handler({ context: { requestId: `request ${index}` }, request });
    return JSON.stringify([path, query, named.map((name) => passed.headers[name] ?? null)]);
  });
}

/** What the gateway tells the same requests apart by. */
function gatewayKeys(requests: readonly ModelsRequest[]): string[] {
  const script = `
    package.path = 'gateway/lua/?.lua;' .. package.path
    local cjson = require('cjson')
    local cache_key = require('causeway.core.cache_key')
    for line in io.lines() do
      print(cache_key.canonical(cjson.decode(line)))
    end`;
  const input = requests.map(({ path, query, headers }) =>
    JSON.stringify({
      environment: 'prod',
      // Each credential is somebody else's here: the gateway may know two as one consumer, CloudFront knows none.
      consumer: JSON.stringify([headers['x-api-key'], headers['authorization']]),
      method: 'GET',
      target: query === '' ? path : `${path}?${query}`,
      headers,
      epoch: '',
    }),
  );
  return execFileSync('luajit', ['-e', script], {
    cwd: join(__dirname, '..', '..'),
    encoding: 'utf8',
    input: `${input.join('\n')}\n`,
    maxBuffer: 2 ** 28,
  })
    .trimEnd()
    .split('\n');
}

const SEVERAL = { minLength: 1, maxLength: 2 };

test('whatever the gateway tells apart, CloudFront does too: credentials, queries, every header of the API', () => {
  const values: Readonly<Record<string, readonly string[]>> = {
    'x-api-key': ['cwk_1', 'cwk_2'],
    authorization: ['Bearer cwk_1', 'Bearer cwk_2'],
    'anthropic-version': ['2023-06-01', '2026-10-21'],
    'anthropic-beta': ['a', 'b', 'a,b', ''],
    'anthropic-workspace-id': ['w', 'v'],
    'anthropic-': ['x'],
    accept: ['*/*', 'application/json'],
    'content-type': ['application/json'],
    'content-encoding': ['gzip'],
    'user-agent': ['one', 'other'],
    'x-stainless-lang': ['js', 'python'],
    cookie: ['a=1'],
    'x-causeway-edge-key': ['chosen'],
  };
  const line = fc
    .constantFrom(...Object.keys(values))
    .chain((name) => fc.tuple(fc.constant(name), fc.array(fc.constantFrom(...(values[name] ?? [])), SEVERAL)));
  const request = fc.record({
    path: fc.constantFrom('/v1/models', '/v1/models/a'),
    query: fc.constantFrom('', 'limit=1', 'limit=1&after_id=x'),
    // Few of them, so that many requests are alike but for one.
    headers: fc
      .uniqueArray(line, { maxLength: 3, selector: ([name]) => name })
      .map((lines) => Object.fromEntries(lines)),
  });
  const requests = fc.sample(request, { numRuns: 20_000, seed: 7 });
  const [edge, gateway] = [edgeKeys(requests), gatewayKeys(requests)];
  expect(gateway).toHaveLength(requests.length);
  const byEdgeKey = new Map<string, string>();
  let shared = 0;
  for (const [index, key] of edge.entries()) {
    const identity = gateway[index] ?? '';
    if (byEdgeKey.has(key)) shared += 1;
    expect(byEdgeKey.get(key) ?? identity).toBe(identity);
    byEdgeKey.set(key, identity);
  }
  // Else nothing was shown.
  expect(shared).toBeGreaterThan(100);
});
