import { z } from 'zod';
import { bytes, MIB, seconds } from './primitives';

/** The longest that `cache.ttl.outageSeconds` may be: no stored answer is served when it is older. Seconds. */
export const MAX_OUTAGE_SECONDS = 7 * 86_400;

/** The four cache tiers. TTLs nest: client ≤ edge ≤ proxy ≤ shared. */
export const cache = z.strictObject({
  /** Whether anything is cached at all. @default true */
  enabled: z.boolean().default(true),
  ttl: z
    .strictObject({
      /** `max-age` that a client is given, in seconds; 0 asks it to revalidate by ETag each time. @default 0 */
      clientSeconds: seconds(0, 86_400).default(0),
      /** CloudFront, `GET /v1/models*` only. @default 60 */
      edgeSeconds: seconds(0, 86_400).default(60),
      /** nginx and the node's own memory (L1). @default 60 */
      proxySeconds: seconds(0, 86_400).default(60),
      /** Valkey / Redis (L2). @default 300 */
      sharedSeconds: seconds(0, 86_400).default(300),
      /** How old a copy may be that only an outage serves. @default 86400 */
      outageSeconds: seconds(0, MAX_OUTAGE_SECONDS).default(86_400),
    })
    .prefault({}),
  /** Memory of the node's own tier, in bytes. @default 64 MiB */
  nodeBytes: bytes(MIB, 4096 * MIB).default(64 * MIB),
  /** Memory of the shared tier, in bytes: a part of Valkey's, which also holds the limits of the fleet. @default 256 MiB */
  sharedBytes: bytes(MIB, 4096 * 1024 * MIB).default(256 * MIB),
  /** The largest answer that is stored, in bytes. @default 1 MiB */
  maxItemBytes: bytes(1024, 64 * MIB).default(MIB),
  /** The largest part of a tier's memory that one consumer's entries may take, 0–1. @default 0.25 */
  maxConsumerShare: z.number().gt(0).max(1).default(0.25),
  /** Whether `count_tokens` is cached without being asked for. @default true */
  countTokens: z.boolean().default(true),
});

/** The circuit breaker: per upstream, route class and model, on each node. */
export const breaker = z.strictObject({
  /** @default true */
  enabled: z.boolean().default(true),
  /** Sliding window in seconds. @default 30 */
  windowSeconds: seconds(5, 600).default(30),
  /** Share of failures at which it opens, 0–1. @default 0.5 */
  errorShare: z.number().gt(0).max(1).default(0.5),
  /** Requests in the window below which it never opens. @default 20 */
  minRequests: z.int().min(1).max(100_000).default(20),
  /** Distinct consumers that must have failed. @default 2 */
  minConsumers: z.int().min(1).max(1000).default(2),
  /** Seconds it stays open before it probes. @default 15 */
  openSeconds: seconds(1, 600).default(15),
  /** Requests let through as probes while half-open, at a time. @default 1 */
  probes: z.int().min(1).max(100).default(1),
  /** Probes that must succeed in a row before it closes. @default 3 */
  closeAfter: z.int().min(1).max(100).default(3),
  /** Seconds within which a stream must have sent its first byte. @default - 120, or readSeconds.generate if shorter */
  streamFirstByteSeconds: seconds(1, 3600).optional(),
  /** Models that are told apart; the rest shares one breaker. @default 32 */
  maxModels: z.int().min(1).max(1000).default(32),
});

/**
 * Where limits of the fleet and the shared cache tier live, in each region. It may fail: no request fails with it
 * (docs/architecture.md).
 */
export const valkey = z.strictObject({
  /**
   * What is deployed. `none` leaves limits to each node and the cache without its shared tier. `npm start` runs one of
   * its own, whatever stands here.
   * @default 'none'
   */
  mode: z.enum(['none', 'serverless', 'replicationGroup']).default('none'),
  /** Node type of a replication group. @default 'cache.t4g.small' */
  nodeType: z
    .string()
    .regex(/^cache\.[a-z0-9]+\.[a-z0-9]+$/, 'must be a cache node type')
    .default('cache.t4g.small'),
  /** Replicas of a replication group. @default 1 */
  replicas: z.int().min(0).max(5).default(1),
  /** Upper bound of a serverless cache's data, in GB. @default 5 */
  maxDataGb: z.int().min(1).max(5000).default(5),
  /** Upper bound of a serverless cache's ECPU per second. @default 10000 */
  maxEcpuPerSecond: z.int().min(1000).max(15_000_000).default(10_000),
  /**
   * Milliseconds after which a call is given up, connecting, TLS and sign-in included. A node that has given one up
   * leaves Valkey alone for a second at least, so this is what a Valkey that hangs costs the requests of that moment.
   * @default 50
   */
  timeoutMs: z.int().min(1).max(5000).default(50),
});

/** Service level objectives: what alarms and dashboards hold the gateway to. Milliseconds and fractions. */
export const slo = z.strictObject({
  /** What a client sees on `models` and `count`. */
  clientLatency: z
    .strictObject({
      /** @default 200 */ p50Ms: z.int().positive().default(200),
      /** @default 800 */ p99Ms: z.int().positive().default(800),
    })
    .prefault({}),
  /** Time spent in Causeway itself. */
  gatewayLatency: z
    .strictObject({
      /** @default 5 */ p50Ms: z.int().positive().default(5),
      /** @default 25 */ p99Ms: z.int().positive().default(25),
    })
    .prefault({}),
  /** Share of answers with status 5xx that a client sees, 0–1. @default 0.001 */
  errorShare: z.number().gt(0).lt(1).default(0.001),
  /** Time to the first byte of a stream, p99, in ms. @default 10000 */
  streamFirstByteP99Ms: z.int().positive().default(10_000),
});

/** How the gateway's own TLS listener behaves. */
export const tls = z.strictObject({
  /** @default ['TLSv1.2', 'TLSv1.3'] */
  protocols: z
    .array(z.enum(['TLSv1.2', 'TLSv1.3']))
    .min(1)
    .default(['TLSv1.2', 'TLSv1.3']),
  /** Life of a TLS session that may be resumed, in seconds. @default 3600 */
  sessionSeconds: seconds(60, 86_400).default(3600),
  /** PEM file with further authorities that may have signed the served chain. @default - the system's only */
  caFile: z.string().min(1).optional(),
  /** How often the certificate's files are looked at, in seconds. @default 2 */
  reloadSeconds: seconds(1, 60).default(2),
});

/** What is emitted and how often. */
export const observability = z.strictObject({
  /** CloudWatch namespace of all own metrics. @default 'Causeway' */
  namespace: z
    .string()
    .regex(/^[A-Za-z0-9._/-]{1,255}$/, 'must be a CloudWatch namespace')
    .default('Causeway'),
  /** Seconds between two gauge lines. @default 10 */
  gaugeSeconds: seconds(1, 60).default(10),
  /** Days that logs are kept. @default 30 */
  logRetentionDays: z
    .union([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731].map((days) => z.literal(days)))
    .default(30),
  /** Addresses that receive alarms. @default [] */
  alarmEmails: z.array(z.email('must be an e-mail address')).default([]),
});
