import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LUA_CATALOGUE_FILE, renderLuaCatalogue } from '../../lib/observability/lua-catalogue';
import { METRICS } from '../../lib/observability/metrics';

test('the Lua module is the one that the catalogue renders (else: npm run generate)', () => {
  const file = join(__dirname, '..', '..', LUA_CATALOGUE_FILE);
  expect(readFileSync(file, 'utf8')).toBe(renderLuaCatalogue(METRICS));
});

test('renders name, unit, kind and dimension sets', () => {
  expect(
    renderLuaCatalogue([
      { name: 'A', unit: 'Count', kind: 'gauge', dimensions: [['Region'], ['Region', 'Dict']], meaning: 'Any.' },
    ])
      .split('\n')
      .slice(3),
  ).toEqual([
    'return {',
    '  A = {',
    "    unit = 'Count',",
    "    kind = 'gauge',",
    '    dimensions = {',
    "      { 'Region' },",
    "      { 'Region', 'Dict' },",
    '    },',
    '  },',
    '}',
    '',
  ]);
});
