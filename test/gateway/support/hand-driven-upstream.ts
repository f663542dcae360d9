import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

import { issueLeaf } from '../../../local/pki';
import { authority, UPSTREAM_HOST } from '../harness';

/** An upstream whose every byte the test itself sends, when the test says so. */
export interface HandDrivenUpstream {
  readonly port: number;
  /** How the next requests are answered. */
  answer(handler: (request: IncomingMessage, response: ServerResponse) => void): void;
  close(): Promise<void>;
}

/** Starts one that has the certificate of the mock. */
export async function startHandDrivenUpstream(): Promise<HandDrivenUpstream> {
  const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST], authority: await authority() });
  let handler: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => {
    response.writeHead(500).end('the test has not said how to answer');
  };
  const server = https.createServer({ cert: leaf.chain, key: leaf.key }, (request, response) => {
    request.resume();
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    // A TCP server's address is an object.
    port: (server.address() as AddressInfo).port,
    answer: (next) => {
      handler = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
