import type { RegistryDocument } from '../registry/document';

/**
 * The registry that a new environment starts with: nobody may in. It must stay as it is, to the letter: a changed text
 * makes CloudFormation roll it out again, over the registry that is in use.
 */
export const INITIAL_REGISTRY = JSON.stringify({ version: 1, consumers: [] } satisfies RegistryDocument);
