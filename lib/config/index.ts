export { type Environment } from './derive';
export { defineConfig, environmentNames, resolveEnvironment, type CausewayConfig } from './environment';
export { ConfigError } from './errors';
export { MAX_ATTEMPTS, servingUpstreams, triedUpstreams } from './failover';
export { LADDER, type Rule } from './ladder';
export { loadConfig } from './load';
export { effectiveValues, type EffectiveValue } from './origin';
export { ROUTE_CLASSES, type EnvironmentInput, type Region, type RouteClass, type Upstream } from './schema';
