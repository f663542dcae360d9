import type { Environment } from '../lib/config';
import type { CredentialsDocument } from '../lib/registry/document';
import { UserError } from './user-error';

/** The environment variable that holds an upstream credential on a laptop. */
function credentialVariable(name: string): string {
  return name === 'anthropic' ? 'ANTHROPIC_API_KEY' : `CAUSEWAY_CREDENTIAL_${name.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Collects the credentials of an environment's upstreams from variables.
 *
 * @throws UserError that names every variable that is missing, or one that cannot be a credential.
 */
export function credentialsFrom(environment: Environment, variables: NodeJS.ProcessEnv): CredentialsDocument {
  const names = [...new Set(environment.upstreams.map(({ id, credential }) => credential ?? id))];
  const missing = names.map(credentialVariable).filter((variable) => (variables[variable] ?? '') === '');
  if (missing.length > 0) {
    throw new UserError(
      `${missing.join(' and ')} must be set: the upstream's credential is read from there. Without one, npm start alone runs against the mock Claude API`,
    );
  }
  // It goes into a header: a line break would end it, a space is a slip in copying.
  const unfit = names.map(credentialVariable).find((variable) => !/^[\x21-\x7e]+$/.test(variables[variable] ?? ''));
  if (unfit !== undefined) {
    throw new UserError(`${unfit} holds a space, a line break or a character beyond ASCII, which no credential does`);
  }
  return {
    version: 1,
    credentials: Object.fromEntries(names.map((name) => [name, variables[credentialVariable(name)] ?? ''])),
  };
}
