import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { EnvironmentInput } from '../../../lib/config';
import { issueLeaf } from '../../../local/pki';
import { authority, UPSTREAM_HOST } from '../harness';

/** An upstream whose every byte the test itself sends, when the test says so. */
export interface HandDrivenUpstream {
  /** What a gateway's config says to have it for its upstream, with the mock's credential. */
  readonly config: EnvironmentInput;
  /** How the next requests are answered. */
  answer(handler: (request: IncomingMessage, response: ServerResponse) => void): void;
  close(): Promise<void>;
}

/** Starts one that has the certificate of the mock. */
export async function startHandDrivenUpstream(): Promise<HandDrivenUpstream> {
  const dir = mkdtempSync(join(tmpdir(), 'causeway-upstream-'));
  const caFile = join(dir, 'ca.pem');
  writeFileSync(caFile, (await authority()).root);
  const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST], authority: await authority() });
  let handler: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => {
    response.writeHead(500).end('the test has not said how to answer');
  };
  const server = https.createServer({ cert: leaf.chain, key: leaf.key }, (request, response) => {
    request.resume();
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo;
  return {
    config: { upstreams: [{ id: 'mock', host: UPSTREAM_HOST, port, addresses: ['127.0.0.1'], caFile }] },
    answer: (next) => {
      handler = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          rmSync(dir, { recursive: true, force: true });
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
