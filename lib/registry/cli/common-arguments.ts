import { parseArgs } from 'node:util';
import { UsageError } from '../errors';
import { identifier } from '../schema';

/** What every command on a registry can be told. */
export interface CommonArguments {
  readonly regions: readonly string[];
  readonly json: boolean;
  readonly env?: string | undefined;
  readonly file?: string | undefined;
  readonly config?: string | undefined;
  readonly by?: string | undefined;
}

/** The options behind {@link CommonArguments}, and the one that asks for help. */
export const COMMON_OPTIONS = ['env', 'region', 'file', 'config', 'json', 'by', 'help'] as const;

/** What a help text says of the places. */
export const HELP_PLACES = `Where:
  --env NAME                    a deployed environment, in all its regions by AppConfig
                                                 (default: the registry of this machine)
  --region NAME                 only this region of it; may be given several times
  --file FILE                   another local registry         (default: .causeway/registry.json)
  --config FILE                 the config that names the regions (default: causeway.config.ts)
`;

/** A command line, split. */
export interface Words {
  readonly positionals: readonly string[];
  readonly given: readonly string[];
  /** An option's value, if it is given. */
  readonly text: (option: string) => string | undefined;
  readonly list: (option: string) => readonly string[];
  readonly flag: (option: string) => boolean;
}

/**
 * Splits a command line.
 *
 * @param own - options beside the common ones: those with a value, and those that may come several times
 * @throws UsageError for an option that there is not
 */
export function readWords(
  argv: readonly string[],
  own: { readonly texts: readonly string[]; readonly lists: readonly string[] },
): Words {
  const { values, positionals } = split(argv, own);
  const text = (option: string): string | undefined => {
    const value = values[option];
    return typeof value === 'string' ? value : undefined;
  };
  const list = (option: string): readonly string[] => {
    const value = values[option];
    return Array.isArray(value) ? value.map(String) : [];
  };
  return { positionals, given: Object.keys(values), text, list, flag: (option) => values[option] === true };
}

function split(
  argv: readonly string[],
  { texts, lists }: { readonly texts: readonly string[]; readonly lists: readonly string[] },
): { readonly values: Readonly<Record<string, unknown>>; readonly positionals: readonly string[] } {
  const all = <T extends object>(names: readonly string[], option: T): Record<string, T> =>
    Object.fromEntries(names.map((name) => [name, option]));
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ...all(['env', 'file', 'config', 'by', ...texts], { type: 'string' as const }),
        ...all(['region', ...lists], { type: 'string' as const, multiple: true }),
        ...all(['json', 'help'], { type: 'boolean' as const }),
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split(/\.\s/)[0] ?? '');
  }
}

/**
 * The common options' values.
 *
 * @throws UsageError where two of them contradict each other
 */
export function commonArguments({ text, list, flag }: Words): CommonArguments {
  if (text('file') !== undefined && text('env') !== undefined) {
    throw new UsageError('--file and --env are two places; give one of them');
  }
  return {
    regions: list('region'),
    json: flag('json'),
    env: text('env'),
    file: text('file'),
    config: text('config'),
    by: text('by'),
  };
}

/** Refuses a name that is none. Whoever mixes the arguments up may have put a key here: it is not repeated. */
export function checkIdentifier(what: string, id: string | undefined): void {
  const problem = id === undefined ? undefined : identifier.safeParse(id).error?.issues[0]?.message;
  if (problem !== undefined) throw new UsageError(`${what} ${problem}`);
}
