import { z } from 'zod';
import { derive, type Environment } from './derive';
import { ConfigError } from './errors';
import { explain } from './explain';
import { LADDER, type Rule } from './ladder';
import { deepMerge, isPlainObject } from './paths';
import { environmentSchema, type EnvironmentInput } from './schema';

/** What causeway.config.ts exports. */
export interface CausewayConfig {
  /** What holds in every environment that does not say otherwise. @default {} */
  readonly common?: EnvironmentInput;
  /** Environments by name. Objects are merged over `common`, arrays replace. `local` is what `npm start` runs. */
  readonly environments: Readonly<Record<string, EnvironmentInput>>;
}

/** Types causeway.config.ts, so that an editor completes and checks it. */
export function defineConfig(config: CausewayConfig): CausewayConfig {
  return config;
}

const configShape = z.strictObject({
  common: z.looseObject({}).optional(),
  environments: z.record(
    z
      .string()
      // With `causeway-` before it, what ElastiCache takes for a name: 40 characters, no hyphen doubled or at the end.
      .regex(
        /^(?=.{1,31}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
        'must be 1 to 31 of a-z, 0-9 and single inner hyphens, a letter first',
      ),
    z.looseObject({}),
  ),
});

/**
 * The environments that a config names, and `local`, which is always there.
 *
 * @throws ConfigError where the exported value is no config at all.
 */
export function environmentNames(config: unknown, source = 'causeway.config.ts'): string[] {
  if (!isPlainObject(config)) {
    throw new ConfigError(source, [
      {
        field: '',
        message: 'must say `export default defineConfig({ environments: { … } })`; it exports no such object',
      },
    ]);
  }
  const shape = configShape.safeParse(config);
  if (!shape.success) throw new ConfigError(source, explain(shape.error.issues, config, configShape));
  return [...new Set(['local', ...Object.keys(shape.data.environments)])];
}

/**
 * One environment of a config: merged, checked by the schema, completed with derived values and held against the rules.
 *
 * @param rules Rules beyond the ladder, such as those that only a deployment must keep.
 * @throws ConfigError with every problem found, each naming its field, the value and what is allowed.
 */
export function resolveEnvironment(
  config: CausewayConfig,
  name: string,
  rules: readonly Rule[] = [],
  source = 'causeway.config.ts',
): Environment {
  const names = environmentNames(config, source);
  if (!names.includes(name)) {
    throw new ConfigError(source, [
      { field: `environments.${name}`, message: `does not exist; there are: ${names.join(', ')}` },
    ]);
  }
  const where = `${source}, environment "${name}"`;
  const input = deepMerge(config.common ?? {}, config.environments[name] ?? {});
  const parsed = environmentSchema.safeParse(input);
  if (!parsed.success) throw new ConfigError(where, explain(parsed.error.issues, input, environmentSchema));
  const environment = derive(name, parsed.data);
  const problems = [...LADDER, ...rules].flatMap((rule) => rule(environment));
  if (problems.length > 0) throw new ConfigError(where, problems);
  return environment;
}
