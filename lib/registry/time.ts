import { RegistryError } from './errors';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const MAX_SECONDS = 3650 * 86_400;

/**
 * Reads a duration such as `90s`, `30m`, `24h`, `7d`, `2w`.
 *
 * @param option - what to call it in a message
 * @returns seconds
 */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d{1,9})([smhdw])$/.exec(text);
  const seconds = Number(match?.[1]) * (UNIT_SECONDS[match?.[2] ?? ''] ?? Number.NaN);
  if (!(seconds <= MAX_SECONDS)) {
    throw new RegistryError(`${option} is "${text}"; must be a duration of at most 3650d such as 30m, 24h or 7d`);
  }
  return seconds;
}

/**
 * Reads when a key ends: a duration from now, or a time in UTC.
 *
 * @returns milliseconds since 1970
 */
export function parseEnd(text: string, option: string, now: number): number {
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/.test(text);
  const end = isTime ? Date.parse(text) : now + parseDuration(text, option) * 1000;
  if (Number.isNaN(end) || (isTime && timestamp(end) !== text)) {
    throw new RegistryError(`${option} is "${text}"; there is no such time`);
  }
  if (end <= now) throw new RegistryError(`${option} is "${text}"; must lie in the future`);
  return end;
}

/** A time as the registry writes it: UTC, whole seconds. */
export function timestamp(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** Whether a key has ended. */
export function hasEnded(key: { readonly notAfter?: string }, now: number): boolean {
  return key.notAfter !== undefined && Date.parse(key.notAfter) < now;
}
