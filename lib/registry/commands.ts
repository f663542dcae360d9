import type { RegisteredConsumer, RegisteredKey, RegistryDocument } from './document';
import { AbsentError, RegistryError } from './errors';
import { applyPolicies, type PolicyEdit } from './policies';
import { purgeConsumer } from './purges';
import { hasEnded, timestamp } from './time';

/** A key that is to be registered. */
export interface NewKey {
  readonly sha256: string;
  /** @default - made of the first digits of its hash */
  readonly id?: string;
  readonly notAfter?: string;
}

/** What a command makes of a registry. */
export interface Outcome {
  readonly document: RegistryDocument;
  /** The consumer that it was about, as it is now; none where it is gone. */
  readonly consumer?: RegisteredConsumer;
  /** The key that was registered. */
  readonly key?: RegisteredKey;
  /** The key that was replaced, as it is now. */
  readonly replaced?: RegisteredKey;
}

/** Ended keys stay this long in the registry, so that the log names whoever still uses one. */
const KEEP_ENDED_MS = 30 * 86_400_000;

/** Registers a consumer with its first key. */
export function addConsumer(
  document: RegistryDocument,
  { id, key, policies }: { readonly id: string; readonly key: NewKey; readonly policies: PolicyEdit },
): Outcome {
  if (document.consumers.some((consumer) => consumer.id === id)) {
    throw new RegistryError(
      `consumer "${id}" is there already: \`add-key ${id}\` gives it another key, \`set ${id}\` changes its policies`,
    );
  }
  const registered = withId(key, []);
  const consumer = applyPolicies({ id, keys: [registered] }, policies);
  return { document: { ...document, consumers: [...document.consumers, consumer] }, consumer, key: registered };
}

/** Gives a consumer another key. */
export function addKey(
  document: RegistryDocument,
  { id, key }: { readonly id: string; readonly key: NewKey },
): Outcome {
  const consumer = consumerOf(document, id);
  const registered = withId(key, consumer.keys);
  return { ...replace(document, { ...consumer, keys: [...consumer.keys, registered] }), key: registered };
}

/** Changes a consumer's policies. */
export function setPolicies(
  document: RegistryDocument,
  { id, policies }: { readonly id: string; readonly policies: PolicyEdit },
): Outcome {
  return replace(document, applyPolicies(consumerOf(document, id), policies));
}

/**
 * Takes a consumer away, with all its keys and policies, and purges its stored answers: whoever is registered under the
 * same name later must not be given them.
 */
export function revokeConsumer(
  document: RegistryDocument,
  { id, word }: { readonly id: string; readonly word: string },
): Outcome {
  consumerOf(document, id);
  const consumers = document.consumers.filter((consumer) => consumer.id !== id);
  return { document: purgeConsumer({ ...document, consumers }, { id, word }) };
}

/** Takes one key of a consumer away. */
export function revokeKey(
  document: RegistryDocument,
  { id, keyId }: { readonly id: string; readonly keyId: string },
): Outcome {
  const consumer = consumerOf(document, id);
  keyOf(consumer, keyId);
  const keys = consumer.keys.filter((key) => key.id !== keyId);
  if (keys.length === 0) {
    throw new RegistryError(
      `key "${keyId}" is the only one of consumer "${id}": ` +
        `\`rotate ${id} --keep-for 0s\` replaces it at once, \`revoke ${id}\` takes the whole consumer away`,
    );
  }
  return replace(document, { ...consumer, keys });
}

/** What {@link rotateKey} is told. */
export interface Rotation {
  readonly id: string;
  /** @default - the only one that could be meant */
  readonly keyId?: string;
  readonly key: NewKey;
  /** For how long the old key goes on being valid; with 0 it is taken away. */
  readonly keepSeconds: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Gives a consumer a key in place of another, which remains valid for a while but never longer than it was. */
export function rotateKey(document: RegistryDocument, { id, keyId, key, keepSeconds, now }: Rotation): Outcome {
  const consumer = consumerOf(document, id);
  const old = keyId === undefined ? meantKey(consumer, now) : keyOf(consumer, keyId);
  if (hasEnded(old, now)) {
    throw new RegistryError(
      `key "${old.id}" of consumer "${id}" has ended at ${old.notAfter ?? ''}: \`add-key ${id}\` makes a new one`,
    );
  }
  const end = now + keepSeconds * 1000;
  const notAfter = timestamp(old.notAfter === undefined ? end : Math.min(end, Date.parse(old.notAfter)));
  const registered = withId(key, consumer.keys);
  const replaced = { ...old, notAfter };
  const keys = consumer.keys
    .filter((each) => !hasEnded(each, now - KEEP_ENDED_MS))
    .flatMap((each) => (each.id !== old.id ? [each] : keepSeconds === 0 ? [] : [replaced]));
  return { ...replace(document, { ...consumer, keys: [...keys, registered] }), key: registered, replaced };
}

/** The consumer with an id. */
export function consumerOf(document: RegistryDocument, id: string): RegisteredConsumer {
  const consumer = document.consumers.find((each) => each.id === id);
  if (consumer === undefined) {
    throw new AbsentError(`there is no consumer "${id}": \`list\` shows those that are there`);
  }
  return consumer;
}

function keyOf(consumer: RegisteredConsumer, keyId: string): RegisteredKey {
  const key = consumer.keys.find((each) => each.id === keyId);
  if (key === undefined) {
    throw new AbsentError(`consumer "${consumer.id}" has no key "${keyId}"; it has ${idsOf(consumer)}`);
  }
  return key;
}

/** The key that is valid, or the one of several that has not been told to end. */
function meantKey(consumer: RegisteredConsumer, now: number): RegisteredKey {
  const valid = consumer.keys.filter((key) => !hasEnded(key, now));
  const lasting = valid.filter(({ notAfter }) => notAfter === undefined);
  const [meant, ...others] = valid.length === 1 ? valid : lasting;
  if (meant === undefined || others.length > 0) {
    throw new RegistryError(
      `consumer "${consumer.id}" has more than one key, or none that is valid; say which by --key: ${idsOf(consumer)}`,
    );
  }
  return meant;
}

function idsOf({ keys }: RegisteredConsumer): string {
  return keys.map(({ id }) => id).join(', ');
}

/** The id says nothing about the key, but whoever has the key can find its id. */
function withId({ id, sha256, notAfter }: NewKey, others: readonly RegisteredKey[]): RegisteredKey {
  const taken = (candidate: string): boolean => others.some((other) => other.id === candidate);
  if (id !== undefined && taken(id)) {
    throw new RegistryError(`the consumer has a key "${id}" already: choose another --key-id, or leave it out`);
  }
  const made = [8, 16, 32].map((digits) => `k-${sha256.slice(0, digits)}`).find((candidate) => !taken(candidate));
  return {
    id: id ?? made ?? `k-${sha256.slice(0, 48)}`,
    sha256,
    ...(notAfter === undefined ? {} : { notAfter }),
  };
}

function replace(document: RegistryDocument, consumer: RegisteredConsumer): Outcome {
  const consumers = document.consumers.map((each) => (each.id === consumer.id ? consumer : each));
  return { document: { ...document, consumers }, consumer };
}
