import { randomBytes } from 'node:crypto';
import { MAX_OUTAGE_SECONDS } from '../config/schema/resilience';
import type { Purges, RegistryDocument } from './document';
import { AbsentError } from './errors';
import { MAX_PURGED_CONSUMERS } from './schema';

/**
 * A new word for a purge: no other purge has it, and later ones sort behind it.
 *
 * @param now - milliseconds since 1970
 */
export function createWord(now: number): string {
  return `${new Date(now).toISOString()}-${randomBytes(4).toString('hex')}`;
}

/** When a purge was made, by its word. Milliseconds since 1970. */
export function timeOf(word: string): number {
  return Date.parse(word.slice(0, 24));
}

/** Leaves all stored answers out of reach. Words of single consumers go: no stored answer has the new one beside them. */
export function purgeAll(document: RegistryDocument, word: string): RegistryDocument {
  return { ...document, purges: { all: after(document.purges?.all, word) } };
}

/**
 * Leaves the stored answers of one consumer out of reach, whether it is registered or not. Where too many have been
 * purged one by one, all are.
 */
export function purgeConsumer(
  document: RegistryDocument,
  { id, word }: { readonly id: string; readonly word: string },
): RegistryDocument {
  const { purges = {} } = document;
  const consumers = { ...remembered(purges, timeOf(word)), [id]: after(purges.consumers?.[id], word) };
  return Object.keys(consumers).length > MAX_PURGED_CONSUMERS
    ? purgeAll(document, word)
    : { ...document, purges: { ...purges, consumers } };
}

/** The word, or one of the next millisecond after the last purge: a clock that is behind must not make it the earlier. */
function after(last: string | undefined, word: string): string {
  return last === undefined || last < word ? word : `${new Date(timeOf(last) + 1).toISOString()}${word.slice(24)}`;
}

/**
 * How long the word of one consumer's purge is remembered. Without it, answers from before that purge have their old keys
 * again, so that by then none may be young enough to be served: no answer outlives `cache.ttl.outageSeconds`. The day
 * on top is for clocks that differ, and for gateways that hear of the purge late.
 */
const REMEMBERED_MS = (MAX_OUTAGE_SECONDS + 86_400) * 1000;

function remembered({ consumers = {} }: Purges, now: number): Record<string, string> {
  return Object.fromEntries(Object.entries(consumers).filter(([, word]) => timeOf(word) > now - REMEMBERED_MS));
}

/**
 * The purges of all these registries: of each the latest. To make one place the same as another must not undo a purge
 * that only it has heard of.
 */
export function mergePurges(all: readonly (Purges | undefined)[]): Purges | undefined {
  const words = all.flatMap((purges) => purges?.all ?? []);
  const consumers: Record<string, string> = {};
  for (const [id, word] of all.flatMap((purges) => Object.entries(purges?.consumers ?? {}))) {
    consumers[id] = later(consumers[id], word);
  }
  const last = words.reduce<string | undefined>(later, undefined);
  if (last === undefined && Object.keys(consumers).length === 0) return undefined;
  return {
    ...(last === undefined ? {} : { all: last }),
    ...(Object.keys(consumers).length === 0 ? {} : { consumers }),
  };
}

function later(one: string | undefined, other: string): string {
  return one !== undefined && one > other ? one : other;
}

/** A client's own credential, as the gateway calls it in `passthrough`, where no consumer is registered. */
const CREDENTIAL = /^credential-[0-9a-f]{16}$/;

/**
 * Checks that there can be answers of a consumer.
 *
 * @throws AbsentError for a consumer that is not registered, which more likely is a slip
 */
export function assertPurgeable({ consumers }: RegistryDocument, id: string): void {
  if (CREDENTIAL.test(id) || consumers.some((consumer) => consumer.id === id)) return;
  throw new AbsentError(
    `there is no consumer "${id}": \`npm run keys -- list\` shows those that are there; ` +
      'in passthrough it is the credential-… of the access record',
  );
}
