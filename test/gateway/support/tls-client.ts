import tls from 'node:tls';

import type { TestGateway } from '../harness';

/** What a TLS handshake agreed on. */
export interface Handshake {
  /** SHA-256 fingerprint of the certificate that was shown. */
  readonly fingerprint: string;
  readonly protocol: string | null;
  readonly cipher: string;
  readonly alpn: string | false | null;
  readonly resumed: boolean;
  /** To resume it with. */
  readonly session: Buffer | undefined;
}

/** One handshake with the gateway, verified like any client's, and an empty request so that tickets of TLS 1.3 arrive. */
export function handshake(gateway: TestGateway, options: tls.ConnectionOptions = {}): Promise<Handshake> {
  return new Promise((settle, reject) => {
    let session: Buffer | undefined;
    const socket = tls.connect({
      host: '127.0.0.1',
      port: gateway.httpsPort,
      servername: 'localhost',
      ca: gateway.authority.root,
      ...options,
    });
    socket.once('error', reject);
    socket.on('session', (given: Buffer) => (session = given));
    socket.once('secureConnect', () => {
      const shown = {
        fingerprint: socket.getPeerCertificate().fingerprint256,
        protocol: socket.getProtocol(),
        cipher: socket.getCipher().name,
        alpn: socket.alpnProtocol,
        resumed: socket.isSessionReused(),
      };
      socket.once('close', () => {
        settle({ ...shown, session });
      });
      socket.resume();
      if (shown.alpn === 'h2') socket.end();
      else socket.end('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    });
  });
}
