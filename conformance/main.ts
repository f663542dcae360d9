import { runMain } from '../local/user-error';
import { HELP, parseArguments } from './arguments';
import { CHECKS } from './checks';
import { announcement, json, table } from './report';
import { conforms, runChecks } from './runner';
import { Target } from './target';

runMain(async () => {
  const args = parseArguments(process.argv.slice(2), process.env['ANTHROPIC_API_KEY']);
  if (args === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const target = new Target(args.target);
  if (!args.json) process.stdout.write(`${announcement(target, CHECKS)}\n`);
  const results = await runChecks(target, CHECKS);
  process.stdout.write(args.json ? json(target, results) : table(target, results));
  return conforms(results) ? 0 : 1;
});
