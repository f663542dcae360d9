import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { addEnvironments } from '../../../lib/app';
import { resolveEnvironment, type Environment, type EnvironmentInput } from '../../../lib/config';
import { AWS_LIMITS } from '../../../lib/config/aws-limits';
import { DEPLOYMENT_RULES } from '../../../lib/config/deployment';
import { deepMerge } from '../../../lib/config/paths';

/** A resource of a template, as far as every resource goes. */
export interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

/** One stack as it would be deployed. */
export interface SynthesizedStack {
  /** Path in the app, such as `minimal/us-east-1/Gateway`. */
  readonly path: string;
  readonly name: string;
  readonly region: string;
  readonly file: string;
  readonly template: Template;
  readonly resources: Readonly<Record<string, Resource>>;
}

const outputs: string[] = [];
afterAll(() => {
  for (const directory of outputs.splice(0)) rmSync(directory, { recursive: true, force: true });
});

const { context } = JSON.parse(readFileSync(resolve(__dirname, '../../../cdk.json'), 'utf8')) as {
  context: Record<string, unknown>;
};

/**
 * Synthesizes environments with the feature flags of cdk.json.
 *
 * @param change What is done to the app before.
 * @throws Error with every finding of cdk-nag and of the bundled CloudFormation validation.
 */
export function synthesize(environments: readonly Environment[], change?: (app: App) => void): SynthesizedStack[] {
  const outdir = mkdtempSync(join(tmpdir(), 'causeway-cdk-'));
  outputs.push(outdir);
  const app = new App({
    outdir,
    treeMetadata: false,
    context: {
      ...context,
      // What takes time and changes no template: bundling Lambdas, copying assets, saying where constructs are from.
      'aws:cdk:bundling-stacks': [],
      'aws:cdk:disable-asset-staging': true,
      'aws:cdk:disable-stack-trace': true,
    },
  });
  addEnvironments(app, environments);
  change?.(app);
  const assembly = app.synth();
  return assembly.stacksRecursively.map((artifact) => {
    const template = artifact.template as { Resources: Record<string, Resource> };
    return {
      path: artifact.hierarchicalId,
      name: artifact.stackName,
      region: artifact.environment.region,
      file: artifact.templateFullPath,
      template: Template.fromJSON(template, { skipCyclicalDependenciesCheck: true }),
      resources: template.Resources,
    };
  });
}

const BASE: EnvironmentInput = {
  regions: [{ region: 'eu-central-1' }],
  domain: { name: 'claude.example.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' },
};

/** An environment of one region by which a change is looked at. */
export function environment(change: EnvironmentInput = {}, name = 'test'): Environment {
  const input = deepMerge(BASE, change) as EnvironmentInput;
  return resolveEnvironment({ environments: { [name]: input } }, name, [...DEPLOYMENT_RULES, ...AWS_LIMITS]);
}

/** The stack at the end of a path: `Egress`, `Gateway`, `Global`, `Edge`. */
export function stackOf(stacks: readonly SynthesizedStack[], role: string): SynthesizedStack {
  const found = stacks.find(({ path }) => path.endsWith(`/${role}`));
  if (found === undefined)
    throw new Error(`there is no ${role}; there are ${stacks.map(({ path }) => path).join(', ')}`);
  return found;
}

/** Resources of a type with their logical ids. */
export function ofType(stack: Pick<SynthesizedStack, 'resources'>, type: string): [string, Resource][] {
  return Object.entries(stack.resources).filter(([, resource]) => resource.Type === type);
}
