import { statSync } from 'node:fs';

import { hashKey, type RegistryDocument } from '../../lib/registry/document';
import { ensureDemoConsumer } from '../../local/demo-consumer';
import { Sandbox } from './sandbox';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => {
  sandbox.remove();
});

const registry = (): RegistryDocument => JSON.parse(sandbox.read('registry.json')) as RegistryDocument;
const write = (document: unknown): string => sandbox.write('registry.json', JSON.stringify(document));

it('makes a registry with one consumer, whose key only its owner can read', () => {
  const { registry: file, key } = ensureDemoConsumer(sandbox.dir);
  expect(file).toBe(sandbox.path('registry.json'));
  expect(key).toMatch(/^cwk_[A-Za-z0-9_-]{43}$/);
  expect(registry()).toEqual({ version: 1, consumers: [{ id: 'demo', keys: [{ id: 'demo', sha256: hashKey(key) }] }] });
  expect(sandbox.read('registry.json')).not.toContain(key);
  expect(statSync(sandbox.path('demo-key')).mode & 0o777).toBe(0o600);
});

it('tells the same key at every start, and leaves the registry as it is', () => {
  const { key } = ensureDemoConsumer(sandbox.dir);
  const text = `  ${sandbox.read('registry.json')}`;
  sandbox.write('registry.json', text);
  expect(ensureDemoConsumer(sandbox.dir).key).toBe(key);
  expect(sandbox.read('registry.json')).toBe(text);
});

it('adds its consumer to a registry that has others', () => {
  const other = { id: 'search', keys: [{ id: 'k', sha256: 'a'.repeat(64) }], rate: 3 };
  write({ version: 1, consumers: [other] });
  const { key } = ensureDemoConsumer(sandbox.dir);
  expect(registry().consumers).toEqual([other, { id: 'demo', keys: [{ id: 'demo', sha256: hashKey(key) }] }]);
});

it('keeps policies and other keys of its consumer where its own key is gone', () => {
  const { key } = ensureDemoConsumer(sandbox.dir);
  const rotated = { id: 'demo', sha256: 'b'.repeat(64) };
  write({ version: 1, consumers: [{ id: 'demo', rate: 1, keys: [rotated] }] });
  expect(ensureDemoConsumer(sandbox.dir).key).toBe(key);
  const sha256 = hashKey(key);
  expect(registry().consumers).toEqual([
    { id: 'demo', rate: 1, keys: [rotated, { id: `demo-${sha256.slice(0, 8)}`, sha256 }] },
  ]);
});

it('makes another key when its own has ended, as after a rotation', () => {
  const { key } = ensureDemoConsumer(sandbox.dir);
  const old = { id: 'demo', sha256: hashKey(key), notAfter: '2030-01-01T00:00:00Z' };
  write({ version: 1, consumers: [{ id: 'demo', keys: [old] }] });
  expect(ensureDemoConsumer(sandbox.dir, new Date('2029-12-31T00:00:00Z')).key).toBe(key);
  const { key: next } = ensureDemoConsumer(sandbox.dir, new Date('2030-01-01T00:00:00Z'));
  expect(next).not.toBe(key);
  expect(registry().consumers[0]?.keys).toHaveLength(2);
  expect(registry().consumers[0]?.keys[1]?.sha256).toBe(hashKey(next));
  expect(sandbox.read('demo-key')).toBe(`${next}\n`);
});

it.each(['{', '[]', '{"version":1}', '{"version":1,"consumers":[{"id":"x"}]}'])(
  'does not overwrite a broken registry, which is the gateway’s to refuse: %s',
  (text) => {
    sandbox.write('registry.json', text);
    ensureDemoConsumer(sandbox.dir);
    expect(sandbox.read('registry.json')).toBe(text);
  },
);
