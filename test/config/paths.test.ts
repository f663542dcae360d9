import { deepMerge, formatPath, valueAt } from '../../lib/config/paths';

test.each<[PropertyKey[], string]>([
  [[], ''],
  [['a'], 'a'],
  [['a', 'b'], 'a.b'],
  [['a', 0, 'b', 12], 'a[0].b[12]'],
  [['a', 'x-y', 'b'], 'a["x-y"].b'],
  [['a', ''], 'a[""]'],
])('%j is written as %s', (path, text) => {
  expect(formatPath(path)).toBe(text);
});

test.each<[PropertyKey[], unknown]>([
  [[], { a: [{ b: null }] }],
  [['a', 0, 'b'], null],
  [['a', 0, 'b', 'c'], undefined],
  [['a', 1], undefined],
  [['x', 'y'], undefined],
])('at %j stands %j', (path, value) => {
  expect(valueAt({ a: [{ b: null }] }, path)).toEqual(value);
});

test.each<[string, unknown, unknown, unknown]>([
  ['objects are merged', { a: { b: 1, c: 2 } }, { a: { c: 3, d: 4 } }, { a: { b: 1, c: 3, d: 4 } }],
  ['lists are replaced', { a: [1, 2] }, { a: [3] }, { a: [3] }],
  ['undefined leaves what is there', { a: 1 }, { a: undefined }, { a: 1 }],
  ['null replaces', { a: { b: 1 } }, { a: null }, { a: null }],
  ['an object replaces what is none', { a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
  ['what is no object replaces one', { a: { b: 1 } }, { a: 1 }, { a: 1 }],
  ['what stands only on top is taken', {}, { a: { b: 1 } }, { a: { b: 1 } }],
])('merging: %s', (_, base, over, merged) => {
  expect(deepMerge(base, over)).toEqual(merged);
});

test('merging leaves both sides as they were', () => {
  const base = { a: { b: 1 } };
  const over = { a: { c: 2 } };
  deepMerge(base, over);
  expect([base, over]).toEqual([{ a: { b: 1 } }, { a: { c: 2 } }]);
});
