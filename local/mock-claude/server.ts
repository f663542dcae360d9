/**
 * The mock Claude API: a test tool, and what a local Causeway talks to unless told otherwise. It invents its answers; it is
 * no model, no proxy, and must not be reachable from outside.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ADMIN_PREFIX, handleAdmin } from './admin';
import { BatchStore } from './batch-store';
import { newRequestId, serve } from './dispatch';
import type { MockState } from './exchange';
import { FileStore } from './file-store';
import { type RecordedRequest, Recorder } from './recorder';
import type { MockRule } from './script';
import { ScriptBook } from './script-book';
import { type ModelUsage, UsageLedger } from './usage';

export type { RecordedRequest } from './recorder';
export type { MockRule, MockScript } from './script';
export type { ModelUsage, TokenTotals } from './usage';

/** How to start a mock. */
export interface MockClaudeOptions {
  /** Address to listen on. @default 127.0.0.1 */
  host?: string;
  /** @default 0: a free one */
  port?: number;
  /** Certificate chain and key, PEM. @default none: plain HTTP */
  tls?: { key: string; cert: string };
  /** Stands in answers' text and in `x-mock-name`, so that a test sees which upstream answered. @default mock-claude */
  name?: string;
  /** Upstream credentials that are accepted. @default any that is not empty */
  requireKeys?: string[];
  /** Refuse requests without `anthropic-workspace-id`, as Claude Platform on AWS does. @default false */
  requireWorkspaceId?: boolean;
  /** Path before `/v1/`, as of a platform that serves the API below one; without it a request finds nothing. @default '' */
  basePath?: string;
  /** Keep bodies of up to 64 KiB in the record. @default false */
  keepBodies?: boolean;
  /** How many requests are kept. @default 10000 */
  keepRequests?: number;
  /** Scheme and authority of a batch's `results_url`. @default those of the request, by its Host header */
  resultsBaseUrl?: string;
}

/** A running mock. */
export interface MockClaude {
  readonly host: string;
  readonly port: number;
  /** E.g. `https://127.0.0.1:9443`. */
  readonly baseUrl: string;
  readonly name: string;
  /** What was received, oldest first. Records of requests under way still change. */
  requests(): RecordedRequest[];
  /** Appends rules; the first that matches a request serves it. Throws when a field is wrong. */
  script(rules: MockRule | readonly MockRule[]): void;
  /** Takes all rules away. */
  clearScript(): void;
  /** Tokens per model. */
  usage(): Record<string, ModelUsage>;
  /** Open TCP connections. */
  connections(): number;
  /** Forgets requests, rules and token totals; files and batches stay. */
  clear(): void;
  /** Ends every connection and stops. */
  close(): Promise<void>;
}

/** Idle connections stay this long, ms: longer than a reverse proxy's pool (nginx: 60 s), so that the proxy closes first. */
const KEEP_ALIVE_MS = 75_000;
/** Headers must be complete by then, ms. */
const HEADERS_MS = 60_000;
/** A script may come in a header, bytes for all headers. */
const MAX_HEADER_BYTES = 256 * 1024;

/** The TCP connections, which a TLS server otherwise hides behind its TLS sockets. */
class Connections {
  private readonly open = new Map<string, { socket: Socket; number: number }>();
  private count = 0;

  private static key(socket: Socket): string {
    return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0} ${socket.localAddress ?? ''} ${socket.localPort ?? 0}`;
  }

  add(socket: Socket): void {
    this.count += 1;
    const key = Connections.key(socket);
    const entry = { socket, number: this.count };
    this.open.set(key, entry);
    socket.once('close', () => {
      // The peer's port may have come back on a new connection before this one's close was told.
      if (this.open.get(key) === entry) this.open.delete(key);
    });
    // A reset by the peer is an ordinary event in these tests.
    socket.on('error', () => undefined);
  }

  numberOf(socket: Socket): number {
    return this.open.get(Connections.key(socket))?.number ?? 0;
  }

  cut(socket: Socket, reset: boolean): void {
    // TLSSocket has no reset of its own: its connection underneath has.
    const tcp = this.open.get(Connections.key(socket))?.socket;
    if (reset && tcp !== undefined) tcp.resetAndDestroy();
    socket.destroy();
  }

  get size(): number {
    return this.open.size;
  }

  destroyAll(): void {
    for (const { socket } of this.open.values()) socket.destroy();
  }
}

function pairs(flat: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) result.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return result;
}

function recordOf(req: IncomingMessage, seq: number, connection: number): RecordedRequest {
  const rawHeaders = pairs(req.rawHeaders);
  // No prototype: a header may be called `constructor`.
  const headers = Object.create(null) as Record<string, string>;
  for (const [name, value] of rawHeaders) {
    const lower = name.toLowerCase();
    headers[lower] = headers[lower] === undefined ? value : `${headers[lower]}, ${value}`;
  }
  const record: RecordedRequest = {
    seq,
    time: Date.now(),
    method: req.method ?? '',
    url: req.url ?? '',
    httpVersion: req.httpVersion,
    rawHeaders,
    headers,
    bodyBytes: 0,
    sha256: '',
    requestId: newRequestId(),
    sentBytes: 0,
    sentEvents: 0,
    aborted: false,
    connection,
    localAddress: req.socket.localAddress ?? '',
    localPort: req.socket.localPort ?? 0,
    remoteAddress: req.socket.remoteAddress ?? '',
    remotePort: req.socket.remotePort ?? 0,
  };
  if ('encrypted' in req.socket) {
    const tls = req.socket as TLSSocket & { servername?: string | false };
    if (typeof tls.servername === 'string') record.servername = tls.servername;
    record.tlsProtocol = tls.getProtocol() ?? '';
    record.tlsResumed = tls.isSessionReused();
  }
  return record;
}

function listen(server: http.Server | https.Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

/** Starts a mock. Rejects with the system's error when the address is taken or the certificate is no good. */
export async function startMockClaude(options: MockClaudeOptions = {}): Promise<MockClaude> {
  const connections = new Connections();
  const recorder = new Recorder(options.keepRequests ?? 10_000);
  const state: MockState = {
    name: options.name ?? 'mock-claude',
    requireKeys: options.requireKeys === undefined ? undefined : new Set(options.requireKeys),
    requireWorkspaceId: options.requireWorkspaceId ?? false,
    basePath: options.basePath ?? '',
    keepBodies: options.keepBodies ?? false,
    resultsBaseUrl: options.resultsBaseUrl,
    secure: options.tls !== undefined,
    organizationId: '00000000-0000-4000-8000-000000000001',
    recorder,
    scripts: new ScriptBook(),
    usage: new UsageLedger(),
    files: new FileStore(),
    batches: new BatchStore(),
    cutConnection: (req, reset) => {
      connections.cut(req.socket, reset);
    },
  };

  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    // Errors of a connection show as its close, which is what the mock acts on.
    res.on('error', () => undefined);
    if (req.url?.startsWith(ADMIN_PREFIX) === true) {
      void handleAdmin(state, req, res);
      return;
    }
    const record = recordOf(req, recorder.nextSeq(), connections.numberOf(req.socket));
    recorder.add(record);
    void serve(state, req, res, record);
  };
  const settings = {
    keepAlive: true,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_MS,
    // No limit on a whole request, or an upload of 500 MB on a slow machine would be cut.
    requestTimeout: 0,
    maxHeaderSize: MAX_HEADER_BYTES,
    noDelay: true,
  };
  const server =
    options.tls === undefined
      ? http.createServer(settings, onRequest)
      : https.createServer({ ...settings, key: options.tls.key, cert: options.tls.cert }, onRequest);
  // No limit on silence either: silence is one of the things the mock is for.
  server.timeout = 0;
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
  });
  const address = await listen(server, options.host ?? '127.0.0.1', options.port ?? 0);
  const authority = address.family === 'IPv6' ? `[${address.address}]` : address.address;

  return {
    host: address.address,
    port: address.port,
    baseUrl: `${state.secure ? 'https' : 'http'}://${authority}:${address.port}`,
    name: state.name,
    requests: () => recorder.list(),
    script: (rules) => {
      state.scripts.add(rules);
    },
    clearScript: () => {
      state.scripts.clear();
    },
    usage: () => state.usage.snapshot(),
    connections: () => connections.size,
    clear: () => {
      recorder.clear();
      state.scripts.clear();
      state.usage.clear();
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      connections.destroyAll();
      await closed;
      await state.files.close();
    },
  };
}
