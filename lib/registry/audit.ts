import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { RegisteredConsumer, RegisteredKey, RegistryDocument } from './document';

/** One member of the registry that a change touched; null is where it was not there, or is not any more. */
export interface AuditChange {
  /** Such as `team-a.rate`, `team-a.keys.k-1a2b3c4d`. */
  readonly member: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** Who changed what when: never a key, never a whole hash. */
export interface AuditRecord {
  /** UTC. */
  readonly when: string;
  readonly who: string;
  /** Such as `rotate team-a`. */
  readonly what: string;
  readonly changes: readonly AuditChange[];
  /** Changes that found no room. @default 0 */
  readonly omitted?: number;
  /** Why it came to nothing after all. @default - it did not */
  readonly failed?: string;
}

const recordSchema = z.object({
  when: z.string(),
  who: z.string(),
  what: z.string(),
  changes: z.array(z.object({ member: z.string(), from: z.unknown(), to: z.unknown() })),
  omitted: z.number().exactOptional(),
  failed: z.string().exactOptional(),
});

/** What differs between two registries, in the order of the later one. */
export function diff(before: RegistryDocument, after: RegistryDocument): AuditChange[] {
  const old = flatten(before);
  const next = flatten(after);
  return [...new Set([...next.keys(), ...old.keys()])].flatMap((member) => {
    const [from, to] = [old.get(member) ?? null, next.get(member) ?? null];
    return isDeepStrictEqual(from, to) ? [] : [{ member, from, to }];
  });
}

function flatten({ consumers, purges = {} }: RegistryDocument): Map<string, unknown> {
  return new Map([
    ...consumers.flatMap(membersOf),
    ...(purges.all === undefined ? [] : [['purges.all', purges.all] as [string, unknown]]),
    // As members of the consumer: its history has them.
    ...Object.entries(purges.consumers ?? {}).map(([id, word]): [string, unknown] => [`${id}.purged`, word]),
  ]);
}

function membersOf({ id, keys, ...policies }: RegisteredConsumer): [string, unknown][] {
  return [
    ...keys.map((key): [string, unknown] => [`${id}.keys.${key.id}`, describeKey(key)]),
    ...Object.entries(policies).flatMap(([name, value]): [string, unknown][] =>
      typeof value === 'object' && !Array.isArray(value)
        ? Object.entries(value).map(([inside, each]) => [`${id}.${name}.${inside}`, each])
        : [[`${id}.${name}`, value]],
    ),
  ];
}

/** Enough of the hash to tell two keys of one id apart. */
function describeKey({ sha256, notAfter }: RegisteredKey): string {
  const hash = `sha256 ${sha256.slice(0, 8).toLowerCase()}…`;
  return notAfter === undefined ? hash : `${hash} until ${notAfter}`;
}

/** AppConfig's limit for the description of a version. */
const DESCRIPTION_LENGTH = 1024;
/** More of the shortest changes would not fit it. */
const MOST_CHANGES = 40;

/** A record as one line of ASCII that fits a description of AppConfig; the changes that do not are counted. */
export function toDescription(record: AuditRecord): string {
  const { changes, ...head } = record;
  for (let kept = Math.min(changes.length, MOST_CHANGES); kept >= 0; kept -= 1) {
    const omitted = changes.length - kept;
    const text = ascii(
      JSON.stringify({ ...head, changes: changes.slice(0, kept), ...(omitted === 0 ? {} : { omitted }) }),
    );
    if (text.length <= DESCRIPTION_LENGTH) return text;
  }
  return ascii(JSON.stringify({ ...head, what: '', who: '', changes: [], omitted: changes.length }));
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Reads a record back; undefined where the text is none. */
export function parseRecord(text: string): AuditRecord | undefined {
  try {
    const parsed = recordSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
