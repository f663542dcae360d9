import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ATTACK_TABLES } from '../gateway/support/attacks';
import { describeEnding } from '../gateway/support/attacks/attack';

const PAGE = join(__dirname, '..', '..', 'docs', 'security.md');
const BEGIN = '<!-- attacks: begin -->';
const END = '<!-- attacks: end -->';

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** The page's last section, from the tables that the tests run. */
function attackSection(): string {
  return ATTACK_TABLES.map(({ theme, attacks }) =>
    [
      `### ${theme}`,
      '',
      '| attack | ends as |',
      '| --- | --- |',
      ...attacks.map(({ name, ends }) => `| ${cell(name)} | ${cell(describeEnding(ends))} |`),
    ].join('\n'),
  ).join('\n\n');
}

/** Markdown without what the formatter does to tables. */
const plain = (text: string): string => text.trim().replace(/ +\|/g, ' |').replace(/-{3,}/g, '---');

test('docs/security.md lists the attacks that the tests make, and how they end', () => {
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  expect(before).toBeGreaterThan(BEGIN.length);
  expect(after).toBeGreaterThan(before);
  if (process.env['CAUSEWAY_UPDATE_DOCS'] === '1') {
    writeFileSync(PAGE, `${page.slice(0, before)}\n\n${attackSection()}\n\n${page.slice(after)}`);
    return;
  }
  expect(plain(page.slice(before, after))).toBe(plain(attackSection()));
});

test('no attack is listed twice', () => {
  const names = ATTACK_TABLES.flatMap(({ theme, attacks }) => attacks.map(({ name }) => `${theme}: ${name}`));
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});
