import { readFileSync } from 'node:fs';

import { HELP } from '../../conformance/arguments';
import { CHECKS } from '../../conformance/checks';
import { CONFORMANCE_PAGE, conformancePage } from '../../conformance/page';

const page = readFileSync(CONFORMANCE_PAGE, 'utf8');

test('the table of checks is what the checks say (npx tsx conformance/write-page.ts)', () => {
  expect(conformancePage(page)).toBe(page);
});

test('the page and --help name the same options', () => {
  const named = (text: string): string[] => [...new Set(text.match(/--[a-z][a-z-]+/g))].sort();
  const documented = named(page).filter((option) => !['--port', '--require-key'].includes(option));
  expect([...documented, '--help'].sort()).toEqual(named(HELP));
});

test('every check has an id of its own, and what it costs where it meets a real upstream', () => {
  expect(new Set(CHECKS.map(({ id }) => id)).size).toBe(CHECKS.length);
  expect(CHECKS.filter(({ needs, cost }) => (needs === 'any') !== (cost !== undefined)).map(({ id }) => id)).toEqual(
    [],
  );
});
