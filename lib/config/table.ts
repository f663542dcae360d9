import type { EffectiveValue } from './origin';

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB'] as const;
const TIME_UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
] as const;

/** Effective values as a table of three aligned columns: field, value, origin. */
export function renderTable(values: readonly EffectiveValue[]): string {
  const rows = [
    ['FIELD', 'VALUE', 'ORIGIN'] as const,
    ...values.map(({ field, value, origin }) => [field, readable(field, value), origin] as const),
  ];
  const [fieldWidth, valueWidth] = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map(([field, value, origin]) => `${field.padEnd(fieldWidth ?? 0)}  ${value.padEnd(valueWidth ?? 0)}  ${origin}\n`)
    .join('');
}

/** A value as people read it: sizes and times with their unit, beside the number that stands in the config. */
export function readable(field: string, value: unknown): string {
  if (typeof value === 'number') {
    if (/Seconds(\.\w+)?$/.test(field)) return time(value);
    if (/Ms$/.test(field)) return `${value} ms`;
    if (/Bytes$|^bodies\./.test(field)) return size(value);
    return String(value);
  }
  if (typeof value === 'string') return value === '' ? '(empty)' : value;
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.map((each) => readable('', each)).join(', ');
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return '(none)';
  return JSON.stringify(value);
}

function time(seconds: number): string {
  const parts: string[] = [];
  let rest = seconds;
  for (const [name, length] of TIME_UNITS) {
    if (rest >= length) parts.push(`${Math.floor(rest / length)} ${name}`);
    rest %= length;
  }
  if (parts.length === 0) return `${seconds} s`;
  if (rest > 0) parts.push(`${rest} s`);
  return `${seconds} s (${parts.join(' ')})`;
}

function size(bytes: number): string {
  const power = Math.min(BYTE_UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const unit = BYTE_UNITS[power] ?? 'B';
  const count = Number((bytes / 1024 ** power).toFixed(1));
  return power === 0 ? `${bytes} B` : `${bytes} B (${count} ${unit})`;
}
