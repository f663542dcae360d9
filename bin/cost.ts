import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { App } from 'aws-cdk-lib';
import { CausewayStage, deployableEnvironments } from '../lib/app';
import { ConfigError, loadConfig } from '../lib/config';
import { estimate } from '../lib/cost/estimate';
import { renderReport } from '../lib/cost/report';

const USAGE = `Usage: npm run cost -- [--env <name>] [--config <file>]

Prints what an environment, or each that has regions, costs a month before its first request, and per million requests.

  --env <name>     the environment                       (default: all that have regions)
  --config <file>  the config to read                    (default: causeway.config.ts)
  --help           this text
`;

const ROOT = resolve(__dirname, '..');

function print(): void {
  const { env, config, help } = parseArgs({
    options: {
      env: { type: 'string' },
      config: { type: 'string', default: resolve(ROOT, 'causeway.config.ts') },
      help: { type: 'boolean', default: false },
    },
  }).values;
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const environments = deployableEnvironments(loadConfig(config), env);
  // Without the checks: what is priced need not be fit to be deployed.
  const { context } = JSON.parse(readFileSync(resolve(ROOT, 'cdk.json'), 'utf8')) as {
    context: Record<string, unknown>;
  };
  for (const environment of environments) {
    const stage = new CausewayStage(new App({ context, analyticsReporting: false }), environment.name, { environment });
    const stacks = stage.synth().stacks.map(({ stackName, template }) => ({
      name: stackName,
      template: template as { Resources?: Record<string, unknown> },
    }));
    process.stdout.write(`${renderReport(environment, estimate(stacks))}\n`);
  }
}

try {
  print();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
