import { randomBytes } from 'node:crypto';

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** An id like the API's, e.g. `msg_01XFDUDYJgAACzvnptvVoYEL`: fresh each time, so that a replayed answer can be told from a new one. */
export function freshId(prefix: string): string {
  let id = `${prefix}_01`;
  for (const byte of randomBytes(22)) id += BASE58.charAt(byte % BASE58.length);
  return id;
}
