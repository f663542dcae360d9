import type { Environment } from './derive';
import type { ConfigProblem } from './errors';
import type { Rule } from './ladder';

const problem = (field: string, message: string): ConfigProblem => ({ field, message });

/** The tasks that the loss of an AZ leaves can carry the lost zone's load until new ones have started. */
const lostZoneIsCarried: Rule = (environment) => {
  const { compute, limits, network, regions } = environment;
  // Whoever is left carries n/(n-1) of before: the fewer the zones, the more. The tightest region speaks for all.
  const zones = Math.min(
    ...regions.map(({ existingVpc }) => existingVpc?.availabilityZones.length ?? network.availabilityZones),
  );
  if (!Number.isFinite(zones) || zones < 2) return [];
  const share = (zones - 1) / zones;
  const cpu = Math.floor(100 * share);
  const connections = Math.floor(limits.workerConnections * share);
  return [
    ...(compute.targetCpuPercent > cpu
      ? [
          problem(
            'compute.targetCpuPercent',
            `is ${compute.targetCpuPercent}; must be at most ${cpu} with ${zones} AZs, so that the tasks that are left carry a lost AZ's load`,
          ),
        ]
      : []),
    ...(compute.targetConnectionsPerTask > connections
      ? [
          problem(
            'compute.targetConnectionsPerTask',
            `is ${compute.targetConnectionsPerTask}; must be at most ${connections} with ${zones} AZs and limits.workerConnections ${limits.workerConnections}, so that the tasks that are left hold a lost AZ's connections`,
          ),
        ]
      : []),
  ];
};

/** The health checkers of Route 53 can speak to the load balancer. */
const checkersAreUnderstood: Rule = ({ tls, regions }) =>
  regions.length > 0 && !tls.protocols.includes('TLSv1.2')
    ? [
        problem(
          'tls.protocols',
          `is ${JSON.stringify(tls.protocols)}; must hold "TLSv1.2" where it is deployed, for the health checkers of Route 53 speak nothing newer`,
        ),
      ]
    : [];

/** AppConfig asks its clients to leave this much time between two polls. */
const APPCONFIG_POLL_SECONDS = { min: 15, default: 45 } as const;
/** Half of the tasks at once, the others after that: the shortest rollout, in whole minutes, that is not all at once. */
const ROLLOUT_MINUTES = 1;

/** How a changed registry or credential reaches the tasks of a region. */
export interface RegistryRollout {
  /** Over how many minutes AppConfig rolls a new version out; 0 is all tasks at once. */
  readonly minutes: number;
  /** How often the AppConfig agent of a task asks. */
  readonly agentPollSeconds: number;
  /** Within how many seconds every task has a new version, at worst. */
  readonly boundSeconds: number;
}

/** The gentlest rollout that still keeps `auth.revocationSeconds`. */
export function registryRollout({ auth, cache, edge }: Environment): RegistryRollout {
  // CloudFront may answer a revoked key for its TTL, counted from when the last task let it in.
  const allowed = auth.revocationSeconds - (edge.enabled ? cache.ttl.edgeSeconds : 0) - auth.pollSeconds;
  const minutes = allowed >= ROLLOUT_MINUTES * 60 + APPCONFIG_POLL_SECONDS.min ? ROLLOUT_MINUTES : 0;
  const agentPollSeconds = Math.max(
    APPCONFIG_POLL_SECONDS.min,
    Math.min(APPCONFIG_POLL_SECONDS.default, allowed - minutes * 60),
  );
  return { minutes, agentPollSeconds, boundSeconds: minutes * 60 + agentPollSeconds + auth.pollSeconds };
}

/** AppConfig can hand a revocation to every task in the time that was promised. */
const revocationIsReachable: Rule = (environment) => {
  const { auth, cache, edge, regions } = environment;
  const bound = registryRollout(environment).boundSeconds + (edge.enabled ? cache.ttl.edgeSeconds : 0);
  return regions.length > 0 && bound > auth.revocationSeconds
    ? [
        problem(
          'auth.revocationSeconds',
          `is ${auth.revocationSeconds}; must be at least ${bound} where it is deployed: AppConfig is asked every ${APPCONFIG_POLL_SECONDS.min} s at the most, auth.pollSeconds${edge.enabled ? ' and cache.ttl.edgeSeconds come' : ' comes'} on top`,
        ),
      ]
    : [];
};

/** What AWS itself cannot do, or what a lost zone would teach later. */
export const AWS_LIMITS: readonly Rule[] = [lostZoneIsCarried, checkersAreUnderstood, revocationIsReachable];
