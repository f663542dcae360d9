import { Stack } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { EnvironmentInput } from '../../lib/config';
import { cfnLint, lint } from './support/cfn-lint';
import { environment, synthesize, type SynthesizedStack } from './support/synthesize';

const COMPUTE = ['fargate', 'ec2'] as const;
const EXPOSURE = ['public', 'internal'] as const;
const NAT = ['perAz', 'single', 'regional'] as const;
const VALKEY = ['none', 'serverless', 'replicationGroup'] as const;
const EDGE = [false, true] as const;
const AUTH = ['keys', 'passthrough'] as const;

const SPACE = COMPUTE.flatMap(
  (compute) =>
    EXPOSURE.flatMap((exposure) =>
      NAT.flatMap((nat) =>
        VALKEY.flatMap((valkey) =>
          EDGE.flatMap((edge) => AUTH.map((auth) => ({ compute, exposure, nat, valkey, edge, auth }))),
        ),
      ),
    ),
  // CloudFront reaches public names only: the config refuses the pair (test/config).
).filter(({ exposure, edge }) => exposure === 'public' || !edge);

const input = ({ compute, exposure, nat, valkey, edge, auth }: (typeof SPACE)[number]): EnvironmentInput => ({
  compute: { type: compute },
  loadBalancer: { exposure },
  network: { nat },
  valkey: { mode: valkey },
  edge: edge ? { enabled: true, hostname: 'models.example.com' } : {},
  auth: { mode: auth },
});

/** What is not crossed with everything: each alone changes what is synthesized. */
const VARIANTS: Record<string, EnvironmentInput> = {
  'three AZs': { network: { availabilityZones: 3 }, compute: { minTasks: 3 } },
  'a given VPC': {
    regions: [
      {
        region: 'eu-central-1',
        existingVpc: {
          vpcId: 'vpc-0123456789abcdef0',
          cidr: '10.0.0.0/16',
          availabilityZones: ['eu-central-1a', 'eu-central-1b'],
          publicSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
          privateSubnetIds: ['subnet-0123456789abcdef2', 'subnet-0123456789abcdef3'],
        },
      },
    ],
    valkey: { mode: 'serverless' },
  },
  'given addresses': {
    regions: [
      { region: 'eu-central-1', eipAllocationIds: ['eipalloc-0123456789abcdef0', 'eipalloc-0123456789abcdef1'] },
    ],
  },
  'a given certificate': {
    regions: [
      {
        region: 'eu-central-1',
        certificateArn: 'arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef',
      },
    ],
  },
  'the smallest range': { regions: [{ region: 'eu-central-1', vpcCidr: '10.0.0.0/24' }] },
  'a given image': { compute: { imageUri: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/causeway:1' } },
  'an account': { account: '123456789012' },
  'mutual TLS': { loadBalancer: { mutualTls: { bucketName: 'trust-store', key: 'authorities.pem' } } },
  'IPv4 only': { loadBalancer: { dualStack: false } },
  'IPv4 only, internal': { loadBalancer: { dualStack: false, exposure: 'internal' } },
  'no firewall': { firewall: { enabled: false } },
  'a closed firewall with countries': { firewall: { fail: 'closed' }, routing: { allowCountries: ['DE', 'JP'] } },
  'scheduled floors': { compute: { schedules: [{ cron: '0 7 ? * MON-FRI *', minTasks: 4 }] } },
  'everything that costs off': {
    network: { nat: 'single', flowLogs: false, interfaceEndpoints: false },
    compute: { cpu: 256, memoryMiB: 512 },
  },
  'one node of Valkey': { valkey: { mode: 'replicationGroup', replicas: 0 } },
  'another port upstream': { upstreams: [{ id: 'other', host: 'claude.example.org', port: 8443 }] },
  'a revocation in seconds': { auth: { revocationSeconds: 20 } },
};

const resources = new Set<string>();
const worthLinting: SynthesizedStack[] = [];
/** Keeps a stack where it holds a resource that no stack before it did: most of the space is the same resources again. */
const remember = (stacks: readonly SynthesizedStack[]): void => {
  for (const stack of stacks) {
    const unseen = Object.values(stack.resources)
      .map((resource) => JSON.stringify(resource))
      .filter((text) => !resources.has(text));
    if (unseen.length > 0) worthLinting.push(stack);
    for (const text of unseen) resources.add(text);
  }
};

test.each(SPACE)('$compute, $exposure, NAT $nat, Valkey $valkey, edge $edge, $auth', (combination) => {
  remember(synthesize([environment(input(combination))]));
});

test.each(Object.entries(VARIANTS))('%s', (_name, change) => {
  remember(synthesize([environment(change)]));
});

(cfnLint === undefined ? test.skip : test)('cfn-lint finds nothing in any resource of any of them', () => {
  expect(worthLinting.length).toBeGreaterThan(20);
  expect(lint(cfnLint ?? '', worthLinting)).toBe('');
});

describe('what watches over the templates', () => {
  test('cdk-nag', () => {
    expect(() => synthesize([environment()], (app) => new s3.Bucket(new Stack(app, 'Careless'), 'Bucket'))).toThrow(
      'AwsSolutions-S10',
    );
  });

  test('the validation of CloudFormation', () => {
    expect(() =>
      synthesize([environment()], (app) => {
        const bucket = new s3.CfnBucket(new Stack(app, 'Careless'), 'Bucket');
        bucket.addPropertyOverride('NoSuchProperty', true);
      }),
    ).toThrow('NoSuchProperty');
  });
});
