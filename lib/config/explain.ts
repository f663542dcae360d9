import { z } from 'zod';
import type { ConfigProblem } from './errors';
import { formatPath, isPlainObject, type Path, valueAt } from './paths';

type JsonSchema = Record<string, unknown>;
type Issue = z.core.$ZodIssue;

/**
 * Turns what zod reports into problems that name the field, the value found and what is allowed.
 *
 * @param schema What the input was held against: it knows the settings that are allowed in place of an unknown one.
 */
export function explain(issues: readonly Issue[], input: unknown, schema: z.ZodType): ConfigProblem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const allowed = allowedKeys(schema, issue.path);
      return issue.keys.map((key) => ({
        field: formatPath([...issue.path, key]),
        message: `unknown setting; allowed here: ${allowed.join(', ')}`,
      }));
    }
    // Zod reports a number beyond 2^53 twice, once by its own bound and once by the field's.
    if (issue.code === 'too_big' && issues.some((other) => other !== issue && isTighter(other, issue))) return [];
    const field = formatPath(issue.path);
    if (issue.code === 'invalid_key') return [{ field, message: allowedKeyName(issue) }];
    const value = valueAt(input, issue.path);
    const found = value === undefined ? 'is missing' : `is ${show(value)}`;
    return [{ field, message: `${found}; ${allowedValue(issue)}` }];
  });
}

function isTighter(other: Issue, issue: z.core.$ZodIssueTooBig): boolean {
  return other.code === 'too_big' && other.maximum < issue.maximum && formatPath(other.path) === formatPath(issue.path);
}

function allowedKeyName(issue: z.core.$ZodIssueInvalidKey): string {
  const name = issue.path.at(-1);
  return `the name is ${show(typeof name === 'symbol' ? String(name) : name)}; ${issue.issues.map(allowedValue).join(', ')}`;
}

function allowedValue(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}`;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'too_small':
      return `must ${amount(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${amount(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'invalid_union': {
      const nested = issue.errors.flat();
      const literals = nested.flatMap((error) => (error.code === 'invalid_value' ? error.values : []));
      return literals.length === nested.length && literals.length > 0
        ? oneOf(literals)
        : [...new Set(nested.map(allowedValue))].join(', or ');
    }
    default:
      return issue.message;
  }
}

function oneOf(values: readonly unknown[]): string {
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.map(show).join(', ')}`;
}

/** A bound in words: numbers *are*, texts and lists *have*. */
function amount(origin: string, comparison: string, bound: number | bigint): string {
  const things = { string: 'character', array: 'entry' }[origin];
  if (things === undefined) return `be ${comparison} ${String(bound)}`;
  const plural = things === 'entry' ? 'entries' : `${things}s`;
  return `have ${comparison} ${String(bound)} ${Number(bound) === 1 ? things : plural}`;
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  if (type === 'record') return 'an object';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function show(value: unknown): string {
  const text = asText(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function asText(value: unknown): string {
  // JSON would write NaN and Infinity as null, and has no word for what is no data: a config is code and may hold both.
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  try {
    // Its type denies it, but JSON.stringify answers undefined for functions and symbols.
    return (JSON.stringify(value) as unknown) === undefined ? article(typeof value) : JSON.stringify(value);
  } catch {
    return article(typeof value);
  }
}

/** The settings that a schema knows at a path. */
function allowedKeys(schema: z.ZodType, path: Path): string[] {
  let node: JsonSchema = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
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
