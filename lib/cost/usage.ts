import type { Environment } from '../config';
import { renderImage } from '../gateway-image';
import { METRICS, type Dimension } from '../observability/metrics';
import { PRICES } from './prices';
import type { LineItem } from './resource-prices';

/** An average request, for what requests cost. Bodies of coding agents are several times larger; sums scale with them. */
export const TYPICAL_REQUEST = {
  requestKb: 20,
  responseKb: 10,
  /** One EMF line for each request. */
  logKb: 1.8,
  /** Calls of Valkey. */
  valkeyCalls: 3,
} as const;

const KB_PER_GB = 1024 * 1024;
const MILLION = 1_000_000;
const perMillionGb = (kb: number): number => (kb * MILLION) / KB_PER_GB;

/** USD that a million typical requests cost, in whatever region they arrive, without more tasks to carry them. */
export function perMillionRequests(environment: Environment): LineItem[] {
  const { requestKb, responseKb, logKb, valkeyCalls } = TYPICAL_REQUEST;
  const bothWays = perMillionGb(requestKb + responseKb);
  const ownNat = environment.regions.some(({ existingVpc }) => existingVpc === undefined);
  return [
    // One LCU carries 1 GB an hour; of its other dimensions none is reached sooner by such requests.
    { what: 'Load balancer capacity (LCU-hours)', quantity: bothWays, each: PRICES.loadBalancer.lcuHour },
    ...(environment.firewall.enabled
      ? [{ what: 'Firewall, million requests', quantity: 1, each: PRICES.waf.millionRequests }]
      : []),
    ...(ownNat ? [{ what: 'NAT, GB both ways', quantity: bothWays, each: PRICES.vpc.natGb }] : []),
    { what: 'Data to the upstream, GB', quantity: perMillionGb(requestKb), each: PRICES.internetOutGb },
    ...(environment.loadBalancer.exposure === 'public'
      ? [{ what: 'Data to clients, GB', quantity: perMillionGb(responseKb), each: PRICES.internetOutGb }]
      : []),
    { what: 'Logs, GB', quantity: perMillionGb(logKb), each: PRICES.cloudWatch.logGb },
    ...(environment.valkey.mode === 'serverless'
      ? [{ what: 'Valkey, million ECPU', quantity: valkeyCalls, each: PRICES.valkey.millionEcpu }]
      : []),
  ];
}

/** Own metrics of a region that are there without a request, by what they are counted by; CloudWatch bills each series. */
export function idleMetrics(environment: Environment): LineItem[] {
  const perRegion =
    series('Dict', false) * dictionariesOf(environment) +
    series('Upstream', false) * environment.upstreams.length +
    series(undefined, false);
  return [
    { what: 'Own metric', quantity: perRegion * environment.regions.length, each: PRICES.cloudWatch.metricMonth },
  ];
}

/** Shared dictionaries of a node, each with a gauge of its own. */
function dictionariesOf(environment: Environment): number {
  const [region = { region: 'none' }] = environment.regions;
  const rendered = renderImage(environment, { region, loadBalancerRanges: [] });
  return (
    Object.values(rendered)
      .join('\n')
      .match(/^\s*lua_shared_dict /gm)?.length ?? 0
  );
}

/** Own metrics that come with use, in one region: for all of it, and for each further value of a dimension. */
export function metricsOfUse(environment: Environment): LineItem[] {
  const each = PRICES.cloudWatch.metricMonth;
  return [
    { what: 'Any request at all', quantity: series(undefined, true), each },
    {
      what: `Upstreams used (${environment.upstreams.length})`,
      quantity: series('Upstream', true) * environment.upstreams.length,
      each,
    },
    { what: 'Each route class used', quantity: series('RouteClass', true), each },
    { what: 'Each model used', quantity: series('Model', true), each },
    { what: 'Each consumer', quantity: series('Consumer', true), each },
  ];
}

/** Series of the catalogue by one dimension beside Environment and Region, of metrics that need a request or that do not. */
function series(by: Dimension | undefined, ofRequests: boolean): number {
  return METRICS.filter(({ kind }) => (kind === 'request') === ofRequests)
    .flatMap(({ dimensions }): readonly (readonly Dimension[])[] => dimensions)
    .filter((set) => (by === undefined ? set.length === 2 : set.includes(by))).length;
}
