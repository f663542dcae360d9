import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { App } from 'aws-cdk-lib';
import { CausewayStage, deployableEnvironments } from '../lib/app';
import { ConfigError, loadConfig } from '../lib/config';
import { estimate } from '../lib/cost/estimate';
import { renderReport } from '../lib/cost/report';
import { runMain, UserError } from '../local/user-error';

const USAGE = `Usage: npm run cost -- [--env <name>] [--config <file>]

Prints what an environment, or each that has regions, costs a month before its first request, and per million requests.

  --env <name>     the environment                       (default: all that have regions)
  --config <file>  the config to read                    (default: causeway.config.ts)
  --help           this text
`;

const ROOT = resolve(__dirname, '..');

function options(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        env: { type: 'string' },
        config: { type: 'string', default: resolve(ROOT, 'causeway.config.ts') },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`, { exitCode: 2 });
  }
}

function print(args: readonly string[]): void {
  const { env, config, help } = options(args);
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const { context } = JSON.parse(readFileSync(resolve(ROOT, 'cdk.json'), 'utf8')) as {
    context: Record<string, unknown>;
  };
  for (const environment of deployableEnvironments(loadConfig(config), env)) {
    // Without the checks of addEnvironments: what is priced need not be fit to be deployed.
    const stage = new CausewayStage(new App({ context, analyticsReporting: false }), environment.name, { environment });
    const stacks = stage.synth().stacks.map(({ stackName, template }) => ({
      name: stackName,
      template: template as { Resources?: Record<string, unknown> },
    }));
    process.stdout.write(`${renderReport(environment, estimate(stacks))}\n`);
  }
}

runMain(() =>
  Promise.resolve(process.argv.slice(2))
    .then(print)
    .catch((error: unknown) => {
      if (error instanceof ConfigError) throw new UserError(error.message, { cause: error });
      throw error;
    }),
);
