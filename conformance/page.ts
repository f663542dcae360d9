import type { Check } from './check';
import { CHECKS } from './checks';

/** Where the page stands in the repository. */
export const CONFORMANCE_PAGE = 'docs/conformance.md';

const BEGIN = '<!-- checks: made by npx tsx conformance/write-page.ts -->';
const END = '<!-- end of checks -->';

/** The page with the checks as they are now. */
export function conformancePage(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`${CONFORMANCE_PAGE} must hold "${BEGIN}" and "${END}"`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${checksTable(CHECKS)}\n\n${cost(CHECKS)}\n\n${page.slice(end)}`;
}

function checksTable(checks: readonly Check[]): string {
  const rows = [
    ['check', 'holds where', 'what it is for', 'says who', 'needs'],
    ...checks.map((check) => [
      `\`${check.id}\`${check.level === 'advised' ? ' (advised)' : ''}`,
      check.title,
      check.proves,
      check.source,
      check.needs === 'echo' ? '`--mock-url`' : '',
    ]),
  ].map((row) => row.map((cell) => cell.replaceAll('|', '\\|').replaceAll('*', '\\*')));
  // As prettier aligns it.
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}

function cost(checks: readonly Check[]): string {
  const any = checks.filter(({ needs }) => needs === 'any');
  const sum = (pick: (check: Check) => number | undefined): number =>
    any.reduce((total, check) => total + (pick(check) ?? 0), 0);
  return (
    `Of ${checks.length} checks, ${any.length} work with any upstream. Together they send ${sum(({ cost: c }) => c?.requests)} requests and cost about ` +
    `${sum(({ cost: c }) => c?.tokens)} tokens.`
  );
}
