import type { Environment } from './derive';

/** The public names of an environment, all literal, so that no stack needs another one's output to know them. */
export interface Hostnames {
  /** What clients use. */
  readonly publicName: string;
  /** The latency set of all regions, which the public name's records refer to. Clients do not use it. */
  readonly latencyName: string;
  /** One region's own name, on its certificate too. */
  readonly regionalName: (region: string) => string;
}

/**
 * The names under `domain.name`.
 *
 * @throws Error where the environment has no domain; the deployment rules refuse such a config before.
 */
export function hostnames(environment: Pick<Environment, 'name' | 'domain'>): Hostnames {
  const { domain } = environment;
  if (domain === undefined) throw new Error(`environment "${environment.name}" has no domain, and so no host names`);
  return {
    publicName: domain.name,
    latencyName: `latency.${domain.name}`,
    regionalName: (region) => `${region}.${domain.name}`,
  };
}
