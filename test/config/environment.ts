import { ConfigError, resolveEnvironment, type Environment, type EnvironmentInput, type Rule } from '../../lib/config';

/** The environment `test` of a config that holds nothing else. */
export function environment(input: EnvironmentInput = {}, rules?: readonly Rule[]): Environment {
  return resolveEnvironment({ environments: { test: input } }, 'test', rules);
}

/** Problems of a config as `field: message`; nothing where it is good. */
export function problemsOf(action: () => unknown): string[] {
  try {
    action();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`));
  }
}
