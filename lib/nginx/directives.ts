/**
 * One nginx directive, rendered. Arguments are quoted where nginx would read them otherwise.
 *
 * @throws Error where an argument holds a byte that no quoting makes safe: such a value must have been refused before.
 */
export function directive(name: string, ...args: readonly (string | number)[]): string {
  return `${[name, ...args.map(quote)].join(' ')};`;
}

/** A block with its directives indented. */
export function block(head: string, lines: readonly string[]): string {
  return [`${head} {`, ...indent(lines), '}'].join('\n');
}

/** A comment, one line a string: why the next directive is there. */
export function comment(...lines: readonly string[]): string {
  return lines.map((line) => `# ${line}`).join('\n');
}

/** Joins the parts of a file. */
export function file(...parts: readonly string[]): string {
  return `${parts.join('\n')}\n`;
}

function indent(lines: readonly string[]): string[] {
  return lines.flatMap((line) => line.split('\n')).map((line) => (line === '' ? '' : `  ${line}`));
}

function quote(value: string | number): string {
  const text = String(value);
  // eslint-disable-next-line no-control-regex -- control characters are exactly what must be found
  if (/[\x00-\x1f\x7f]/.test(text)) throw new Error(`a directive's argument holds a control character`);
  if (text !== '' && !/[\s;{}"'\\#]/.test(text)) return text;
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}
