import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  createKey,
  hashKey,
  type RegisteredConsumer,
  type RegisteredKey,
  type RegistryDocument,
} from '../lib/registry/document';
import { writeJsonState, writeStateFile } from './state-file';

/**
 * Makes sure that there is a local registry with a consumer `demo`, and tells a key of it: the same at every start, until it
 * ends (`npm run keys -- rotate demo`).
 *
 * The key stands in a file of its own (mode 0600), for a registry holds hashes only. Of a registry that is there, nothing
 * is changed but what that key needs. The caller holds the registry's lock.
 *
 * @param now - @default the clock
 */
export function ensureDemoConsumer(
  stateDirectory: string,
  now = new Date(),
): { readonly registry: string; readonly key: string } {
  const keyFile = join(stateDirectory, 'demo-key');
  const registry = join(stateDirectory, 'registry.json');
  const document = existsSync(registry) ? readRegistry(registry) : { version: 1 as const, consumers: [] };
  const kept = existsSync(keyFile) ? readFileSync(keyFile, 'utf8').trim() : '';
  const registered = document?.consumers.flatMap(({ keys }) => keys).find(({ sha256 }) => sha256 === hashKey(kept));
  const ended = registered?.notAfter !== undefined && Date.parse(registered.notAfter) <= now.getTime();

  const key = kept === '' || ended ? createKey() : kept;
  if (key !== kept) writeStateFile(keyFile, `${key}\n`);
  if (document !== undefined && (registered === undefined || ended)) writeJsonState(registry, withKey(document, key));
  return { registry, key };
}

/** The registry with this key of the consumer `demo`, whose policies and other keys stay. */
function withKey(document: RegistryDocument, key: string): RegistryDocument {
  const sha256 = hashKey(key);
  const demo: RegisteredConsumer = document.consumers.find(({ id }) => id === 'demo') ?? { id: 'demo', keys: [] };
  const taken = demo.keys.some(({ id }) => id === 'demo');
  const added: RegisteredKey = { id: taken ? `demo-${sha256.slice(0, 8)}` : 'demo', sha256 };
  const others = document.consumers.filter(({ id }) => id !== 'demo');
  return { ...document, consumers: [...others, { ...demo, keys: [...demo.keys, added] }] };
}

/** A broken registry is the data plane's to refuse, with a better message: it is not overwritten here. */
function readRegistry(file: string): RegistryDocument | undefined {
  try {
    const document = JSON.parse(readFileSync(file, 'utf8')) as RegistryDocument;
    return Array.isArray(document.consumers) && document.consumers.every(({ keys }) => Array.isArray(keys))
      ? document
      : undefined;
  } catch {
    return undefined;
  }
}
