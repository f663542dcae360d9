import { z } from 'zod';
import type { ConfigProblem } from './errors';
import { formatPath, isPlainObject, type Path, valueAt } from './paths';
import { environmentSchema } from './schema';

type JsonSchema = Record<string, unknown>;

/** Turns what zod reports into problems that name the field, the value found and what is allowed. */
export function explain(issues: readonly z.core.$ZodIssue[], input: unknown): ConfigProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const allowed = allowedKeys(issue.path);
      return issue.keys.map((key) => ({
        field: formatPath([...issue.path, key]),
        message: `unknown setting; allowed here: ${allowed.join(', ')}`,
      }));
    }
    const value = valueAt(input, issue.path);
    const found = value === undefined ? 'missing' : `is ${show(value)}`;
    return [{ field: formatPath(issue.path), message: `${found}; ${allowedValue(issue)}` }];
  });
}

function allowedValue(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}`;
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(show).join(', ')}`;
    case 'too_small':
      return `must ${issue.origin === 'number' || issue.origin === 'int' ? 'be' : 'have'} ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
    case 'too_big':
      return `must ${issue.origin === 'number' || issue.origin === 'int' ? 'be' : 'have'} ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`;
    case 'invalid_union': {
      const literals = issue.errors.flat().flatMap((error) => (error.code === 'invalid_value' ? error.values : []));
      return literals.length > 0 ? `must be one of ${literals.map(show).join(', ')}` : 'has no allowed form';
    }
    default:
      return issue.message;
  }
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function show(value: unknown): string {
  // JSON has no word for a function or a symbol; String names it well enough.
  const text = (JSON.stringify(value) as string | undefined) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** The settings that the schema knows at a path. */
function allowedKeys(path: Path): string[] {
  let node: JsonSchema = z.toJSONSchema(environmentSchema, { io: 'input', unrepresentable: 'any' });
  for (const part of path) {
    const properties = node['properties'];
    const next =
      isPlainObject(properties) && isPlainObject(properties[String(part)])
        ? properties[String(part)]
        : (node['items'] ?? node['additionalProperties']);
    if (!isPlainObject(next)) return [];
    node = next;
  }
  return isPlainObject(node['properties']) ? Object.keys(node['properties']) : [];
}
