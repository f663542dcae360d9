import { connect } from 'node:net';

/** What came back for bytes that a test wrote itself. */
export interface WireAnswer {
  /** Status of the first answer; 0 where the connection was closed without one. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Whether the gateway closed the connection. */
  readonly closed: boolean;
  /** Status lines that came, the first one included. */
  readonly answers: number;
}

/** How long a connection is watched after its answer is complete, in milliseconds: for answers that nobody asked for. */
const WATCH_MS = 60;

/**
 * Writes bytes on a connection of their own and reads what comes back, until the gateway closes or the first answer is
 * complete and nothing follows it.
 *
 * @param bytes - one character a byte (latin1)
 * @param timeoutMs - after which silence is an error
 */
export function sendBytes(port: number, bytes: string | Buffer, timeoutMs = 15_000): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let text = '';
    let watch: NodeJS.Timeout | undefined;
    const settle = (closed: boolean): void => {
      clearTimeout(watch);
      clearTimeout(limit);
      socket.destroy();
      resolve(readAnswer(text, closed));
    };
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer within ${timeoutMs} ms; received: ${text.slice(0, 200)}`));
    }, timeoutMs);
    socket.on('data', (data: Buffer) => {
      // An interim answer is none.
      text = (text + data.toString('latin1')).replace(/^HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n/, '');
      if (!isComplete(text)) return;
      clearTimeout(watch);
      watch = setTimeout(() => {
        settle(false);
      }, WATCH_MS);
    });
    // A reset after the answer is a close: the gateway does not read what it has refused.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      settle(true);
    });
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  });
}

function splitHead(text: string): { head: string; body: string } | undefined {
  const end = text.indexOf('\r\n\r\n');
  return end < 0 ? undefined : { head: text.slice(0, end), body: text.slice(end + 4) };
}

function readHeaders(head: string): Record<string, string> {
  const lines = head.split('\r\n').slice(1);
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

function isComplete(text: string): boolean {
  const parts = splitHead(text);
  if (parts === undefined) return false;
  const headers = readHeaders(parts.head);
  const length = headers['content-length'];
  if (length !== undefined) return parts.body.length >= Number(length);
  return headers['transfer-encoding'] !== 'chunked' || parts.body.includes('0\r\n\r\n');
}

function readAnswer(text: string, closed: boolean): WireAnswer {
  const parts = splitHead(text);
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
  return {
    status,
    headers: parts === undefined ? {} : readHeaders(parts.head),
    body: parts?.body ?? '',
    closed,
    answers: text.match(/HTTP\/1\.[01] \d{3} /g)?.length ?? 0,
  };
}
