import { awaitedUpstreams } from './failover';
import { ROUTE_CLASSES, type ParsedEnvironment, type RouteClass } from './schema';

/** Times of the path with every derived value filled in. Seconds. */
export interface Timeouts {
  readonly maxStreamSeconds: number;
  readonly upstream: {
    readonly connectSeconds: number;
    readonly sendSeconds: number;
    /** Silence from the upstream that is borne, before the first byte or between two. */
    readonly readSeconds: Readonly<Record<RouteClass, number>>;
  };
  readonly client: {
    readonly headerSeconds: number;
    readonly bodySeconds: number;
    readonly sendSeconds: number;
    readonly keepaliveSeconds: number;
  };
  readonly loadBalancerIdleSeconds: number;
  readonly drainSeconds: number;
  readonly edgeReadSeconds: number;
}

/** One environment with defaults and derived values: what every tier is rendered from. */
export type Environment = Omit<ParsedEnvironment, 'timeouts' | 'breaker'> & {
  /** The environment's name in causeway.config.ts. */
  readonly name: string;
  readonly timeouts: Timeouts;
  readonly breaker: ParsedEnvironment['breaker'] & { readonly streamFirstByteSeconds: number };
};

/** Silence that is borne by default in a class that may think for long: the SDKs' own 10 minutes and half as much again. */
const LONG_READ_SECONDS = 900;
/** Between two steps of the ladder: enough that an outer hop's clock, started a little earlier, does not win. */
const STEP_SECONDS = 15;
/** Default of the breaker's deadline for a stream's first byte, in seconds. */
const STREAM_FIRST_BYTE_SECONDS = 120;

/** Fills in what follows from other values: one number, `maxStreamSeconds`, derives the ladder of timeouts. */
export function derive(name: string, parsed: ParsedEnvironment): Environment {
  const given = parsed.timeouts;
  const read = given.upstream.readSeconds;
  const generate = read.generate ?? Math.min(given.maxStreamSeconds, LONG_READ_SECONDS);
  const readSeconds: Record<RouteClass, number> = {
    generate,
    count: read.count ?? Math.min(generate, 60),
    models: read.models ?? Math.min(generate, modelsReadSeconds(parsed)),
    batches: read.batches ?? generate,
    files: read.files ?? generate,
    other: read.other ?? generate,
  };
  const longestSilence = Math.max(
    ...ROUTE_CLASSES.map((routeClass) => readSeconds[routeClass] * awaitedUpstreams(parsed, routeClass)),
  );
  const { sendSeconds, loadBalancerIdleSeconds } = clientLadder(longestSilence, given);
  return {
    ...parsed,
    name,
    breaker: {
      ...parsed.breaker,
      streamFirstByteSeconds: parsed.breaker.streamFirstByteSeconds ?? Math.min(STREAM_FIRST_BYTE_SECONDS, generate),
    },
    timeouts: {
      maxStreamSeconds: given.maxStreamSeconds,
      upstream: {
        connectSeconds: given.upstream.connectSeconds,
        sendSeconds: given.upstream.sendSeconds,
        readSeconds,
      },
      client: {
        headerSeconds: given.client.headerSeconds,
        bodySeconds: given.client.bodySeconds,
        sendSeconds,
        keepaliveSeconds: given.client.keepaliveSeconds ?? loadBalancerIdleSeconds + STEP_SECONDS,
      },
      loadBalancerIdleSeconds,
      drainSeconds: given.drainSeconds ?? given.maxStreamSeconds,
      edgeReadSeconds: given.edgeReadSeconds,
    },
  };
}

/** The steps above the longest silence. Where one of them is given, the other is fitted to it. */
function clientLadder(
  longestSilence: number,
  given: ParsedEnvironment['timeouts'],
): { sendSeconds: number; loadBalancerIdleSeconds: number } {
  const { loadBalancerIdleSeconds: idle } = given;
  const sendSeconds =
    given.client.sendSeconds ??
    (idle === undefined
      ? longestSilence + STEP_SECONDS
      : Math.max(1, Math.min(longestSilence + STEP_SECONDS, idle - 1)));
  return {
    sendSeconds,
    loadBalancerIdleSeconds: idle ?? Math.max(longestSilence + STEP_SECONDS, sendSeconds) + STEP_SECONDS,
  };
}

/** Lists of models are short: 30 s, or what CloudFront leaves where it is in front. */
function modelsReadSeconds(parsed: ParsedEnvironment): number {
  if (!parsed.edge.enabled) return 30;
  const left = Math.floor((parsed.timeouts.edgeReadSeconds - 1) / awaitedUpstreams(parsed, 'models'));
  return Math.max(1, Math.min(30, left));
}
