import { resolve } from 'node:path';
import { AppConfigClient } from '@aws-sdk/client-appconfig';
import { loadConfig, resolveEnvironment } from '../../config';
import { appConfigNames } from '../../gateway-image';
import { RegionalAppConfig } from '../app-config-client';
import { AppConfigStore } from '../app-config-store';
import { UsageError } from '../errors';
import { FileStore } from '../file-store';
import type { RegistryStore } from '../store';
import type { KeysArguments } from './arguments';

/** The registries that a command line is about: a file, or the regions of an environment. */
export function placesOf(args: KeysArguments, root: string, say: (line: string) => void): readonly RegistryStore[] {
  const { env, file, config, regions } = args;
  if (env === undefined) {
    if (regions.length > 0) throw new UsageError('--region needs --env: the registry of this machine has no regions');
    return [new FileStore(resolve(root, file ?? '.causeway/registry.json'))];
  }
  const environment = resolveEnvironment(loadConfig(resolve(root, config ?? 'causeway.config.ts')), env);
  const all = environment.regions.map(({ region }) => region);
  if (all.length === 0) {
    throw new UsageError(
      `environment "${env}" has no regions to be deployed to: without --env it is the registry of this machine`,
    );
  }
  const unknown = regions.find((region) => !all.includes(region));
  if (unknown !== undefined) {
    throw new UsageError(`environment "${env}" has no region "${unknown}"; it has ${all.join(', ')}`);
  }
  const names = appConfigNames(environment);
  return all
    .filter((region) => regions.length === 0 || regions.includes(region))
    .map((region) => {
      const appConfig = new RegionalAppConfig(region, names, new AppConfigClient({ region }));
      return new AppConfigStore({ appConfig, say });
    });
}
