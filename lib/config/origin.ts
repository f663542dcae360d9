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

/** Every effective value of an environment with its origin, in the schema's order; lists of objects entry by entry. */
export function effectiveValues(config: CausewayConfig, environment: Environment): EffectiveValue[] {
  const layers: readonly [Origin, unknown][] = [
    ['environment', config.environments[environment.name]],
    ['common', config.common],
  ];
  const defaults: unknown = environmentSchema.parse({});
  const originOf = (path: Path): Origin => {
    const list = path.findIndex((part) => typeof part === 'number');
    if (list === -1) {
      const layer = layers.find(([, layer]) => valueAt(layer, path) !== undefined);
      if (layer !== undefined) return layer[0];
      return valueAt(defaults, path) === undefined ? 'derived' : 'default';
    }
    // Lists are replaced, never merged: the layer that gives the list gives all its entries.
    const layer = layers.find(([, layer]) => valueAt(layer, path.slice(0, list)) !== undefined);
    return layer !== undefined && valueAt(layer[1], path) !== undefined ? layer[0] : 'default';
  };
  const rows: EffectiveValue[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (Array.isArray(value) && value.some(isPlainObject)) {
      value.forEach((child, index) => {
        visit(child, [...path, index]);
      });
    } else if (isPlainObject(value) && Object.keys(value).length > 0) {
      for (const [key, child] of Object.entries(value)) visit(child, [...path, key]);
    } else {
      rows.push({ field: formatPath(path), value, origin: originOf(path) });
    }
  };
  for (const [key, value] of Object.entries(environment)) if (key !== 'name') visit(value, [key]);
  return rows;
}
