import { z } from 'zod';
import {
  bytes,
  cidr,
  headerName,
  headerValue,
  hostname,
  identifier,
  ipAddress,
  MIB,
  routeClass,
  seconds,
} from './primitives';

/** How a client proves who it is. */
export const auth = z.strictObject({
  /**
   * `keys`: consumers hold gateway keys and the gateway injects the upstream's credential. `passthrough`: the client's
   * own credential goes through, and limits are keyed by its hash.
   * @default 'keys'
   */
  mode: z.enum(['keys', 'passthrough']).default('keys'),
  /**
   * Within how many seconds a revoked key is refused everywhere: registry polling, caches and edge included.
   * @default 300
   */
  revocationSeconds: seconds(5, 86_400).default(300),
  /**
   * How often a node looks for a changed consumer registry or changed upstream credentials, in seconds.
   * @default 2
   */
  pollSeconds: seconds(1, 300).default(2),
});

/** A guaranteed share of the organisation's quota. */
const reservation = z.strictObject({
  /** The consumer's id in the registry. */
  consumer: identifier,
  /** Guaranteed requests per second over all regions: what it gets first when the upstream's quota runs low. */
  requestsPerSecond: z.number().positive().max(100_000),
  /**
   * Which part of it, and of the consumer's `rate` and `burst` in the registry, each region enforces: region name →
   * fraction. The fractions add up to 1; a region that is not named has none.
   * @default - each region enforces the registry's rate by itself
   */
  shares: z.record(z.string(), z.number().min(0).max(1)).optional(),
});

/** What holds for a consumer whose registry entry does not say otherwise, and what is promised to whom. */
export const consumers = z.strictObject({
  defaults: z
    .strictObject({
      /** Requests per second. @default 5 */
      rate: z.number().positive().max(100_000).default(5),
      /** Requests above the rate that are let through at once. @default 10 */
      burst: z.int().min(0).max(100_000).default(10),
      /** Requests in flight at a time. @default 100 */
      concurrency: z.int().min(1).max(100_000).default(100),
      /** Streams open at a time. @default 100 */
      maxStreams: z.int().min(1).max(100_000).default(100),
    })
    .prefault({}),
  /** Guaranteed rates, added up against `quota.requestsPerMinute`. @default [] */
  reservations: z.array(reservation).default([]),
});

/** The organisation's quota at the provider: what promises to consumers are checked against, and what happens when it runs low. */
export const quota = z.strictObject({
  /** Requests per minute over the whole organisation. */
  requestsPerMinute: z.int().positive().optional(),
  /** Input tokens per minute over the whole organisation. */
  inputTokensPerMinute: z.int().positive().optional(),
  /** Output tokens per minute over the whole organisation. */
  outputTokensPerMinute: z.int().positive().optional(),
  /** What happens when the upstream's answers say that little of a credential's quota is left. */
  fairness: z
    .strictObject({
      /**
       * Part of any announced limit below which consumers get their guaranteed rates first, and the others equal parts
       * of the rest; 0 turns that off.
       * @default 0.1
       */
      scarceShare: z.number().min(0).max(1).default(0.1),
      /** The longest that this lasts without being announced anew, in seconds. @default 60 */
      maxSeconds: seconds(1, 3600).default(60),
    })
    .prefault({}),
});

/** One upstream: a native Messages endpoint with a host, a credential and a connection pool of its own. */
export const upstream = z.strictObject({
  /** Its name in headers, metrics and logs. */
  id: identifier,
  /** DNS name: what is resolved, sent as `Host` and as SNI, and verified in the certificate. */
  host: hostname,
  /** @default 443 */
  port: z.int().min(1).max(65_535).default(443),
  /** Path before `/v1/`, without a trailing slash. @default '' */
  basePath: z
    .string()
    .regex(/^(\/[A-Za-z0-9._~-]+)*$/, 'must be empty or a path such as /anthropic, without a trailing slash')
    .default(''),
  /** Fixed addresses instead of DNS, for tests and private endpoints. @default - resolved by DNS */
  addresses: z.array(ipAddress).min(1).optional(),
  /** PEM file with the authorities that may sign its certificate. @default - the system's */
  caFile: z.string().min(1).optional(),
  /**
   * The header that carries the upstream's credential. `authorization` is sent as `Bearer <credential>`.
   * @default 'x-api-key'
   */
  credentialHeader: z.enum(['x-api-key', 'authorization']).default('x-api-key'),
  /** The credential's name in the credentials document. @default - the upstream's id */
  credential: identifier.optional(),
  /** Headers set on each request, such as `anthropic-workspace-id`. @default {} */
  headers: z.record(headerName, headerValue).default({}),
  /** The route classes it serves. @default - all */
  routeClasses: z.array(routeClass).min(1).optional(),
  /**
   * Whether a message that was sent to this upstream whole, and was not answered (it timed out, the connection broke),
   * is repeated at the next one. This upstream may have billed it. What costs nothing (token counts, lists of models)
   * is repeated either way.
   * @default false
   */
  repeatAfterSent: z.boolean().default(false),
  /**
   * Whether this upstream takes the credentials that clients hold of the first one: in `passthrough`, no other upstream
   * than the first is ever sent one unless it is said here.
   * @default false
   */
  takesClientCredential: z.boolean().default(false),
  /** Idle connections kept open by each worker: a new one costs a whole TLS handshake, as none is resumed. @default 256 */
  keepaliveConnections: z.int().min(1).max(1024).default(256),
  /** Seconds after which an idle upstream connection is closed. @default 60 */
  keepaliveIdleSeconds: seconds(1, 3600).default(60),
});

/** Seconds of silence from the upstream, before the first byte or between two, by route class. */
const readSeconds = z
  .strictObject({
    /** @default - maxStreamSeconds, at most 900 */
    generate: seconds(1, 3900).optional(),
    /** @default 60 */
    count: seconds(1, 3900).optional(),
    /** @default 30, or what `edgeReadSeconds` leaves where the edge is enabled */
    models: seconds(1, 3900).optional(),
    /** @default - as generate */
    batches: seconds(1, 3900).optional(),
    /** @default - as generate */
    files: seconds(1, 3900).optional(),
    /** @default - as generate */
    other: seconds(1, 3900).optional(),
  })
  .prefault({});

/** All times of the path. One number, `maxStreamSeconds`, derives those that are not given. */
export const timeouts = z.strictObject({
  /** The longest stream that deploys, drains and load balancers must not cut, in seconds. @default 3600 */
  maxStreamSeconds: seconds(1, 3600).default(3600),
  upstream: z
    .strictObject({
      /** TCP and TLS handshake with the upstream. @default 5 */
      connectSeconds: seconds(1, 75).default(5),
      /** Between two writes of a request to the upstream. @default 60 */
      sendSeconds: seconds(1, 3900).default(60),
      readSeconds,
    })
    .prefault({}),
  client: z
    .strictObject({
      /** Within which a client must have sent its request's headers. @default 15 */
      headerSeconds: seconds(1, 300).default(15),
      /** Between two reads of a client's body. @default 30 */
      bodySeconds: seconds(1, 300).default(30),
      /** Between two writes to a client. @default - the longest upstream read + 15, below the load balancer's if that is given */
      sendSeconds: seconds(1, 3950).optional(),
      /** For which an idle client connection stays open: longer than the load balancer's idle timeout. @default - that + 15 */
      keepaliveSeconds: seconds(1, 4300).optional(),
    })
    .prefault({}),
  /** Idle timeout of the load balancer (ALB: 1–4000 s). @default - client.sendSeconds, or the longest read + 15, and 15 more */
  loadBalancerIdleSeconds: seconds(1, 4000).optional(),
  /** Deregistration delay of the targets (ALB: 0–3600 s). @default - maxStreamSeconds */
  drainSeconds: seconds(0, 3600).optional(),
  /** Origin read timeout of CloudFront, where it is used: at most 120 s, and 2 s to leave room for a read. @default 60 */
  edgeReadSeconds: seconds(2, 120).default(60),
});

/** The largest request body by route class, in bytes. The defaults are the API's own limits. */
export const bodies = z.strictObject({
  /** @default 32 MiB, the API's limit */
  generate: bytes(1024, 512 * MIB).default(32 * MIB),
  /** @default 32 MiB, the API's limit */
  count: bytes(1024, 512 * MIB).default(32 * MIB),
  /** @default 1 MiB: these are GETs */
  models: bytes(1024, 512 * MIB).default(MIB),
  /** @default 256 MiB, the API's limit */
  batches: bytes(1024, 512 * MIB).default(256 * MIB),
  /** @default 501 MiB: the API's 500 MiB for the file, and the multipart envelope around it */
  files: bytes(1024, 1024 * MIB).default(501 * MIB),
  /** @default 32 MiB */
  other: bytes(1024, 512 * MIB).default(32 * MIB),
});

/** Limits that belong to the node, not to one consumer. */
export const limits = z.strictObject({
  /** Failed and missing credentials by client address, counted before authentication. */
  perAddress: z
    .strictObject({
      /** Requests per second. @default 10 */
      rate: z.number().min(0.1).max(100_000).default(10),
      /** @default 50 */
      burst: z.int().min(0).max(100_000).default(50),
      /** Addresses that are never limited. @default [] */
      exempt: z.array(cidr).default([]),
    })
    .prefault({}),
  /** Open client connections of one worker. @default 10240 */
  workerConnections: z.int().min(64).max(262_144).default(10_240),
  /** Whether `/v1/organizations` (the Admin API) is let through. @default false */
  allowAdminApi: z.boolean().default(false),
});

/** Which peers may say who the client is. */
export const clientAddress = z.strictObject({
  /** CIDR blocks of trusted hops whose `X-Forwarded-For` is believed. Deployed, these are the VPC's. @default [] */
  trustedHops: z.array(cidr).default([]),
});
