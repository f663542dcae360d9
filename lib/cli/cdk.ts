import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { CausewayConfig, Environment } from '../config';
import { deployableEnvironments } from '../config/deployable';

/** What can be asked for. */
const COMMANDS = ['synth', 'diff', 'deploy'] as const;
type Command = (typeof COMMANDS)[number];

/** What can be asked for of a region alone: the first deployment fills in the credentials between the two. */
const PARTS: Readonly<Record<string, string>> = { egress: 'Egress', gateway: 'Gateway' };

/** Stacks of an environment that belong to no region. */
const WITHOUT_REGION: Readonly<Record<string, string>> = { global: 'Global', edge: 'Edge' };

/** Something that an operator asked for and cannot have: said in one message, without a stack trace. */
export class UsageError extends Error {}

/** What `npm run synth | diff | deploy` was asked for. */
export interface CdkRequest {
  readonly command: Command;
  /** A region, `<region>/egress`, `<region>/gateway`, `global` or `edge`. @default - all */
  readonly target?: string | undefined;
  /** @default - the only deployable environment; for synth and diff all of them */
  readonly environment?: string | undefined;
  /** Another config to read. @default 'causeway.config.ts' */
  readonly config?: string | undefined;
  /** What comes after `--`, for the CDK CLI itself. */
  readonly rest: readonly string[];
}

/** Reads a command line: `deploy [region] [--env name] [--config file] [-- options of cdk]`. */
export function parseRequest(argv: readonly string[]): CdkRequest {
  const separator = argv.indexOf('--');
  const own = separator < 0 ? argv : argv.slice(0, separator);
  const [command, ...args] = own;
  const known = COMMANDS.find((name) => name === command);
  if (known === undefined) throw new UsageError(`say one of ${COMMANDS.join(', ')}, not "${command ?? ''}"`);
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: { env: { type: 'string' }, config: { type: 'string' } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const [target, ...more] = parsed.positionals;
  if (more.length > 0) throw new UsageError(`one region at a time, not "${parsed.positionals.join(' ')}"`);
  if (known === 'synth' && target !== undefined)
    throw new UsageError('synth writes all templates: leave the region out');
  return {
    command: known,
    target,
    environment: parsed.values.env,
    config: parsed.values.config,
    rest: separator < 0 ? [] : argv.slice(separator + 1),
  };
}

/**
 * Arguments of the CDK CLI for a request.
 *
 * @throws ConfigError where the config cannot be built, before anything is written.
 * @throws UsageError where the request names what is not there.
 */
export function cdkArguments(request: CdkRequest, config: CausewayConfig): string[] {
  const environments = deployableEnvironments(config, request.environment);
  const context = [
    ...(request.environment === undefined ? [] : ['--context', `environment=${request.environment}`]),
    ...(request.config === undefined ? [] : ['--context', `config=${resolve(request.config)}`]),
  ];
  if (request.command === 'synth') return ['synth', '--quiet', ...context, ...request.rest];
  const selected = request.command === 'deploy' ? [only(environments)] : environments;
  return [request.command, ...stackPatterns(selected, request.target), ...context, ...request.rest];
}

/** Patterns that select an environment's stacks; of a region both, the network first. */
function stackPatterns(environments: readonly Environment[], target: string | undefined): string[] {
  if (target === undefined) return environments.map(({ name }) => `${name}/**`);
  const patterns = environments.flatMap(({ name, regions, edge }) => {
    const stack = WITHOUT_REGION[target];
    if (stack !== undefined) return stack === 'Edge' && !edge.enabled ? [] : [`${name}/${stack}`];
    const [wanted, part] = target.split('/');
    const stacks = part === undefined ? '*' : PARTS[part];
    return stacks !== undefined && regions.some(({ region }) => region === wanted)
      ? [`${name}/${String(wanted)}/${stacks}`]
      : [];
  });
  if (patterns.length === 0) {
    const there = environments.flatMap(({ regions, edge }) => [
      ...regions.map(({ region }) => region),
      'global',
      ...(edge.enabled ? ['edge'] : []),
    ]);
    throw new UsageError(`there is no "${target}" to deploy; there are: ${[...new Set(there)].join(', ')}`);
  }
  // Without it the CLI would deploy, along with the global stack, every region that it comes after.
  return [...patterns, '--exclusively'];
}

function only(environments: readonly Environment[]): Environment {
  const [first, ...others] = environments;
  if (first === undefined) throw new UsageError('causeway.config.ts has no environment with regions to deploy');
  if (others.length > 0) {
    throw new UsageError(`say which environment by --env: ${environments.map(({ name }) => name).join(', ')}`);
  }
  return first;
}

/** Runs the pinned CDK CLI of this project in an environment of variables, and gives its exit code. */
export async function runCdk(
  args: readonly string[],
  directory: string,
  variables: NodeJS.ProcessEnv,
): Promise<number> {
  const cli = join(dirname(createRequire(__filename).resolve('aws-cdk/package.json')), 'bin/cdk');
  return new Promise((settle, reject) => {
    const child = spawn(process.execPath, [cli, ...args], {
      cwd: directory,
      stdio: 'inherit',
      // Neither asks the network whether there is something newer, nor tells it what was done.
      env: { ...variables, CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: '1' },
    });
    child.once('error', reject);
    child.once('close', (code) => {
      settle(code ?? 1);
    });
  });
}
