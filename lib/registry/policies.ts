import type { RegisteredConsumer } from './document';
import { RegistryError } from './errors';
import { POLICY_SCHEMAS, type PolicyPath } from './schema';

type Reading = 'number' | 'size' | 'list' | 'text' | 'boolean';

/** An option that sets one policy of a consumer. */
export interface PolicyOption {
  readonly path: PolicyPath;
  readonly reading: Reading;
  /** For `--help`. */
  readonly value: string;
  readonly help: string;
}

/** The options by name, without dashes. */
export const POLICY_OPTIONS: Readonly<Record<string, PolicyOption>> = {
  rate: { path: 'rate', reading: 'number', value: 'N', help: 'requests per second' },
  burst: { path: 'burst', reading: 'number', value: 'N', help: 'requests above the rate that are let through at once' },
  concurrency: { path: 'concurrency', reading: 'number', value: 'N', help: 'requests in flight at a time' },
  'max-streams': { path: 'maxStreams', reading: 'number', value: 'N', help: 'streams open at a time' },
  'max-body': { path: 'maxBodyBytes', reading: 'size', value: 'SIZE', help: 'largest body: bytes, or such as 10MiB' },
  models: { path: 'models', reading: 'list', value: 'A,B*', help: 'models it may use; * at the end: anything' },
  routes: { path: 'routes', reading: 'list', value: 'A,B', help: 'route classes it may use' },
  'input-tokens-per-minute': {
    path: 'tokenBudget.inputPerMinute',
    reading: 'number',
    value: 'N',
    help: 'budget of input tokens',
  },
  'output-tokens-per-minute': {
    path: 'tokenBudget.outputPerMinute',
    reading: 'number',
    value: 'N',
    help: 'budget of output tokens',
  },
  cache: { path: 'cache.mode', reading: 'text', value: 'MODE', help: 'off, fresh or outage' },
  'cache-max-age': {
    path: 'cache.maxAgeSeconds',
    reading: 'number',
    value: 'N',
    help: 'oldest stored answer, seconds',
  },
  'upstream-credential': {
    path: 'upstreamCredential',
    reading: 'text',
    value: 'NAME',
    help: 'the upstream credential that its requests carry',
  },
  disabled: { path: 'disabled', reading: 'boolean', value: 'true|false', help: 'whether all its keys are refused' },
};

/** What is to become of a consumer's policies. */
export interface PolicyEdit {
  readonly set: ReadonlyMap<PolicyPath, unknown>;
  /** Back to the default of the gateway's config. */
  readonly unset: ReadonlySet<PolicyPath>;
}

/**
 * Reads policies from the command line.
 *
 * @param given - values by option
 * @param unset - options whose policies go back to the default
 * @throws RegistryError that names the option and what it takes
 */
export function readPolicies(given: Readonly<Record<string, string>>, unset: readonly string[]): PolicyEdit {
  const set = new Map<PolicyPath, unknown>();
  for (const [option, text] of Object.entries(given)) {
    const policy = POLICY_OPTIONS[option];
    if (policy === undefined) throw new RegistryError(`--${option} is no policy`);
    const parsed = POLICY_SCHEMAS[policy.path].safeParse(readValue(policy.reading, text));
    if (!parsed.success) {
      const shown = policy.path === 'upstreamCredential' ? '' : ` is "${text.slice(0, 80)}";`;
      const units = policy.reading === 'size' ? ', or such as 10MiB' : '';
      throw new RegistryError(`--${option}${shown} ${parsed.error.issues[0]?.message ?? 'is wrong'}${units}`);
    }
    set.set(policy.path, parsed.data);
  }
  return { set, unset: new Set(unset.map((option) => unsetPath(option, given))) };
}

function unsetPath(option: string, given: Readonly<Record<string, string>>): PolicyPath {
  const policy = POLICY_OPTIONS[option];
  if (policy === undefined) {
    throw new RegistryError(`--unset is "${option}"; must be one of ${Object.keys(POLICY_OPTIONS).join(', ')}`);
  }
  if (option in given) throw new RegistryError(`--${option} is both set and unset; give one of the two`);
  return policy.path;
}

/** A value as the schema wants it, or the text where it cannot be one. */
function readValue(reading: Reading, text: string): unknown {
  switch (reading) {
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case 'size':
      return readSize(text);
    case 'list':
      return text
        .split(',')
        .map((element) => element.trim())
        .filter((element) => element !== '');
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'text':
      return text;
  }
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function readSize(text: string): unknown {
  const match = /^(\d+)([KMG]iB)?$/.exec(text);
  return match === null ? text : Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? 1);
}

/** A consumer with other policies. Members that hold nothing any more are left out. */
export function applyPolicies(consumer: RegisteredConsumer, { set, unset }: PolicyEdit): RegisteredConsumer {
  const edits: [PolicyPath, unknown][] = [
    ...[...unset].map((path): [PolicyPath, unknown] => [path, undefined]),
    ...set,
  ];
  const next = edits.reduce<object>((object, [path, value]) => {
    const [member = '', inside] = path.split('.');
    if (inside === undefined) return withMember(object, member, value);
    const whole = withMember((object as Record<string, object | undefined>)[member] ?? {}, inside, value);
    return withMember(object, member, Object.keys(whole).length === 0 ? undefined : whole);
  }, consumer);
  // Each value has been held against the schema of its member, and the whole is again before it is written.
  return next as RegisteredConsumer;
}

function withMember(object: object, name: string, value: unknown): object {
  const others = Object.entries(object).filter(([each]) => each !== name);
  return Object.fromEntries(value === undefined ? others : [...others, [name, value]]);
}
