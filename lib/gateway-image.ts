import type { Environment, Region } from './config';
import { renderGateway, type Placement, type RenderedFiles } from './nginx';

/** Port on which a task speaks TLS to the load balancer. */
export const GATEWAY_PORT = 8443;
/** Answers 200 where traffic should come: registry loaded, DNS answered, not draining. */
export const READY_PATH = '/readyz';
/** User and group that the image's processes run as (gateway/Dockerfile). */
export const GATEWAY_USER = '10001:10001';
/** Port of the AppConfig agent, on the task's loopback. */
export const APPCONFIG_AGENT_PORT = 2772;

/** Directories of the image; gateway/Dockerfile makes them. */
export const IMAGE_PATHS = {
  /** Rendered configuration, read-only. */
  prefix: '/etc/causeway',
  lua: '/opt/causeway/lua',
  /** Pid file, large bodies, the task's own certificate: the one directory that is written to. */
  runtime: '/run/causeway',
} as const;

/** Names under which AppConfig holds what a running gateway reads anew: fixed, so that they can stand in the image. */
export function appConfigNames({ name }: Pick<Environment, 'name'>) {
  return {
    application: `causeway-${name}`,
    /** Deployment target inside the application. The application is the region's own already. */
    environment: 'gateway',
    registry: 'registry',
    credentials: 'credentials',
  } as const;
}

/** What the AppConfig agent of a task calls a document. */
export function agentPath(environment: Pick<Environment, 'name'>, document: 'registry' | 'credentials'): string {
  const names = appConfigNames(environment);
  return `/applications/${names.application}/environments/${names.environment}/configurations/${names[document]}`;
}

export interface ImagePlacementProps {
  readonly region: Pick<Region, 'region'>;
  /** Ranges that the load balancer's own addresses lie in. */
  readonly loadBalancerRanges: readonly string[];
}

/** Where a gateway runs inside the image: what differs from a laptop, and nothing else does. */
export function imagePlacement(environment: Environment, props: ImagePlacementProps): Placement {
  const agent = `http://127.0.0.1:${APPCONFIG_AGENT_PORT}`;
  return {
    prefix: IMAGE_PATHS.prefix,
    luaDirectory: IMAGE_PATHS.lua,
    runtimeDirectory: IMAGE_PATHS.runtime,
    httpsListen: [`0.0.0.0:${GATEWAY_PORT}`],
    certificate: {
      chainFile: `${IMAGE_PATHS.runtime}/tls/chain.pem`,
      keyFile: `${IMAGE_PATHS.runtime}/tls/key.pem`,
    },
    registrySource: `${agent}${agentPath(environment, 'registry')}`,
    credentialsSource: `${agent}${agentPath(environment, 'credentials')}`,
    // A task sees more cores than its CPU units pay for.
    workers: Math.max(1, Math.floor(environment.compute.cpu / 1024)),
    ...(environment.valkey.mode === 'none' ? {} : { valkey: { tls: true } }),
    region: props.region.region,
    nginx: '1.26',
  };
}

/**
 * Every file that the image holds under its prefix.
 *
 * Beside the placement, one thing differs from `npm start`: the load balancer is a hop whose `X-Forwarded-For` is
 * believed.
 */
export function renderImage(environment: Environment, props: ImagePlacementProps): RenderedFiles {
  const trustedHops = [...props.loadBalancerRanges, ...environment.clientAddress.trustedHops];
  return renderGateway(
    { ...environment, clientAddress: { trustedHops } },
    // Where the operator trusts hops of their own before the load balancer, they are followed back.
    { ...imagePlacement(environment, props), singleHop: environment.clientAddress.trustedHops.length === 0 },
  );
}
