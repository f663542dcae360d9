/**
 * Where a rendered gateway runs: what differs between a laptop, a test and the container image. Everything else in the
 * rendered files follows from the environment alone.
 */
export interface Placement {
  /** Directory of the rendered files, nginx's prefix. Absolute. */
  readonly prefix: string;
  /** Directory that holds `causeway/` with the data plane's Lua. Absolute. */
  readonly luaDirectory: string;
  /** Directory for the pid file and for bodies too large for memory; on tmpfs where there is one. Absolute, writable. */
  readonly runtimeDirectory: string;
  /**
   * The socket of the internal listener, at most 107 bytes long, in a directory that only nginx's user may enter.
   *
   * @default - `proxy/fetch.sock` in the runtime directory
   */
  readonly fetchSocket?: string;
  /** Directory of nginx's dynamic modules. @default '/usr/lib/nginx/modules' (Debian) */
  readonly modulesDirectory?: string;
  /** Addresses that speak plain HTTP, `host:port`. @default [] */
  readonly httpListen?: readonly string[];
  /** Addresses that speak TLS, `host:port`. @default [] */
  readonly httpsListen?: readonly string[];
  /** PEM files with the served chain (leaf first) and its key. Needed where `httpsListen` is not empty. */
  readonly certificate?: { readonly chainFile: string; readonly keyFile: string };
  /**
   * Whether exactly one trusted hop, the load balancer, stands before the gateway. Then what it appended is the client's
   * address even if that lies in a trusted range itself: a client inside a VPC whose whole range is trusted could
   * otherwise forge another.
   *
   * @default false - a chain of trusted hops is followed back to the first that is not trusted
   */
  readonly singleHop?: boolean;
  /** Where the consumer registry comes from: an absolute path, or `http://` on loopback (the AppConfig agent). */
  readonly registrySource: string;
  /** Where the upstream credentials come from, likewise. */
  readonly credentialsSource: string;
  /**
   * A Valkey (or Redis) that nodes share. Where it is and who signs in there nginx's own environment says:
   * `CAUSEWAY_VALKEY_HOST`, `_PORT` (6379), `_USER` and `_PASSWORD`, so that no password stands in a file.
   *
   * @default - none: limits and cache stay with the node
   */
  readonly valkey?: ValkeyPlacement | undefined;
  /** DNS servers, `address` or `address:port`. @default [] - those of /etc/resolv.conf */
  readonly resolvers?: readonly string[];
  /** PEM file with the system's authorities. @default '/etc/ssl/certs/ca-certificates.crt' (Debian) */
  readonly systemCaFile?: string;
  /** Worker processes. @default 'auto' - one a core */
  readonly workers?: number | 'auto';
  /** User that workers run as, where the master is root. @default - the user that starts nginx */
  readonly user?: string;
  /** How long the line of a request may wait for others to be written with, in ms. @default 1000 */
  readonly logFlushMs?: number;
  /** Name of the region in headers and metrics, such as `eu-central-1`. */
  readonly region: string;
  /** The release of nginx: `listen … http2` (1.22) became `http2 on` (1.25.1). @default '1.22' */
  readonly nginx?: '1.22' | '1.26';
}

/** How a gateway reaches its Valkey. */
export interface ValkeyPlacement {
  /** Whether connections are encrypted, and the server's certificate is verified for its host name. */
  readonly tls: boolean;
  /** PEM file with the authorities that may have signed that certificate. @default - the system's */
  readonly caFile?: string | undefined;
}
