import { UsageError } from '../errors';
import { POLICY_OPTIONS } from '../policies';
import {
  checkIdentifier,
  COMMON_OPTIONS,
  commonArguments,
  HELP_PLACES,
  readWords,
  type CommonArguments,
} from './common-arguments';

const POLICIES = Object.keys(POLICY_OPTIONS);
const NEW_KEY = ['key-id', 'not-after'] as const;

/** The commands: whether they take a consumer, and the options beside the common ones. */
const COMMANDS = {
  add: { consumer: 'needed', options: [...POLICIES, ...NEW_KEY] },
  'add-key': { consumer: 'needed', options: [...NEW_KEY] },
  set: { consumer: 'needed', options: [...POLICIES, 'unset'] },
  rotate: { consumer: 'needed', options: ['key', 'keep-for', ...NEW_KEY] },
  revoke: { consumer: 'needed', options: ['key'] },
  list: { consumer: 'none', options: [] },
  show: { consumer: 'needed', options: [] },
  history: { consumer: 'optional', options: [] },
  sync: { consumer: 'none', options: ['from'] },
} as const satisfies Record<
  string,
  { readonly consumer: 'needed' | 'optional' | 'none'; readonly options: readonly string[] }
>;

/** What can be asked for. */
export type Command = keyof typeof COMMANDS;

/** A command line, read and checked. */
export interface KeysArguments extends CommonArguments {
  readonly command: Command;
  /** Empty where the command takes none. */
  readonly consumer: string;
  readonly policies: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
  readonly key?: string | undefined;
  readonly keyId?: string | undefined;
  readonly notAfter?: string | undefined;
  readonly keepFor?: string | undefined;
  readonly from?: string | undefined;
}

const policyHelp = Object.entries(POLICY_OPTIONS)
  .map(([option, { value, help }]) => `  ${`--${option} ${value}`.padEnd(30)}${help}\n`)
  .join('');

/** What `npm run keys -- --help` prints. */
export const HELP = `Consumers of the gateway, their keys and their policies.

  npm run keys -- add <consumer> [policies]      a new consumer; its key is shown once
  npm run keys -- add-key <consumer>             another key for a consumer
  npm run keys -- set <consumer> [policies]      other policies, or --unset NAME for the default
  npm run keys -- rotate <consumer> [--key ID] [--keep-for 24h]
                                                 a new key in place of one; both valid for so long
  npm run keys -- revoke <consumer> [--key ID]   one key, or the consumer with all it has
  npm run keys -- list
  npm run keys -- show <consumer>
  npm run keys -- history [consumer]             who changed what when
  npm run keys -- sync [--from REGION]           all regions as that one, and deployed

${HELP_PLACES}
Policies; what is not given is what consumers.defaults of the config says:
${policyHelp}  --unset NAME                  back to the default, such as --unset rate

Keys:
  --key ID                      which key of the consumer
  --key-id ID                   a name for the new key   (default: made of its hash)
  --not-after TIME              when the new key ends: 90d, or 2026-12-01T00:00:00Z
                                                 (default: never)
  --keep-for DURATION           how long the old key stays valid: 30m, 24h, 7d; 0s ends it now
                                                 (default: 24h)

  --by NAME                     who the audit record names         (default: user@machine)
  --json                        for programs; with npm's own lines left out by \`npm run -s keys\`
  --help                        this text

docs/consumers.md tells the rest.
`;

/**
 * Reads the command line.
 *
 * @returns undefined where help is asked for
 * @throws UsageError that names what is wrong
 */
export function parseKeysArguments(argv: readonly string[]): KeysArguments | undefined {
  const texts = [...POLICIES, 'key', 'key-id', 'not-after', 'keep-for', 'from'];
  const words = readWords(argv, { texts, lists: ['unset'] });
  const { text } = words;
  if (words.flag('help') || argv.length === 0) return undefined;
  const [command = '', consumer = '', ...more] = words.positionals;
  if (!isCommand(command)) {
    throw new UsageError(
      `${command === '' ? 'there is no command' : `"${command}" is no command`}; there are ${Object.keys(COMMANDS).join(', ')}`,
    );
  }
  const spec = COMMANDS[command];
  const known: readonly string[] = [...COMMON_OPTIONS, ...spec.options];
  const foreign = words.given.find((option) => !known.includes(option));
  if (foreign !== undefined) throw new UsageError(`\`${command}\` takes no --${foreign}`);
  if (spec.consumer === 'needed' && consumer === '') throw new UsageError(`\`${command}\` needs a consumer`);
  if (more.length > 0 || (spec.consumer === 'none' && consumer !== '')) {
    throw new UsageError(`"${more[0] ?? consumer}" is too much for \`${command}\``);
  }
  checkIdentifier('the consumer', consumer === '' ? undefined : consumer);
  checkIdentifier('--key-id', text('key-id'));
  return {
    ...commonArguments(words),
    command,
    consumer,
    policies: Object.fromEntries(
      POLICIES.flatMap((option) => {
        const value = text(option);
        return value === undefined ? [] : [[option, value]];
      }),
    ),
    unset: words.list('unset'),
    key: text('key'),
    keyId: text('key-id'),
    notAfter: text('not-after'),
    keepFor: text('keep-for'),
    from: text('from'),
  };
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(COMMANDS, text);
}
