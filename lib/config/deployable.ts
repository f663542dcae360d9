import { AWS_LIMITS } from './aws-limits';
import { DEPLOYMENT_RULES } from './deployment';
import type { Environment } from './derive';
import { environmentNames, resolveEnvironment, type CausewayConfig } from './environment';

/**
 * The environments that are built: the one that is named, or all that have regions.
 *
 * @throws ConfigError before anything is built, if any of them cannot be.
 */
export function deployableEnvironments(config: CausewayConfig, name?: string, source?: string): Environment[] {
  const rules = [...DEPLOYMENT_RULES, ...AWS_LIMITS];
  if (name !== undefined) return [resolveEnvironment(config, name, rules, source)];
  return environmentNames(config, source)
    .filter((candidate) => resolveEnvironment(config, candidate, [], source).regions.length > 0)
    .map((candidate) => resolveEnvironment(config, candidate, rules, source));
}
