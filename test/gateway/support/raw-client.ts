import { connect, type Socket } from 'node:net';

/** A connection of which a test writes the bytes itself. */
export interface RawClient {
  readonly socket: Socket;
  write(bytes: string): void;
  /** What came so far. */
  readonly received: () => string;
  /** Everything that came until the peer closed; rejects on a reset. */
  readonly closed: Promise<string>;
}

/** Connects to a port of this machine. */
export async function connectRaw(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
  });
  const closed = new Promise<string>((settle, reject) => {
    socket.once('error', reject);
    socket.once('close', () => {
      settle(text);
    });
  });
  closed.catch(() => undefined);
  await new Promise<void>((done, fail) => {
    socket.once('connect', done);
    socket.once('error', fail);
  });
  return { socket, write: (bytes) => void socket.write(bytes), received: () => text, closed };
}
