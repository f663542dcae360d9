import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigError, effectiveValues, loadConfig, resolveEnvironment, type Rule } from '../lib/config';
import { DEPLOYMENT_RULES } from '../lib/config/deployment';
import { renderTable } from '../lib/config/table';
import { runMain, UserError } from '../local/user-error';

const USAGE = `Usage: npm run config -- [--env <name>] [--json] [--config <file>]

Prints the effective configuration of an environment and where each value comes from: the environment itself, common,
derived from other values, or a default.

  --env <name>     the environment                       (default: local)
  --json           as JSON: [{ field, value, origin }]
  --config <file>  the config to read                    (default: causeway.config.ts)
  --help           this text
`;

/** Whoever names regions means to deploy, and wants to hear now what the deployment would refuse. */
const deployable: Rule = (environment) =>
  environment.regions.length === 0 ? [] : DEPLOYMENT_RULES.flatMap((rule) => rule(environment));

function options(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        env: { type: 'string', default: 'local' },
        json: { type: 'boolean', default: false },
        config: { type: 'string', default: resolve(__dirname, '..', 'causeway.config.ts') },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`, { exitCode: 2 });
  }
}

function print(args: readonly string[]): void {
  const { env, json, config: file, help } = options(args);
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const config = loadConfig(file);
  const values = effectiveValues(config, resolveEnvironment(config, env, [deployable], basename(file)));
  process.stdout.write(json ? `${JSON.stringify(values, null, 2)}\n` : renderTable(values));
}

runMain(() =>
  Promise.resolve(process.argv.slice(2))
    .then(print)
    .catch((error: unknown) => {
      if (error instanceof ConfigError) throw new UserError(error.message, { cause: error });
      throw error;
    }),
);
