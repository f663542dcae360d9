import { createHash, randomBytes } from 'node:crypto';

/** One key of a consumer, as the registry keeps it: its hash alone. */
export interface RegisteredKey {
  /** Name of the key within the consumer, for listings. */
  readonly id: string;
  /** SHA-256 of the key, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** RFC 3339 in UTC; from then on the key is refused. @default - never */
  readonly notAfter?: string;
}

/** One consumer of the registry. What is not said is taken from `consumers.defaults` of the config. */
export interface RegisteredConsumer {
  readonly id: string;
  readonly keys: readonly RegisteredKey[];
  /** Requests per second. */
  readonly rate?: number;
  readonly burst?: number;
  readonly concurrency?: number;
  readonly maxStreams?: number;
  readonly maxBodyBytes?: number;
  /** Model names, `*` at the end stands for anything. @default - all */
  readonly models?: readonly string[];
  /** Route classes. @default - all */
  readonly routes?: readonly string[];
  /** Tokens a minute. @default - not limited */
  readonly tokenBudget?: { readonly inputPerMinute?: number; readonly outputPerMinute?: number };
  /** Whether answers may be stored. @default - off */
  readonly cache?: { readonly mode?: 'off' | 'fresh' | 'outage'; readonly maxAgeSeconds?: number };
  /** Name of the upstream credential that its requests carry. @default - the upstream's own */
  readonly upstreamCredential?: string;
  readonly disabled?: boolean;
}

/**
 * Which stored answers must not be served any more: those from before a word came here. Both words stand in the key of
 * every answer that the gateway stores, so that a new one leaves the older answers out of reach.
 */
export interface Purges {
  /** Word of the last purge of all answers. @default - there was none */
  readonly all?: string;
  /** Consumer → word of the last purge of its answers. @default - there was none */
  readonly consumers?: Readonly<Record<string, string>>;
}

/** The consumer registry, as the data plane reads it (gateway/lua/causeway/core/registry.lua). */
export interface RegistryDocument {
  readonly version: 1;
  readonly consumers: readonly RegisteredConsumer[];
  /** @default - nothing was ever purged */
  readonly purges?: Purges;
}

/** A registry that lets nobody in. */
export const EMPTY_REGISTRY: RegistryDocument = { version: 1, consumers: [] };

/** The upstream credentials, as the data plane reads them (gateway/lua/causeway/core/credentials.lua). */
export interface CredentialsDocument {
  readonly version: 1;
  /** Name → secret. */
  readonly credentials: Readonly<Record<string, string>>;
}

/** A new gateway key: 256 random bits behind a prefix that secret scanners can look for. */
export function createKey(): string {
  return `cwk_${randomBytes(32).toString('base64url')}`;
}

/** What the registry keeps of a key. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key, 'utf8').digest('hex');
}
