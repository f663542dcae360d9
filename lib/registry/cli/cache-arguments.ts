import { UsageError } from '../errors';
import {
  checkIdentifier,
  COMMON_OPTIONS,
  commonArguments,
  HELP_PLACES,
  readWords,
  type CommonArguments,
} from './common-arguments';

/** The commands, and the options of each beside the common ones. */
const COMMANDS = { purge: ['consumer'], show: [] } as const satisfies Record<string, readonly string[]>;

/** A command line of `npm run cache`, read and checked. */
export interface CacheArguments extends CommonArguments {
  readonly command: keyof typeof COMMANDS;
  /** Whose answers. @default - everybody's */
  readonly consumer?: string | undefined;
}

/** What `npm run cache -- --help` prints. */
export const HELP = `The answers that the gateway stores.

  npm run cache -- purge                         no stored answer is served any more
  npm run cache -- purge --consumer ID           none of this consumer's
  npm run cache -- show                          which purges there were, and when

${HELP_PLACES}
  --consumer ID                 a consumer, or in passthrough the credential-… of the access record
  --by NAME                     who the audit record names         (default: user@machine)
  --json                        for programs; with npm's own lines left out by \`npm run -s cache\`
  --help                        this text

A purge is a change of the registry, and holds within the same time as a revoked key does. \`npm run
keys -- history\` tells who made it. docs/caching.md tells the rest.
`;

/**
 * Reads the command line.
 *
 * @returns undefined where help is asked for
 * @throws UsageError that names what is wrong
 */
export function parseCacheArguments(argv: readonly string[]): CacheArguments | undefined {
  const words = readWords(argv, { texts: ['consumer'], lists: [] });
  if (words.flag('help') || argv.length === 0) return undefined;
  const [command = '', ...more] = words.positionals;
  if (!isCommand(command)) {
    throw new UsageError(
      `${command === '' ? 'there is no command' : `"${command}" is no command`}; there are ${Object.keys(COMMANDS).join(', ')}`,
    );
  }
  // `purge team-a` would purge everybody's.
  if (more[0] !== undefined) throw new UsageError(`"${more[0]}" is too much for \`${command}\`; see --consumer`);
  const known: readonly string[] = [...COMMON_OPTIONS, ...COMMANDS[command]];
  const foreign = words.given.find((option) => !known.includes(option));
  if (foreign !== undefined) throw new UsageError(`\`${command}\` takes no --${foreign}`);
  const consumer = words.text('consumer');
  checkIdentifier('--consumer', consumer);
  return { ...commonArguments(words), command, consumer };
}

function isCommand(text: string): text is CacheArguments['command'] {
  return Object.hasOwn(COMMANDS, text);
}
