import { z } from 'zod';
import * as aws from './aws';
import * as resilience from './resilience';
import * as traffic from './traffic';

export { ROUTE_CLASSES, type RouteClass } from './primitives';

/**
 * One environment: everything that one deployment, or one `npm start`, is built from. Times end in `Seconds` or `Ms`,
 * sizes in `Bytes` (or stand under `bodies`), shares are 0–1. Whatever is not named here is refused.
 */
export const environmentSchema = z.strictObject({
  /** AWS account id. @default - the account of the credentials in use at deploy */
  account: z
    .string()
    .regex(/^\d{12}$/, 'must be a 12-digit AWS account id')
    .optional(),
  /** Regions to deploy to; the first holds nothing special. @default [] */
  regions: z.array(aws.region).default([]),
  /** @default - none: needed to deploy, not to run locally */
  domain: aws.domain.optional(),
  routing: aws.routing.prefault({}),
  auth: traffic.auth.prefault({}),
  consumers: traffic.consumers.prefault({}),
  quota: traffic.quota.prefault({}),
  /** In order: the first takes the traffic, the next take over. @default - the Anthropic API */
  upstreams: z
    .array(traffic.upstream)
    .min(1)
    .prefault([{ id: 'anthropic', host: 'api.anthropic.com' }]),
  limits: traffic.limits.prefault({}),
  clientAddress: traffic.clientAddress.prefault({}),
  timeouts: traffic.timeouts.prefault({}),
  bodies: traffic.bodies.prefault({}),
  tls: resilience.tls.prefault({}),
  cache: resilience.cache.prefault({}),
  breaker: resilience.breaker.prefault({}),
  valkey: resilience.valkey.prefault({}),
  slo: resilience.slo.prefault({}),
  observability: resilience.observability.prefault({}),
  network: aws.network.prefault({}),
  loadBalancer: aws.loadBalancer.prefault({}),
  compute: aws.compute.prefault({}),
  firewall: aws.firewall.prefault({}),
  edge: aws.edge.prefault({}),
  regionHealth: aws.regionHealth.prefault({}),
});

/** What an operator may write for one environment. */
export type EnvironmentInput = z.input<typeof environmentSchema>;

/** One environment with its defaults, before the derived values. */
export type ParsedEnvironment = z.output<typeof environmentSchema>;

/** One upstream with its defaults. */
export type Upstream = z.output<typeof traffic.upstream>;

/** One region with its defaults. */
export type Region = z.output<typeof aws.region>;
