import { createServer } from 'node:net';

import { UserError } from './user-error';

/**
 * Makes sure that a port can be listened on, by listening on it for a moment.
 *
 * @param host - an address of this machine
 * @param port - 1 to 65535
 * @param option - what chooses another. @default '--port'
 * @throws UserError that names the port and the way out
 */
export async function assertPortFree(host: string, port: number, option = '--port'): Promise<void> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UserError(`port ${port} is not a port: choose one from 1 to 65535 with ${option}`);
  }
  try {
    await listenOnce(host, port);
  } catch (error) {
    throw new UserError(reason(host, port, option, error as NodeJS.ErrnoException), { cause: error });
  }
}

/** Ports that this process has been told of: the kernel likes to hand out again at once what was just given back. */
const handedOut = new Set<number>();

/**
 * A port that was free a moment ago, and another at each call. Somebody else may take it before it is used: whoever
 * starts a server on it must be ready to try again.
 *
 * @param host - @default '127.0.0.1'
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = await listenOnce(host, 0);
    if (!handedOut.has(port)) {
      handedOut.add(port);
      return port;
    }
  }
}

function reason(host: string, port: number, option: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} on ${host} is in use: stop what listens there, or choose another port with ${option}`;
    case 'EACCES':
      return `port ${port} on ${host} may not be used without root: choose a port above 1023 with ${option}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `port ${port} cannot be used: ${host} is not an address of this machine`;
    default:
      return `port ${port} on ${host} cannot be used (${error.code ?? error.message}): choose another with ${option}`;
  }
}

function listenOnce(host: string, port: number): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') fail(new Error('a TCP server without a TCP address'));
        else done(address.port);
      });
    });
  });
}
