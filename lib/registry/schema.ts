import { z } from 'zod';
import { ROUTE_CLASSES } from '../config';
import type { RegistryDocument } from './document';
import { BrokenError } from './errors';

// The rules, bounds and words are those of gateway/lua/causeway/core/registry_schema.lua, the reader that has the last
// word; test/registry/schema.test.ts holds the two against each other.

const within = (least: string, most: string) => `from ${least} to ${most}`;

function whole(least: number, most: number) {
  const error = `must be a whole number ${within(String(least), String(most))}`;
  return z.int({ error }).min(least, error).max(most, error);
}

const rateError = 'must be a number above 0 and at most 100000';
const identifierError = 'must be 1 to 63 of a-z, 0-9 and -, not beginning with -';
const modelsError = 'must be a list of model names, each of which may end with *';
const routesError = `must be a list of ${[...ROUTE_CLASSES, 'admin'].join(', ')}`;
const timeError = 'must be a time in UTC such as 2026-12-01T00:00:00Z';
const wordError = 'must be the word of a purge, such as 2026-11-23T18:00:00.000Z-1a2b3c4d';
const purgedConsumersError = 'must be an object of words by consumer';
const hashError = "must be the key's SHA-256 in 64 hexadecimal digits";

/** An identifier: of a consumer, a key, an upstream credential. */
export const identifier = z
  .string({ error: identifierError })
  .max(63, identifierError)
  .regex(/^[a-z0-9][a-z0-9-]*$/, identifierError);

/** Whether a text is a time that exists, in the one form that is read. */
function isTime(text: string): boolean {
  const milliseconds = Date.parse(text);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === text.replace('Z', '.000Z');
}

/** `notAfter` of a key. */
const time = z
  .string({ error: timeError })
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/, timeError)
  .refine(isTime, timeError);

const key = z.strictObject(
  {
    id: identifier,
    sha256: z.string({ error: hashError }).regex(/^[0-9a-fA-F]{64}$/, hashError),
    notAfter: time.exactOptional(),
  },
  { error: 'must be an object with sha256, id and perhaps notAfter' },
);

const tokenBudget = z.strictObject(
  { inputPerMinute: whole(1, 1e12).exactOptional(), outputPerMinute: whole(1, 1e12).exactOptional() },
  { error: 'must be an object with inputPerMinute, outputPerMinute' },
);

const cache = z.strictObject(
  {
    mode: z.enum(['off', 'fresh', 'outage'], { error: 'must be "off", "fresh" or "outage"' }).exactOptional(),
    maxAgeSeconds: whole(0, 31_536_000).exactOptional(),
  },
  { error: 'must be an object with mode, maxAgeSeconds' },
);

/** The members of a consumer beside `id` and `keys`. */
export const POLICY_SCHEMAS = {
  rate: z.number({ error: rateError }).gt(0, rateError).max(100_000, rateError),
  burst: whole(0, 100_000),
  concurrency: whole(1, 100_000),
  maxStreams: whole(1, 100_000),
  maxBodyBytes: whole(1, 1_073_741_824),
  models: z.array(
    z
      .string({ error: modelsError })
      .max(128, modelsError)
      .regex(/^(\*|[A-Za-z0-9][A-Za-z0-9._:/@-]*\*?)$/, modelsError),
    { error: modelsError },
  ),
  routes: z.array(z.enum([...ROUTE_CLASSES, 'admin'], { error: routesError }), { error: routesError }),
  'tokenBudget.inputPerMinute': tokenBudget.shape.inputPerMinute,
  'tokenBudget.outputPerMinute': tokenBudget.shape.outputPerMinute,
  'cache.mode': cache.shape.mode,
  'cache.maxAgeSeconds': cache.shape.maxAgeSeconds,
  upstreamCredential: identifier,
  disabled: z.boolean({ error: 'must be true or false' }),
} as const;

/** A policy by the path of its member. */
export type PolicyPath = keyof typeof POLICY_SCHEMAS;

const consumer = z.strictObject(
  {
    id: identifier,
    keys: z
      .array(key, { error: 'must be a list of at least one key' })
      .min(1, { error: 'must be a list of at least one key' }),
    rate: POLICY_SCHEMAS.rate.exactOptional(),
    burst: POLICY_SCHEMAS.burst.exactOptional(),
    concurrency: POLICY_SCHEMAS.concurrency.exactOptional(),
    maxStreams: POLICY_SCHEMAS.maxStreams.exactOptional(),
    maxBodyBytes: POLICY_SCHEMAS.maxBodyBytes.exactOptional(),
    models: POLICY_SCHEMAS.models.exactOptional(),
    routes: POLICY_SCHEMAS.routes.exactOptional(),
    tokenBudget: tokenBudget.exactOptional(),
    cache: cache.exactOptional(),
    upstreamCredential: POLICY_SCHEMAS.upstreamCredential.exactOptional(),
    disabled: POLICY_SCHEMAS.disabled.exactOptional(),
  },
  { error: 'must be an object with id and keys' },
);

/** Whether the time in a purge's word exists. */
function isWord(text: string): boolean {
  const time = text.slice(0, 24);
  const milliseconds = Date.parse(time);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === time;
}

/** The word of a purge: when it was made, to the millisecond, and 32 random bits. */
const purgeWord = z
  .string({ error: wordError })
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z-[0-9a-f]{8}$/, { error: wordError, abort: true })
  .refine(isWord, wordError);

/** Consumers whose purges the registry remembers, at most. */
export const MAX_PURGED_CONSUMERS = 1000;

const purgedConsumers = z
  .record(identifier, purgeWord, {
    error: (issue) => (issue.code === 'invalid_key' ? identifierError : purgedConsumersError),
  })
  .refine((words) => Object.keys(words).length <= MAX_PURGED_CONSUMERS, {
    error: `must be at most ${MAX_PURGED_CONSUMERS} consumers`,
  });

const purges = z.strictObject(
  { all: purgeWord.exactOptional(), consumers: purgedConsumers.exactOptional() },
  { error: 'must be an object with all, consumers' },
);

const documentShape = z.strictObject(
  {
    version: z.literal(1, { error: 'must be 1' }),
    consumers: z.array(consumer, { error: 'must be a list' }),
    purges: purges.exactOptional(),
  },
  { error: 'must be an object with version and consumers' },
);

/** The consumer registry: its shape, and that no id and no key is there twice. */
export const registrySchema = documentShape.superRefine(({ consumers }, context) => {
  const complain = (path: (string | number)[], message: string): void => {
    context.addIssue({ code: 'custom', path, message, params: { repeated: true } });
  };
  const ids = new Set<string>();
  const owners = new Map<string, string>();
  for (const [index, { id, keys }] of consumers.entries()) {
    if (ids.has(id)) complain(['consumers', index], 'is there twice');
    ids.add(id);
    const keyIds = new Set<string>();
    for (const [keyIndex, each] of keys.entries()) {
      const at = ['consumers', index, 'keys', keyIndex];
      if (keyIds.has(each.id)) complain([...at, 'id'], 'another key of this consumer has the same id');
      keyIds.add(each.id);
      const hash = each.sha256.toLowerCase();
      const owner = owners.get(hash);
      if (owner !== undefined) complain([...at, 'sha256'], `the same key is given to ${owner}`);
      owners.set(hash, owner ?? `consumer "${id}" as "${each.id}"`);
    }
  }
});

/**
 * Checks a decoded registry.
 *
 * @param value - decoded JSON
 * @param source - what to call it in a message
 * @throws BrokenError that names consumer, member, value and what is allowed; never a value that may be a secret
 */
export function checkRegistry(value: unknown, source: string): RegistryDocument {
  const parsed = registrySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue, ...others] = parsed.error.issues;
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  throw new BrokenError(`${source}: ${issue === undefined ? 'is broken' : explain(issue, value)}${more}`);
}

/** As {@link checkRegistry}, from its text. */
export function parseRegistry(text: string, source: string): RegistryDocument {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Node's message would quote the text, which may hold what somebody pasted.
    throw new BrokenError(`${source}: is not valid JSON`);
  }
  return checkRegistry(value, source);
}

/** Says what is wrong in the words of the data plane, which counts from 1. */
function explain(issue: z.core.$ZodIssue, value: unknown): string {
  const [, index, ...inside] = issue.path;
  const who = typeof index === 'number' ? nameOf(value, index) : 'the registry';
  const members = typeof index === 'number' ? inside : issue.path;
  const where = members.reduce<string>(
    (path, part) =>
      typeof part === 'number' ? `${path}[${part + 1}]` : `${path}${path === '' ? '' : '.'}${String(part)}`,
    '',
  );
  const name = where === '' ? who : `${who}: ${where}`;
  if (issue.code === 'unrecognized_keys') {
    if (members[0] === 'keys') return `${name}: no such member; a key has sha256, id and perhaps notAfter`;
    return `${name}: no such member: ${issue.keys.map((unknown) => JSON.stringify(unknown.slice(0, 40))).join(', ')}`;
  }
  if (members[0] === 'keys' || members[0] === 'upstreamCredential') {
    return `${name}: ${issue.message} (the value is not shown)`;
  }
  if (issue.code === 'custom') return `${name} ${issue.message}`;
  return `${name} is ${show(valueAt(value, issue.path))}: ${issue.message}`;
}

function nameOf(value: unknown, index: number): string {
  const id = identifier.safeParse(valueAt(value, ['consumers', index, 'id']));
  return id.success ? `consumer "${id.data}"` : `consumers[${index + 1}]`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[part] : undefined),
    value,
  );
}

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'object' && value !== null) return 'a list or an object';
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 40) : value);
}

/**
 * The shape of the registry as JSON Schema draft 4, the one that AppConfig's validators know. What JSON Schema cannot say
 * (no id and no key twice, dates that exist) remains with `npm run keys` and the gateway.
 */
export function registryJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(documentShape, {
    target: 'draft-04',
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema !== purgedConsumers) return;
      const words = jsonSchema.additionalProperties;
      // Draft 4 has no propertyNames, which is what keys of a record would be otherwise.
      Object.assign(jsonSchema, {
        patternProperties: { '^[a-z0-9][a-z0-9-]{0,62}$': words },
        additionalProperties: false,
        maxProperties: MAX_PURGED_CONSUMERS,
      });
    },
  });
}
