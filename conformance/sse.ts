/** The blocks of a stream, between blank lines, as they stand there. */
export function eventsOf(body: Buffer): string[] {
  return body
    .toString()
    .split(/\r?\n\r?\n/)
    .filter((block) => block !== '');
}

/** The name of a block's event; empty for a comment. */
export function nameOf(block: string): string {
  return /^event: ?(.*)$/m.exec(block)?.[1]?.trim() ?? '';
}

/** The data of a block. */
export function dataOf(block: string): string {
  return [...block.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1] ?? '').join('\n');
}
