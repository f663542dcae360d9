import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { environmentNames, type CausewayConfig } from './environment';
import { ConfigError } from './errors';

/**
 * Reads a config file anew, so that an edited file is seen. The process must run under a TypeScript loader (tsx, jest).
 *
 * @throws ConfigError where the file is missing, does not compile, or exports no config.
 */
export function loadConfig(file: string): CausewayConfig {
  const path = resolve(file);
  const source = basename(path);
  if (!existsSync(path)) throw new ConfigError(source, [{ field: '', message: `there is no file ${file}` }]);
  let exported: unknown;
  try {
    // Without this a watcher would be handed the first version for ever.
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
    delete require.cache[path];
    // A config is TypeScript of the operator's own: it is loaded by path at run time, which only require can do here.
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const loaded = require(path) as { default?: unknown };
    exported = loaded.default;
  } catch (error) {
    const message =
      error instanceof Error ? (error.message.split('\n').find((text) => text.trim() !== '') ?? '') : String(error);
    throw new ConfigError(source, [{ field: '', message: `does not load: ${message}` }]);
  }
  environmentNames(exported, source);
  return exported as CausewayConfig;
}
