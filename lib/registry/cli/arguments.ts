import { parseArgs } from 'node:util';
import { UsageError } from '../errors';
import { POLICY_OPTIONS } from '../policies';
import { identifier } from '../schema';

const COMMON = ['env', 'region', 'file', 'config', 'json', 'by', 'help'] as const;
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
export interface KeysArguments {
  readonly command: Command;
  /** Empty where the command takes none. */
  readonly consumer: string;
  readonly policies: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
  readonly regions: readonly string[];
  readonly json: boolean;
  readonly env?: string | undefined;
  readonly file?: string | undefined;
  readonly config?: string | undefined;
  readonly by?: string | undefined;
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

Where:
  --env NAME                    a deployed environment, in all its regions by AppConfig
                                                 (default: the registry of this machine)
  --region NAME                 only this region of it; may be given several times
  --file FILE                   another local registry         (default: .causeway/registry.json)
  --config FILE                 the config that names the regions (default: causeway.config.ts)

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
  const { values, positionals } = read(argv);
  if (values['help'] === true || argv.length === 0) return undefined;
  const [command = '', consumer = '', ...more] = positionals;
  if (!isCommand(command)) {
    throw new UsageError(
      `${command === '' ? 'there is no command' : `"${command}" is no command`}; there are ${Object.keys(COMMANDS).join(', ')}`,
    );
  }
  const spec = COMMANDS[command];
  const known: readonly string[] = [...COMMON, ...spec.options];
  const foreign = Object.keys(values).find((option) => !known.includes(option));
  if (foreign !== undefined) throw new UsageError(`\`${command}\` takes no --${foreign}`);
  if (spec.consumer === 'needed' && consumer === '') throw new UsageError(`\`${command}\` needs a consumer`);
  if (more.length > 0 || (spec.consumer === 'none' && consumer !== '')) {
    throw new UsageError(`"${more[0] ?? consumer}" is too much for \`${command}\``);
  }
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  for (const [what, id] of [
    ['the consumer', consumer === '' ? undefined : consumer],
    ['--key-id', text('key-id')],
  ] as const) {
    const problem = id === undefined ? undefined : identifier.safeParse(id).error?.issues[0]?.message;
    // Whoever mixes the arguments up may have put a key here: it is not repeated.
    if (problem !== undefined) throw new UsageError(`${what} ${problem}`);
  }
  if (text('file') !== undefined && text('env') !== undefined) {
    throw new UsageError('--file and --env are two places; give one of them');
  }
  return {
    command,
    consumer,
    policies: Object.fromEntries(
      POLICIES.flatMap((option) => {
        const value = text(option);
        return value === undefined ? [] : [[option, value]];
      }),
    ),
    unset: list(values['unset']),
    regions: list(values['region']),
    json: values['json'] === true,
    env: text('env'),
    file: text('file'),
    config: text('config'),
    by: text('by'),
    key: text('key'),
    keyId: text('key-id'),
    notAfter: text('not-after'),
    keepFor: text('keep-for'),
    from: text('from'),
  };
}

function read(argv: readonly string[]): {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
} {
  const texts = [...POLICIES, 'env', 'file', 'config', 'by', 'key', 'key-id', 'not-after', 'keep-for', 'from'];
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ...Object.fromEntries(texts.map((name) => [name, { type: 'string' as const }])),
        region: { type: 'string', multiple: true },
        unset: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split(/\.\s/)[0] ?? '');
  }
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(COMMANDS, text);
}

function list(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
