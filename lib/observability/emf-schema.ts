import { z } from 'zod';
import { ACCESS_RECORD, ATTEMPT_RECORD, FETCH_RECORD, NODE_RECORD, type Property } from './access-record';
import { DIMENSIONS, METRICS, type Dimension, type Metric } from './metrics';

/** CloudWatch's own bound on the number of metrics in one directive. */
const MAX_METRICS = 100;

// What CloudWatch takes as a dimension's value; it drops the whole metric otherwise, and says so nowhere.
const dimensionValue = z
  .string()
  .max(1024)
  .regex(/^(?!:)[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$/, 'must be visible ASCII that does not start with a colon');

const directive = z.strictObject({
  Namespace: z.string().regex(/^[A-Za-z0-9._/#-]{1,255}$/),
  Dimensions: z.array(z.array(z.enum(DIMENSIONS)).min(1)).min(1),
  Metrics: z
    .array(z.strictObject({ Name: z.string(), Unit: z.string() }))
    .min(1)
    .max(MAX_METRICS),
});

const envelope = z.looseObject({
  _aws: z.strictObject({ Timestamp: z.int().positive(), CloudWatchMetrics: z.array(directive).min(1) }),
});

type Line = z.output<typeof envelope>;

const CATALOGUE: ReadonlyMap<string, Metric> = new Map(METRICS.map((metric) => [metric.name, metric]));

const TYPES = {
  string: z.string().min(1),
  integer: z.int().min(0),
  number: z.number().min(0),
  boolean: z.boolean(),
};

/** What is counted or measured on the lines of clients' requests, and would count twice on a fetch's. */
const CLIENT_METRICS: ReadonlySet<string> = new Set([
  ...['Requests', 'Latency', 'GatewayLatency', 'Errors4xx', 'Errors5xx', 'ClientAborts', 'Refusals', 'RateLimited'],
  ...['InternalErrors', 'RequestBytes', 'ResponseBytes'],
]);

/** Properties of which more is known than their type. */
const NARROWER: Readonly<Record<string, z.ZodType>> = {
  path: z.string().regex(/^[^?]+$/, 'must hold no query'),
  status: z.int().min(100).max(599),
  upstreamStatus: z.int().min(100).max(599),
  startTime: z.iso.datetime(),
  cache: z.enum(['HIT', 'MISS', 'STALE', 'BYPASS']),
  cacheTier: z.enum(['l1', 'l2']),
};

/**
 * Holds one line of the gateway's stdout against the catalogue.
 *
 * @returns what is wrong with it; nothing for a good line.
 */
export function validateLine(line: string): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    return [`is no JSON: ${error instanceof Error ? error.message : String(error)}`];
  }
  const shape = envelope.safeParse(parsed);
  if (!shape.success) return describe(shape.error, '');
  const metrics = shape.data._aws.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name));
  return [
    ...repeated(topLevelKeys(line)).map((key) => `${key}: stands twice`),
    ...repeated(metrics).map((name) => `${name}: is announced twice`),
    ...shape.data._aws.CloudWatchMetrics.flatMap((each) => directiveProblems(each, shape.data)),
    ...metrics.flatMap((name) => metricProblems(name, shape.data)),
    ...propertyProblems(shape.data, metrics),
  ];
}

/** Holds the sets of a directive against those that its metrics have and this line can fill. */
function directiveProblems({ Dimensions, Metrics }: z.output<typeof directive>, line: Line): string[] {
  const given = setNames(Dimensions);
  return Metrics.flatMap(({ Name, Unit }) => {
    const metric = CATALOGUE.get(Name);
    if (metric === undefined) return [`${Name}: is not in the catalogue`];
    const problems = Unit === metric.unit ? [] : [`${Name}: has unit ${Unit}; must be ${metric.unit}`];
    const expected = setNames(metric.dimensions.filter((set) => set.every((dimension) => dimension in line)));
    if (given.join() !== expected.join()) {
      problems.push(
        `${Name}: has dimensions ${given.join(' ')}; with this line's properties they must be ${expected.join(' ') || 'none'}`,
      );
    }
    return problems;
  });
}

function metricProblems(name: string, line: Line): string[] {
  const metric = CATALOGUE.get(name);
  if (metric === undefined) return [];
  const type =
    metric.unit === 'None'
      ? z.number()
      : metric.unit === 'Count' || metric.unit === 'Bytes'
        ? TYPES.integer
        : TYPES.number;
  const value = type.safeParse(line[name]);
  return value.success ? [] : describe(value.error, name);
}

function propertyProblems(line: Line, metrics: readonly string[]): string[] {
  const kinds = new Set(metrics.map((name) => CATALOGUE.get(name)?.kind));
  const isNode = kinds.has('gauge') || kinds.has('counter');
  if (isNode && (kinds.has('request') || kinds.has('attempt'))) {
    return ['mixes metrics of a request with those of the node'];
  }
  const isFetch = line['fetch'] === true;
  const isRequest = !isNode && !isFetch && !kinds.has('attempt');
  const record = isNode ? NODE_RECORD : isFetch ? FETCH_RECORD : isRequest ? ACCESS_RECORD : ATTEMPT_RECORD;
  const properties = new Map<string, Property>(record.map((each) => [each.name, each]));
  const problems = [...properties.values()]
    .filter(({ name, required }) => required === true && !(name in line))
    .map(({ name }) => `${name}: is missing`);
  if (isRequest && !metrics.includes('Requests')) problems.push('Requests: is missing');
  if (isFetch) {
    const clients = metrics.filter((name) => CLIENT_METRICS.has(name));
    problems.push(...clients.map((name) => `${name}: is of what a client saw, and stands on a fetch's line`));
  }
  for (const [name, value] of Object.entries(line)) {
    if (name === '_aws' || metrics.includes(name)) continue;
    const property = properties.get(name);
    const type = isDimension(name) ? dimensionValue : property && (NARROWER[name] ?? TYPES[property.type]);
    if (type === undefined) {
      problems.push(CATALOGUE.has(name) ? `${name}: is not announced in _aws` : `${name}: is no known property`);
      continue;
    }
    const result = type.safeParse(value);
    if (!result.success) problems.push(...describe(result.error, name));
  }
  return problems;
}

function isDimension(name: string): name is Dimension {
  return (DIMENSIONS as readonly string[]).includes(name);
}

function setNames(sets: readonly (readonly string[])[]): string[] {
  return sets.map((set) => `[${set.join(',')}]`).sort();
}

function describe(error: z.ZodError, prefix: string): string[] {
  return error.issues.map(
    ({ path, message }) => `${[prefix, ...path.map(String)].filter(Boolean).join('.') || 'line'}: ${message}`,
  );
}

function repeated(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

/** The keys of a valid JSON object as written: JSON.parse keeps only the last of two. */
function topLevelKeys(json: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  for (const [token, name] of json.matchAll(/"((?:[^"\\]|\\.)*)"(?=\s*:)|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && name !== undefined) keys.push(name);
  }
  return keys;
}
