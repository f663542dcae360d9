import type { RegistryDocument } from '../registry/document';

/**
 * What AppConfig checks before it hands a consumer registry to anyone (JSON Schema draft 4, the one it knows). It is wider
 * than what the gateway checks: that one knows the config, and refuses what it does not understand by name.
 */
export const REGISTRY_SCHEMA = {
  $schema: 'http://json-schema.org/draft-04/schema#',
  type: 'object',
  required: ['version', 'consumers'],
  properties: {
    version: { enum: [1] },
    consumers: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'keys'],
        properties: {
          id: { type: 'string', pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' },
          keys: {
            type: 'array',
            items: {
              type: 'object',
              required: ['id', 'sha256'],
              properties: {
                id: { type: 'string', minLength: 1 },
                // A key itself has no place here: it would be readable by whoever may read the registry.
                sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
                notAfter: { type: 'string' },
              },
            },
          },
          rate: { type: 'number', minimum: 0 },
          burst: { type: 'integer', minimum: 0 },
          concurrency: { type: 'integer', minimum: 1 },
          disabled: { type: 'boolean' },
        },
      },
    },
  },
} as const;

/**
 * The registry that a new environment starts with: nobody may in. It must stay as it is, to the letter: a changed text
 * makes CloudFormation roll it out again, over the registry that is in use.
 */
export const INITIAL_REGISTRY = JSON.stringify({ version: 1, consumers: [] } satisfies RegistryDocument);
