import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { repoDir } from '../local/sandbox';

/** A fenced block of a page. */
export interface Block {
  /** What stands behind the fence: a language, and maybe a word for the tests. */
  readonly info: string;
  readonly text: string;
  readonly line: number;
}

/** A page of this checkout. */
export function page(path: string): string {
  return readFileSync(join(repoDir, path), 'utf8');
}

/** The fenced blocks of a page, indented ones included. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { indent: string; info: string; lines: string[]; line: number } | undefined;
  markdown.split('\n').forEach((line, index) => {
    if (open === undefined) {
      const fence = /^( *)```(.+)$/.exec(line);
      if (fence) open = { indent: fence[1] ?? '', info: (fence[2] ?? '').trim(), lines: [], line: index + 1 };
    } else if (line === `${open.indent}\`\`\``) {
      blocks.push({ info: open.info, text: open.lines.join('\n'), line: open.line });
      open = undefined;
    } else {
      open.lines.push(line.slice(open.indent.length));
    }
  });
  if (open !== undefined) throw new Error(`the block of line ${open.line} has no end`);
  return blocks;
}

/** A page without its fenced blocks and code. */
function prose(markdown: string): string {
  return markdown.replace(/^( *)```[^]*?^\1```$/gm, '').replace(/`[^`\n]*`/g, '`');
}

/** Where links of a page lead to, images included. */
export function linksOf(markdown: string): string[] {
  return [...prose(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
}

/** The anchors that GitHub makes of a page's headings. */
export function anchorsOf(markdown: string): Set<string> {
  const text = markdown.replace(/^( *)```[^]*?^\1```$/gm, '');
  return new Set(
    [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) =>
      (heading ?? '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** The first column of a table under a heading, without its code marks, and the whole rows. */
export function tableRows(markdown: string, header: string): string[][] {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => cells(line)[0] === header);
  if (start < 0) throw new Error(`there is no table that begins with ${header}`);
  const rows: string[][] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    rows.push(cells(line));
  }
  return rows;
}

function cells(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}
