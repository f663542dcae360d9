import type { Incoming } from './client';

const LONGEST = 220;

/** A text as a message shows it: one line, not too long. */
export function quote(text: string): string {
  const visible = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return visible.length <= LONGEST ? visible : `${visible.slice(0, LONGEST)}… (${text.length} characters)`;
}

/** An answer as a message shows it. */
export function describe(answer: Incoming): string {
  const type = answer.headers['content-type'] ?? 'no content type';
  const broken = answer.broken === undefined ? '' : `, broken off (${answer.broken})`;
  const body = answer.body.length === 0 ? 'no body' : quote(answer.body.toString());
  return `HTTP ${answer.status}, ${type}${broken}: ${body}`;
}

/** Where two texts part, as a message shows it. */
export function difference(expected: Buffer, actual: Buffer): { expected: string; actual: string } {
  let at = 0;
  while (at < expected.length && expected[at] === actual[at]) at += 1;
  const from = Math.max(0, at - 30);
  const show = (bytes: Buffer): string =>
    `${bytes.length} bytes, at ${at}: ${quote(bytes.subarray(from, at + 80).toString())}`;
  return { expected: show(expected), actual: show(actual) };
}
