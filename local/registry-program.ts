import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { ConfigError } from '../lib/config';
import { RegistryError, UsageError } from '../lib/registry/errors';
import { runMain, UserError } from './user-error';

/** What a program that works on registries is given of the process that it runs in. */
export interface RegistryProgram {
  /** The checkout. */
  readonly root: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly who: string;
  readonly print: (text: string) => void;
  readonly say: (line: string) => void;
}

/**
 * Runs an entry point that works on registries; what it refuses is told in one message.
 *
 * @param name - how people start it
 */
export function runRegistryProgram(name: string, main: (program: RegistryProgram) => Promise<void>): void {
  // Its notice of a later version's needs is for whoever updates the package, and not for whoever adds a key.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  runMain(() =>
    main({
      root: resolve(__dirname, '..'),
      now: Date.now(),
      who: `${user()}@${hostname()}`,
      print: (text) => process.stdout.write(text),
      say: (line) => process.stderr.write(`causeway: ${line}\n`),
    }).catch((error: unknown) => {
      if (error instanceof UsageError) {
        throw new UserError(`${error.message}; see ${name} -- --help`, { exitCode: 2, cause: error });
      }
      if (error instanceof RegistryError || error instanceof ConfigError) {
        throw new UserError(error.message, { cause: error });
      }
      throw error;
    }),
  );
}

function user(): string {
  try {
    return userInfo().username;
  } catch {
    // Without an entry in the user database, as in some containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
