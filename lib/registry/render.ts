import type { AuditRecord } from './audit';
import type { RegisteredConsumer, RegisteredKey } from './document';
import { POLICY_OPTIONS } from './policies';
import { hasEnded } from './time';

/** Columns, each as wide as its widest cell. */
export function renderColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** All consumers, a line each. What is not said is the default of the gateway's config. */
export function renderList(consumers: readonly RegisteredConsumer[], now: number): string {
  if (consumers.length === 0) return 'There are no consumers: `npm run keys -- add <name>` adds one.\n';
  return renderColumns([
    ['CONSUMER', 'KEYS', 'RATE', 'BURST', 'CONCURRENCY', 'STATE'],
    ...consumers.map((consumer) => [
      consumer.id,
      countKeys(consumer.keys, now),
      text(consumer.rate),
      text(consumer.burst),
      text(consumer.concurrency),
      consumer.disabled === true ? 'disabled' : 'enabled',
    ]),
  ]);
}

function countKeys(keys: readonly RegisteredKey[], now: number): string {
  const ended = keys.filter((key) => hasEnded(key, now)).length;
  return ended === 0 ? String(keys.length) : `${keys.length - ended} (and ${ended} ended)`;
}

/** One consumer: its policies and its keys. */
export function renderConsumer(consumer: RegisteredConsumer, now: number): string {
  const policies = Object.entries(POLICY_OPTIONS).map(([option, { path }]) => {
    const [member = '', inside] = path.split('.');
    const value = (consumer as unknown as Record<string, unknown>)[member];
    return [option, text(inside === undefined ? value : (value as Record<string, unknown> | undefined)?.[inside])];
  });
  const keys = consumer.keys.map((key) => [key.id, keyState(key, now)]);
  return `${consumer.id}\n\n${renderColumns([['POLICY', 'VALUE'], ...policies])}\n${renderColumns([['KEY', 'STATE'], ...keys])}`;
}

/** How a key stands, in words. */
export function keyState(key: RegisteredKey, now: number): string {
  if (key.notAfter === undefined) return 'valid';
  return hasEnded(key, now) ? `ended at ${key.notAfter}` : `valid until ${key.notAfter}`;
}

function text(value: unknown): string {
  if (value === undefined) return 'default';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ');
  return plain(value);
}

/** Audit records, a line for each and one for each change. */
export function renderHistory(records: readonly AuditRecord[]): string {
  return records
    .map(({ when, who, what, changes, omitted, failed }) => {
      const head = [when, who, what, ...(failed === undefined ? [] : [`FAILED: ${failed}`])].filter(Boolean).join('  ');
      const lines = changes.map(({ member, from, to }) => `    ${member}: ${plain(from)} → ${plain(to)}`);
      const more = omitted === undefined ? [] : [`    and ${omitted} more`];
      return `${[head, ...lines, ...more].join('\n')}\n`;
    })
    .join('');
}

function plain(value: unknown): string {
  return value === null ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
}
