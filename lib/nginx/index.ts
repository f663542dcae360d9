import type { Environment } from '../config';
import { addressLimitConf, clientAddressConf, coreConf, logConf, luaConf, nginxConf } from './files/core';
import { attemptsConf, failoverConf } from './files/attempts';
import { factsConf } from './files/facts';
import { cachedConf, fetchListenerConf } from './files/fetch';
import { errorsConf, healthConf, listenConf, routesConf } from './files/server';
import { upstreamConf, upstreamsConf } from './files/upstreams';
import type { Placement } from './placement';
import { settings } from './settings';

export { defaultFetchSocket, MOST_SOCKET_PATH_BYTES } from './fetch';
export type { Placement } from './placement';

/** Rendered files: path relative to the placement's prefix → content. */
export type RenderedFiles = Readonly<Record<string, string>>;

/**
 * Renders the whole configuration of one gateway: nginx.conf with its includes, and the settings of the data plane.
 * Pure: the same environment and placement give the same bytes, on a laptop and in the image.
 */
export function renderGateway(environment: Environment, placement: Placement): RenderedFiles {
  return {
    'nginx.conf': nginxConf(environment, placement),
    'http/core.conf': coreConf(environment, placement),
    'http/client-address.conf': clientAddressConf(environment, placement),
    'http/address-limit.conf': addressLimitConf(environment),
    'http/lua.conf': luaConf(environment, placement),
    'http/facts.conf': factsConf(),
    'http/log.conf': logConf(),
    'http/upstreams.conf': upstreamsConf(environment),
    ...Object.fromEntries(
      environment.upstreams.map((upstream) => [
        `upstreams/${upstream.id}.conf`,
        upstreamConf(upstream, environment, placement),
      ]),
    ),
    'server/listen.conf': listenConf(environment, placement),
    'server/errors.conf': errorsConf(),
    'server/health.conf': healthConf(),
    'server/routes.conf': routesConf(environment, placement),
    'server/attempts.conf': attemptsConf(environment, placement),
    'server/failover.conf': failoverConf(),
    ...(environment.cache.enabled
      ? {
          'server/cached.conf': cachedConf(environment, placement),
          'server/fetch.conf': fetchListenerConf(environment, placement),
        }
      : {}),
    'settings.json': settings(environment, placement),
  };
}
