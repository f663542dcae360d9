/** Text for answers of any size, of which one page is held. */

const LINE = 'All work and no play makes a mock a dull API; this line is filler.  ';
const PAGE = Buffer.from(LINE.repeat(964)).subarray(0, 65_536);

/** `bytes` bytes of ASCII text, in pieces of up to 64 KiB that share one buffer: do not write to them. */
export function* filler(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PAGE.length) yield PAGE.subarray(0, Math.min(left, PAGE.length));
}
