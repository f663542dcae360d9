import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { diff, type AuditChange } from './audit';
import type { RegistryDocument } from './document';
import { AbsentError, RegistryError } from './errors';
import type { Change, RegistryStore, StoredRegistry } from './store';

/** What a registry is in one place. */
export interface Placed extends StoredRegistry {
  readonly store: RegistryStore;
}

/** All places at once. A place that cannot be read is an error that names it. */
export async function readEverywhere(stores: readonly RegistryStore[]): Promise<Placed[]> {
  return Promise.all(stores.map(async (store) => ({ store, ...(await store.read()) })));
}

/**
 * Places whose registry differs from the first one's, whatever the order of consumers and keys, and in what. Purges may
 * differ: each place stores answers of its own.
 */
export function differences(
  placed: readonly Placed[],
): readonly { readonly name: string; readonly changes: AuditChange[] }[] {
  const [first, ...others] = placed;
  if (first === undefined) return [];
  return others
    .filter(({ document }) => !isDeepStrictEqual(sorted(first.document), sorted(document)))
    .map(({ store, document }) => ({
      name: store.name,
      changes: diff(withoutPurges(first.document), withoutPurges(document)),
    }));
}

function withoutPurges({ version, consumers }: RegistryDocument): RegistryDocument {
  return { version, consumers };
}

function sorted({ consumers }: RegistryDocument): unknown {
  return byId(consumers.map((consumer) => ({ ...consumer, keys: byId(consumer.keys) })));
}

function byId<T extends { readonly id: string }>(items: readonly T[]): T[] {
  return [...items].sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** How {@link updateEverywhere} goes about it. */
export interface UpdateOptions {
  /** For revocations: a place where there is nothing to revoke is no obstacle, unless all are. @default false */
  readonly tolerateAbsent?: boolean;
  /** @default 1000 */
  readonly settleMs?: number;
}

/** What came of a change: where it is written, and where not and why. */
export interface Updated {
  readonly written: readonly Placed[];
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * Makes a change in every place, in order: the first one decides between people who change the same thing. Whatever can be
 * refused is refused before anything is written.
 */
export async function updateEverywhere(
  stores: readonly RegistryStore[],
  change: Change,
  options: UpdateOptions = {},
): Promise<Updated> {
  const absent = await rehearse(stores, change, options);
  const written: Placed[] = [];
  const failed: { name: string; reason: string }[] = [];
  for (const store of stores) {
    try {
      const skipped = absent.has(store);
      written.push({ store, ...(skipped ? await store.read() : await store.update(change)) });
    } catch (error) {
      if (written.length === 0) throw error;
      failed.push({ name: store.name, reason: reasonOf(error) });
    }
  }
  return { written, failed };
}

/** Applies the change without writing, and finds the places that have nothing to be changed. */
async function rehearse(
  stores: readonly RegistryStore[],
  change: Change,
  { tolerateAbsent = false, settleMs = 1000 }: UpdateOptions,
): Promise<ReadonlySet<RegistryStore>> {
  const absent = new Set<RegistryStore>();
  const placed = tolerateAbsent ? await readEverywhere(stores) : await readAlike(stores, settleMs);
  for (const { store, document } of placed) {
    try {
      change(document);
    } catch (error) {
      if (!tolerateAbsent || !(error instanceof AbsentError)) throw error;
      absent.add(store);
      if (absent.size === stores.length) throw error;
    }
  }
  return absent;
}

/** Another change may be on its way from place to place: it is given a moment. */
async function readAlike(stores: readonly RegistryStore[], settleMs: number): Promise<Placed[]> {
  for (let attempt = 0; ; attempt += 1) {
    const placed = await readEverywhere(stores);
    const [different] = differences(placed);
    if (different === undefined) return placed;
    if (attempt === 4) {
      const first = stores[0]?.name ?? '';
      throw new RegistryError(
        `the registries of ${first} and ${different.name} differ (${summary(different.changes)}): ` +
          '`sync --from <region>` makes all of them the same as the right one',
      );
    }
    await sleep(settleMs);
  }
}

function summary(changes: readonly AuditChange[]): string {
  const shown = changes.slice(0, 3).map(({ member }) => member);
  return changes.length > shown.length
    ? `${shown.join(', ')} and ${changes.length - shown.length} more`
    : shown.join(', ');
}

/** Brings what is written to the gateways of all places at the same time. Failures are told by place. */
export async function rollOutEverywhere(placed: readonly Placed[]): Promise<Updated['failed']> {
  const outcomes = await Promise.all(
    placed.map(async ({ store, ...stored }) => {
      try {
        await store.rollOut(stored);
        return [];
      } catch (error) {
        return [{ name: store.name, reason: reasonOf(error) }];
      }
    }),
  );
  return outcomes.flat();
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
