import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import { ConfigError } from '../lib/config';
import { placesOf } from '../lib/registry/cli/places';
import { runKeys } from '../lib/registry/cli/run';
import { RegistryError, UsageError } from '../lib/registry/errors';
import { runMain, UserError } from '../local/user-error';

// Its notice of a later version's needs is for whoever updates the package, and not for whoever adds a key.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const ROOT = resolve(__dirname, '..');

function user(): string {
  try {
    return userInfo().username;
  } catch {
    // Without an entry in the user database, as in some containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}

function say(line: string): void {
  process.stderr.write(`causeway: ${line}\n`);
}

runMain(() =>
  runKeys(process.argv.slice(2), {
    places: (args) => placesOf(args, ROOT, say),
    now: Date.now(),
    who: `${user()}@${hostname()}`,
    print: (text) => process.stdout.write(text),
    say,
  }).catch((error: unknown) => {
    if (error instanceof UsageError) {
      throw new UserError(`${error.message}; see npm run keys -- --help`, { exitCode: 2, cause: error });
    }
    if (error instanceof RegistryError || error instanceof ConfigError) {
      throw new UserError(error.message, { cause: error });
    }
    throw error;
  }),
);
