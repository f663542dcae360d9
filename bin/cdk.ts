import { resolve } from 'node:path';
import { cdkArguments, parseRequest, runCdk, UsageError } from '../lib/cli/cdk';
import { ConfigError, loadConfig } from '../lib/config';

// `npm run synth`, `npm run diff`, `npm run deploy -- <region>`: the pinned CDK CLI, with the config checked before.
const ROOT = resolve(__dirname, '..');

async function main(argv: readonly string[]): Promise<number> {
  const started = performance.now();
  const request = parseRequest(argv);
  const code = await runCdk(cdkArguments(request, loadConfig(resolve(ROOT, 'causeway.config.ts'))), ROOT, process.env);
  if (request.command === 'synth' && code === 0) {
    console.log(`Synthesized into cdk.out in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
  }
  return code;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    // What an operator can mend is said in one message; anything else is a fault of ours and keeps its stack trace.
    console.error(error instanceof ConfigError || error instanceof UsageError ? error.message : error);
    process.exitCode = 1;
  },
);
