import type { CausewayConfig } from './environment';
import type { Environment } from './derive';
import { formatPath, isPlainObject, type Path, valueAt } from './paths';
import { environmentSchema } from './schema';

/** Where an effective value comes from. */
export type Origin = 'environment' | 'common' | 'derived' | 'default';

/** One effective value of an environment. */
export interface EffectiveValue {
  readonly field: string;
  readonly value: unknown;
  readonly origin: Origin;
}

/** Every effective value of an environment with its origin, in the schema's order. */
export function effectiveValues(config: CausewayConfig, environment: Environment): EffectiveValue[] {
  const overrides = config.environments[environment.name];
  const defaults: unknown = environmentSchema.parse({});
  const rows: EffectiveValue[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (isPlainObject(value) && Object.keys(value).length > 0) {
      for (const [key, child] of Object.entries(value)) visit(child, [...path, key]);
      return;
    }
    const origin: Origin =
      valueAt(overrides, path) !== undefined
        ? 'environment'
        : valueAt(config.common, path) !== undefined
          ? 'common'
          : valueAt(defaults, path) === undefined
            ? 'derived'
            : 'default';
    rows.push({ field: formatPath(path), value, origin });
  };
  for (const [key, value] of Object.entries(environment)) if (key !== 'name') visit(value, [key]);
  return rows;
}
