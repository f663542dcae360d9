import { connect } from 'node:tls';

/** Header lines of an HTTP/2 request as they go over the wire: order, case and bytes are the test's. */
export type H2Headers = readonly (readonly [name: string, value: string])[];

/** What came back on stream 1. */
export interface H2Answer {
  /** Status, or 0 where the stream was reset or the connection ended. */
  readonly status: number;
  readonly body: string;
  /** Error code of RST_STREAM or GOAWAY, if one came. */
  readonly reset: number | undefined;
}

const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7 } as const;
const END_STREAM = 1;
const END_HEADERS = 4;
/** HPACK's static table (RFC 7541, appendix A): the statuses that have an index. */
const INDEXED_STATUS = [200, 204, 206, 304, 400, 404, 500];

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A string literal without Huffman coding (RFC 7541, 5.2). */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

function headerBlock(headers: H2Headers): Buffer {
  // 0: literal without indexing, new name (RFC 7541, 6.2.2).
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

/** nginx writes the status first: by its index, or as a literal with the name's index. */
function readStatus(block: Buffer): number {
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) at += 1;
  const first = block[at] ?? 0;
  if (first >= 0x80) return INDEXED_STATUS[first - 0x88] ?? 0;
  return Number(block.subarray(at + 2, at + 5).toString('latin1'));
}

/**
 * Sends one request whose header block no client library would write, and reads the answer. Rejects when nothing comes.
 *
 * @param body - sent in one DATA frame; none: the header block ends the stream
 */
export function sendH2(port: number, headers: H2Headers, body?: string, timeoutMs = 15_000): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
    let received: Buffer = Buffer.alloc(0);
    let status = 0;
    let text = '';
    const settle = (reset?: number): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve({ status, body: text, reset });
    };
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer on the stream within ${timeoutMs} ms`));
    }, timeoutMs);
    const onFrame = (type: number | undefined, flags: number, payload: Buffer): void => {
      if (type === FRAME.headers) status = readStatus(payload);
      if (type === FRAME.data) text += payload.toString('utf8');
      if (type === FRAME.reset) settle(payload.readUInt32BE(0));
      else if (type === FRAME.goaway) settle(payload.readUInt32BE(4));
      else if ((type === FRAME.headers || type === FRAME.data) && (flags & END_STREAM) !== 0) settle();
    };
    socket.once('secureConnect', () => {
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      socket.write(frame(FRAME.settings, 0, 0, Buffer.alloc(0)));
      socket.write(frame(FRAME.headers, END_HEADERS + (body === undefined ? END_STREAM : 0), 1, headerBlock(headers)));
      if (body !== undefined) socket.write(frame(FRAME.data, END_STREAM, 1, Buffer.from(body, 'latin1')));
    });
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 9) {
        const length = received.readUIntBE(0, 3);
        if (received.length < 9 + length) return;
        const payload = received.subarray(9, 9 + length);
        const [type, flags] = [received[3], received[4] ?? 0];
        received = received.subarray(9 + length);
        onFrame(type, flags, payload);
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      settle();
    });
  });
}
