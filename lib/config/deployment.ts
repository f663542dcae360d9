import {
  cacheFitsMemory,
  capacityHolds,
  fargateSizesExist,
  instancesAreX86,
  schedulesFit,
  sharedCacheFits,
} from './deployment/capacity';
import { countriesAreSupported, domainIsInZone, edgeIsReachable, regionsAreGiven } from './deployment/names';
import { addressesFit, networkFits, trustedHopsAreNarrow } from './deployment/network';
import { firewallFits, passthroughHasOneCredential } from './deployment/traffic';
import type { Rule } from './ladder';

/** The rules that only a deployment must keep, beyond the ladder: `resolveEnvironment(config, name, DEPLOYMENT_RULES)`. */
export const DEPLOYMENT_RULES: readonly Rule[] = [
  regionsAreGiven,
  domainIsInZone,
  countriesAreSupported,
  edgeIsReachable,
  addressesFit,
  networkFits,
  trustedHopsAreNarrow,
  capacityHolds,
  schedulesFit,
  fargateSizesExist,
  instancesAreX86,
  cacheFitsMemory,
  sharedCacheFits,
  firewallFits,
  passthroughHasOneCredential,
];

export { tasksAfterZoneLoss, tasksOf } from './deployment/capacity';
export { natAddresses } from './deployment/network';
