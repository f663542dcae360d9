import type { AuditRecord } from './audit';
import type { RegistryDocument } from './document';

/** A registry as it is kept somewhere. */
export interface StoredRegistry {
  readonly document: RegistryDocument;
  /** Its version, where versions are kept. */
  readonly version?: number;
}

/**
 * A change: from a registry to the next one and the record of it. It is called again on a newer registry whenever
 * somebody else's change came first, so that no change is lost; it throws where it does not apply.
 */
export type Change = (document: RegistryDocument) => {
  readonly document: RegistryDocument;
  readonly record: AuditRecord;
};

/** How {@link RegistryStore.update} is to treat what it finds. */
export interface UpdateMode {
  /** What is broken counts as a registry without consumers, rather than as an error. @default false */
  readonly overBroken?: boolean;
}

/** One place that holds a registry: a file, or a region's AppConfig. */
export interface RegistryStore {
  /** The file's path or the region's name. */
  readonly name: string;
  read(): Promise<StoredRegistry>;
  /** Makes a change, and its audit record. A change that changes nothing writes nothing. */
  update(change: Change, mode?: UpdateMode): Promise<StoredRegistry>;
  /** Brings a registry that is written to the gateways, and settles when they have it. */
  rollOut(stored: StoredRegistry): Promise<void>;
  /** The audit records, oldest first. */
  history(): Promise<readonly AuditRecord[]>;
}
