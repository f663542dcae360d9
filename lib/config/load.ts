import { realpathSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { environmentNames, type CausewayConfig } from './environment';
import { ConfigError } from './errors';

/**
 * Reads a config file anew, so that an edited file is seen. The process must run under a TypeScript loader (tsx, jest).
 *
 * @throws ConfigError where the file is missing, does not compile, or exports no config.
 */
export function loadConfig(file: string): CausewayConfig {
  const source = basename(resolve(file));
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new ConfigError(source, [{ field: '', message: `there is no file ${file}` }]);
  }
  // Modules are kept under the path that links lead to: a config may be one, as mounted volumes are.
  const path = realpathSync(file);
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
    throw new ConfigError(source, [{ field: '', message: `does not load: ${reason(error)}` }]);
  }
  environmentNames(exported, source);
  return exported as CausewayConfig;
}

/** The one line of a failure that says what is wrong. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const lines = error.message.split('\n').filter((line) => line.trim() !== '');
  // A compiler's first line only counts its errors; the ones below say where and what: `/path/file.ts:2:39: ERROR: …`.
  const compiler = lines.map((line) => /:(\d+):(\d+): ERROR: (.*)$/.exec(line)).find((match) => match !== null);
  if (compiler) return `line ${compiler[1] ?? ''}, column ${compiler[2] ?? ''}: ${compiler[3] ?? ''}`;
  return lines[0] ?? error.name;
}
