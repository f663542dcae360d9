/** Builds a tool input that fits a JSON schema well enough for a client to run its tool. */

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sampleValue(schema: unknown, depth: number): unknown {
  if (!isObject(schema) || depth > 8) return null;
  if (schema['const'] !== undefined) return schema['const'];
  if (Array.isArray(schema['enum'])) return (schema['enum'] as unknown[])[0] ?? null;
  const type: unknown = Array.isArray(schema['type']) ? (schema['type'] as unknown[])[0] : schema['type'];
  switch (type) {
    case 'string':
      return 'mock';
    case 'integer':
    case 'number':
      return typeof schema['minimum'] === 'number' ? schema['minimum'] : 1;
    case 'boolean':
      return true;
    case 'array':
      return [];
    case 'object':
      return sampleObject(schema, depth + 1);
    default:
      return null;
  }
}

function sampleObject(schema: Record<string, unknown>, depth: number): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required: unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const names = required.filter((name): name is string => typeof name === 'string');
  return Object.fromEntries(names.map((name) => [name, sampleValue(properties[name], depth)]));
}

/** The required properties of `schema`, each with a value of its type; always the same for the same schema. */
export function sampleInput(schema: unknown): Record<string, unknown> {
  return isObject(schema) ? sampleObject(schema, 0) : {};
}
