import { resolve } from 'node:path';
import { AppConfigClient } from '@aws-sdk/client-appconfig';
import { loadConfig, resolveEnvironment, type Environment } from '../../config';
import { appConfigNames } from '../../gateway-image';
import { RegionalAppConfig } from '../app-config-client';
import { AppConfigStore } from '../app-config-store';
import { UsageError } from '../errors';
import { FileStore } from '../file-store';
import type { RegistryStore } from '../store';
import type { CommonArguments } from './common-arguments';

/** The registries that a command line is about: a file, or the regions of an environment. */
export function placesOf(args: CommonArguments, root: string, say: (line: string) => void): readonly RegistryStore[] {
  const { file, regions } = args;
  const environment = environmentOf(args, root);
  if (environment === undefined) {
    if (regions.length > 0) throw new UsageError('--region needs --env: the registry of this machine has no regions');
    return [new FileStore(resolve(root, file ?? '.causeway/registry.json'))];
  }
  const all = environment.regions.map(({ region }) => region);
  if (all.length === 0) {
    throw new UsageError(
      `environment "${environment.name}" has no regions to be deployed to: without --env it is the registry of this machine`,
    );
  }
  const unknown = regions.find((region) => !all.includes(region));
  if (unknown !== undefined) {
    throw new UsageError(`environment "${environment.name}" has no region "${unknown}"; it has ${all.join(', ')}`);
  }
  const names = appConfigNames(environment);
  return all
    .filter((region) => regions.length === 0 || regions.includes(region))
    .map((region) => {
      const appConfig = new RegionalAppConfig(region, names, new AppConfigClient({ region }));
      return new AppConfigStore({ appConfig, say });
    });
}

/** The deployed environment that a command line is about; undefined where it is this machine. */
export function environmentOf({ env, config }: CommonArguments, root: string): Environment | undefined {
  return env === undefined
    ? undefined
    : resolveEnvironment(loadConfig(resolve(root, config ?? 'causeway.config.ts')), env);
}
