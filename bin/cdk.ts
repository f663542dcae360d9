import { resolve } from 'node:path';
import { cdkArguments, parseRequest, runCdk, UsageError } from '../lib/cli/cdk';
import { ConfigError, loadConfig } from '../lib/config';
import { runMain, UserError } from '../local/user-error';

// `npm run synth`, `npm run diff`, `npm run deploy -- <region>`: the pinned CDK CLI, with the config checked before.
const ROOT = resolve(__dirname, '..');

async function main(argv: readonly string[]): Promise<number> {
  const started = performance.now();
  const request = parseRequest(argv);
  const config = loadConfig(request.config ?? resolve(ROOT, 'causeway.config.ts'));
  const code = await runCdk(cdkArguments(request, config), ROOT, process.env);
  if (request.command === 'synth' && code === 0) {
    process.stdout.write(`Synthesized into cdk.out in ${((performance.now() - started) / 1000).toFixed(1)} s.\n`);
  }
  return code;
}

runMain(() =>
  main(process.argv.slice(2)).catch((error: unknown) => {
    const byOperator = error instanceof ConfigError || error instanceof UsageError;
    throw byOperator ? new UserError(error.message, { cause: error }) : error;
  }),
);
