import { resolve } from 'node:path';
import { loadConfig } from '../../lib/config';
import { deployableEnvironments } from '../../lib/config/deployable';
import { cfnLint, lint } from './support/cfn-lint';
import { hashless } from './support/hashless';
import { synthesize } from './support/synthesize';

/** The environments of causeway.config.ts, as `npm run synth` makes them. */
const environments = deployableEnvironments(loadConfig(resolve(__dirname, '../../causeway.config.ts')));
const stacks = synthesize(environments);

test('the shipped examples are one region at minimal cost, and three with everything on', () => {
  expect(environments.map(({ name, regions }) => [name, regions.length])).toEqual([
    ['minimal', 1],
    ['global', 3],
  ]);
});

test('stacks have the same names on every machine', () => {
  expect(stacks.map(({ name, region }) => `${name} in ${region}`).sort()).toEqual([
    'Causeway-global-ap-northeast-1-egress in ap-northeast-1',
    'Causeway-global-ap-northeast-1-gateway in ap-northeast-1',
    'Causeway-global-edge in us-east-1',
    'Causeway-global-eu-central-1-egress in eu-central-1',
    'Causeway-global-eu-central-1-gateway in eu-central-1',
    'Causeway-global-global in us-east-1',
    'Causeway-global-us-east-1-egress in us-east-1',
    'Causeway-global-us-east-1-gateway in us-east-1',
    'Causeway-minimal-global in us-east-1',
    'Causeway-minimal-us-east-1-egress in us-east-1',
    'Causeway-minimal-us-east-1-gateway in us-east-1',
  ]);
});

test.each(stacks.map((stack) => [stack.path, stack] as const))('%s', (_path, { template }) => {
  expect(hashless(template.toJSON())).toMatchSnapshot();
});

test('every resource that can be tagged says which environment it belongs to', () => {
  for (const { path, resources } of stacks) {
    for (const [id, { Type, Properties }] of Object.entries(resources)) {
      if (Type !== 'AWS::ECS::Service' && Type !== 'AWS::EC2::VPC' && Type !== 'AWS::S3::Bucket') continue;
      expect({ path, id, tags: Properties?.['Tags'] }).toEqual({
        path,
        id,
        tags: expect.arrayContaining([
          { Key: 'causeway:environment', Value: path.startsWith('minimal') ? 'minimal' : 'global' },
        ]) as unknown,
      });
    }
  }
});

(cfnLint === undefined ? test.skip : test)('cfn-lint finds nothing', () => {
  expect(lint(cfnLint ?? '', stacks)).toBe('');
});
