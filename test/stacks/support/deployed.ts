import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { CausewayStage } from '../../../lib/app';
import type { Environment } from '../../../lib/config';

/** One stack as it would be deployed. */
export interface DeployedStack {
  readonly name: string;
  readonly region: string;
  readonly template: { readonly Resources?: Readonly<Record<string, unknown>> };
}

/** Every stack of an environment, synthesized with the feature flags of cdk.json. */
export function deployedStacks(environment: Environment): DeployedStack[] {
  const { context } = JSON.parse(readFileSync(resolve(__dirname, '../../../cdk.json'), 'utf8')) as {
    context: Record<string, unknown>;
  };
  const stage = new CausewayStage(new App({ context }), environment.name, { environment });
  return stage.synth().stacks.map(({ stackName, environment: { region }, template }) => ({
    name: stackName,
    region,
    template: template as DeployedStack['template'],
  }));
}
