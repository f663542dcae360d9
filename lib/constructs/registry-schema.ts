/**
 * What AppConfig checks before it hands a consumer registry to anyone (JSON Schema draft 4, the one it knows). It is wider
 * than what the gateway checks, so that a field that a newer gateway knows can be rolled out to an older one.
 */
export const REGISTRY_SCHEMA = {
  $schema: 'http://json-schema.org/draft-04/schema#',
  type: 'object',
  required: ['consumers'],
  properties: {
    consumers: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'keys'],
        properties: {
          id: { type: 'string', pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' },
          keys: { type: 'array', items: { type: 'object' } },
          rate: { type: 'number', minimum: 0 },
          burst: { type: 'integer', minimum: 0 },
          concurrency: { type: 'integer', minimum: 1 },
        },
      },
    },
  },
} as const;

/**
 * The registry that a new environment starts with: nobody may in. It must stay as it is, to the letter: a changed text
 * makes CloudFormation roll it out again, over the registry that is in use.
 */
export const INITIAL_REGISTRY = '{"consumers":[]}';
