import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditRecord } from '../../lib/registry/audit';
import type { RegistryDocument } from '../../lib/registry/document';
import { FileStore } from '../../lib/registry/file-store';

let directory: string;
let store: FileStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-file-store-'));
  store = new FileStore(join(directory, 'registry.json'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const record: AuditRecord = { when: '2026-11-23T12:00:00Z', who: 'ann', what: 'add a', changes: [] };
const withConsumer = (id: string) => (document: RegistryDocument) => ({
  record: { ...record, what: `add ${id}` },
  document: { ...document, consumers: [...document.consumers, { id, keys: [{ id: 'k1', sha256: id.repeat(64) }] }] },
});

test('what is not there is a registry without consumers', async () => {
  expect(await store.read()).toEqual({ document: { version: 1, consumers: [] } });
  expect(await store.history()).toEqual([]);
});

test('a change that cannot be written leaves the registry as it was, and a record that says so', async () => {
  await store.update(withConsumer('a'));
  // In the way of the file that is about to become the registry.
  mkdirSync(join(directory, `registry.json.${process.pid}.new`));
  await expect(store.update(withConsumer('b'))).rejects.toThrow(/registry\.json cannot be written: .*EISDIR/);
  expect((await store.read()).document.consumers.map(({ id }) => id)).toEqual(['a']);
  expect(await store.history()).toMatchObject([
    { what: 'add a' },
    { what: 'add b' },
    { what: 'add b', failed: expect.stringContaining('EISDIR') as string },
  ]);
});

test('a change that would break the registry is refused', async () => {
  await store.update(withConsumer('a'));
  await expect(store.update(withConsumer('a'))).rejects.toThrow('consumer "a" is there twice');
  expect(await store.history()).toHaveLength(1);
});

test('lines that are no records do not keep the others from being read', async () => {
  writeFileSync(join(directory, 'audit.jsonl'), `${JSON.stringify(record)}\n{"cut off\n`);
  await store.update(withConsumer('b'));
  expect((await store.history()).map(({ what }) => what)).toEqual(['add a', 'add b']);
});
