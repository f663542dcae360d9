import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { createKey, hashKey, type RegistryDocument } from '../lib/registry/document';
import { writeJsonState, writeStateFile } from './state-file';

/** Where the local registry is. */
export function registryFile(stateDirectory: string): string {
  return join(stateDirectory, 'registry.json');
}

/**
 * Makes sure that there is a local registry with a consumer `demo`, and tells its key: the same at every start.
 *
 * The key stands in a file of its own (mode 0600), for a registry holds hashes only. A registry that is there is left as
 * it is, unless it has no consumer `demo` with that key.
 */
export function ensureDemoConsumer(stateDirectory: string): { readonly registry: string; readonly key: string } {
  const keyFile = join(stateDirectory, 'demo-key');
  const registry = registryFile(stateDirectory);
  if (!existsSync(keyFile)) writeStateFile(keyFile, `${createKey()}\n`);
  const key = readFileSync(keyFile, 'utf8').trim();
  const demo = { id: 'demo', keys: [{ id: 'demo', sha256: hashKey(key) }] };
  if (!existsSync(registry)) {
    writeJsonState(registry, { version: 1, consumers: [demo] } satisfies RegistryDocument);
    return { registry, key };
  }
  const document = readRegistry(registry);
  if (
    document !== undefined &&
    !document.consumers.some(({ keys }) => keys.some(({ sha256 }) => sha256 === hashKey(key)))
  ) {
    const others = document.consumers.filter(({ id }) => id !== 'demo');
    writeJsonState(registry, { version: 1, consumers: [...others, demo] } satisfies RegistryDocument);
  }
  return { registry, key };
}

/** A broken registry is the data plane's to refuse, with a better message: it is not overwritten here. */
function readRegistry(file: string): RegistryDocument | undefined {
  try {
    const document = JSON.parse(readFileSync(file, 'utf8')) as RegistryDocument;
    return Array.isArray(document.consumers) ? document : undefined;
  } catch {
    return undefined;
  }
}
