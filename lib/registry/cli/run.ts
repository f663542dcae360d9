import type { AuditRecord } from '../audit';
import {
  addConsumer,
  addKey,
  consumerOf,
  revokeConsumer,
  revokeKey,
  rotateKey,
  setPolicies,
  type NewKey,
  type Outcome,
} from '../commands';
import { createKey, hashKey, type Purges, type RegisteredConsumer, type RegistryDocument } from '../document';
import { RegistryError, UsageError } from '../errors';
import { differences, readEverywhere, updateEverywhere, type Placed, type Updated } from '../everywhere';
import { readPolicies } from '../policies';
import { createWord, mergePurges } from '../purges';
import { keyState, renderConsumer, renderHistory, renderList } from '../render';
import type { RegistryStore } from '../store';
import { parseDuration, parseEnd, timestamp } from '../time';
import { HELP, parseKeysArguments, type KeysArguments } from './arguments';
import { finish, json, named, nameOf, record, type Author } from './finish';

/** What {@link runKeys} needs of the world. */
export interface KeysContext extends Author {
  readonly places: (args: KeysArguments) => readonly RegistryStore[];
  readonly print: (text: string) => void;
  /** For what is no result: progress and warnings. */
  readonly say: (line: string) => void;
  /** @default createKey */
  readonly createKey?: () => string;
}

/**
 * Runs `npm run keys -- …`.
 *
 * @throws RegistryError with one message where it cannot be done, in whole or in part
 */
export async function runKeys(argv: readonly string[], context: KeysContext): Promise<void> {
  const args = parseKeysArguments(argv);
  if (args === undefined) {
    context.print(HELP);
    return;
  }
  switch (args.command) {
    case 'list':
    case 'show':
      return look(args, context);
    case 'history':
      return history(args, context);
    case 'sync':
      return sync(args, context);
    default:
      return change(args, context);
  }
}

async function look(args: KeysArguments, { places, print, say, now }: KeysContext): Promise<void> {
  const placed = await readEverywhere(places(args));
  for (const { name, changes } of differences(placed)) {
    say(`${name} differs in ${changes.map(({ member }) => member).join(', ')}: \`sync --from <region>\` mends that`);
  }
  const [first] = placed;
  if (first === undefined) return;
  const { document } = first;
  if (args.command === 'show') {
    const consumer = consumerOf(document, args.consumer);
    print(args.json ? json(shown(consumer, now)) : renderConsumer(consumer, now));
  } else {
    const consumers = document.consumers.map((consumer) => shown(consumer, now));
    print(args.json ? json({ consumers, places: named(placed) }) : renderList(document.consumers, now));
  }
}

async function history(args: KeysArguments, { places, print }: KeysContext): Promise<void> {
  const stores = places(args);
  const all = await Promise.all(stores.map(async (store) => ({ place: store.name, records: await store.history() })));
  const wanted = all.map(({ place, records }) => ({ place, records: records.filter((each) => isAbout(each, args)) }));
  if (args.json) {
    print(json(wanted));
    return;
  }
  for (const { place, records } of wanted) {
    if (wanted.length > 1) print(`${place}\n`);
    print(records.length === 0 ? 'There are no records.\n' : renderHistory(records));
  }
}

function isAbout({ what, changes }: AuditRecord, { consumer }: KeysArguments): boolean {
  return (
    consumer === '' ||
    what.split(' ').includes(consumer) ||
    changes.some(({ member }) => member.startsWith(`${consumer}.`))
  );
}

async function sync(args: KeysArguments, context: KeysContext): Promise<void> {
  const stores = context.places(args);
  const source = await rightOne(stores, args);
  const purges = mergePurges(await purgesOf(stores));
  const written: Placed[] = [];
  const failed: { name: string; reason: string }[] = [];
  // The right one first, which may lack a purge itself.
  for (const store of [source.store, ...stores.filter((each) => each !== source.store)]) {
    try {
      const stored = await store.update(
        (before) => {
          const right = store === source.store ? before : source.document;
          const after = withPurges(right, mergePurges([purges, before.purges]));
          return { document: after, record: record(args, context, what(args), { before, after }) };
        },
        { overBroken: args.from !== undefined },
      );
      written.push({ store, ...stored });
    } catch (error) {
      failed.push({ name: store.name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  await finish(args, context.say, { written, failed });
  context.print(
    args.json ? json({ places: named(written) }) : 'All places have the same registry, and it is in use.\n',
  );
}

/** The purges of all places that can be read. */
async function purgesOf(stores: readonly RegistryStore[]): Promise<(Purges | undefined)[]> {
  const read = await Promise.allSettled(stores.map((store) => store.read()));
  return read.map((each) => (each.status === 'fulfilled' ? each.value.document.purges : undefined));
}

function withPurges({ version, consumers }: RegistryDocument, purges: Purges | undefined): RegistryDocument {
  return { version, consumers, ...(purges === undefined ? {} : { purges }) };
}

/** The place that the others are made the same as: the one that is named, or any where none differs. */
async function rightOne(stores: readonly RegistryStore[], { from }: KeysArguments): Promise<Placed> {
  const store = from === undefined ? stores[0] : stores.find(({ name }) => name === from);
  if (store === undefined) {
    throw new UsageError(`--from is "${from ?? ''}"; must be one of ${stores.map(nameOf).join(', ')}`);
  }
  const placed = await readEverywhere(from === undefined ? stores : [store]);
  const [first] = placed;
  const [different] = differences(placed);
  if (first === undefined || different !== undefined) {
    throw new RegistryError(
      `${store.name} and ${different?.name ?? 'others'} differ: say by --from which of them is right (\`history\` tells how it came)`,
    );
  }
  return first;
}

async function change(args: KeysArguments, context: KeysContext): Promise<void> {
  const { apply, secret } = command(args, context);
  const done: { outcome?: Outcome; changed: boolean } = { changed: false };
  const updated = await updateEverywhere(
    context.places(args),
    (document) => {
      const outcome = apply(document);
      const made = record(args, context, what(args), { before: document, after: outcome.document });
      done.outcome = outcome;
      done.changed ||= made.changes.length > 0;
      return { document: outcome.document, record: made };
    },
    { tolerateAbsent: args.command === 'revoke' },
  );
  // Before anything else can go wrong: nobody will ever see the key again.
  context.print(
    args.json
      ? json(result(args, context, done.outcome, secret, updated))
      : done.changed
        ? tell(args, context, done.outcome, secret)
        : `Nothing is changed: consumer "${args.consumer}" is so already.\n`,
  );
  await finish(args, context.say, updated);
}

/** The command as a function of a registry, with all that it is given fixed: it may be applied more than once. */
function command(
  args: KeysArguments,
  context: KeysContext,
): { readonly apply: (document: RegistryDocument) => Outcome; readonly secret?: string } {
  const { consumer: id, key: keyId } = args;
  const { now } = context;
  const policies = readPolicies(args.policies, args.unset);
  if (args.command === 'set') {
    if (policies.set.size + policies.unset.size === 0) throw new UsageError('`set` needs a policy, such as --rate 5');
    return { apply: (document) => setPolicies(document, { id, policies }) };
  }
  if (args.command === 'revoke') {
    const word = createWord(now);
    return {
      apply: (document) =>
        keyId === undefined ? revokeConsumer(document, { id, word }) : revokeKey(document, { id, keyId }),
    };
  }
  const end = args.notAfter === undefined ? undefined : parseEnd(args.notAfter, '--not-after', now);
  const secret = (context.createKey ?? createKey)();
  const key: NewKey = {
    sha256: hashKey(secret),
    ...(args.keyId === undefined ? {} : { id: args.keyId }),
    ...(end === undefined ? {} : { notAfter: timestamp(end) }),
  };
  switch (args.command) {
    case 'add':
      return { secret, apply: (document) => addConsumer(document, { id, key, policies }) };
    case 'rotate': {
      const keepSeconds = parseDuration(args.keepFor ?? '24h', '--keep-for');
      const rotation = { id, key, keepSeconds, now, ...(keyId === undefined ? {} : { keyId }) };
      return { secret, apply: (document) => rotateKey(document, rotation) };
    }
    default:
      return { secret, apply: (document) => addKey(document, { id, key }) };
  }
}

/** A command's name, and whom or what it is about, as the audit record has them. */
function what({ command: name, consumer, from = '' }: KeysArguments): string {
  return [name, consumer === '' ? from : consumer].filter(Boolean).join(' ');
}

/** What came of a change, for people. */
function tell(
  { consumer: id, key: keyId, command: name }: KeysArguments,
  { now }: KeysContext,
  outcome: Outcome | undefined,
  secret: string | undefined,
): string {
  if (secret !== undefined && outcome?.key !== undefined) {
    const { key, replaced, consumer } = outcome;
    const old =
      replaced === undefined
        ? ''
        : consumer?.keys.some((each) => each.id === replaced.id) === true
          ? `Key "${replaced.id}" is ${keyState(replaced, now)}.\n`
          : `Key "${replaced.id}" is revoked.\n`;
    return (
      `Consumer "${id}" has a new key "${key.id}", ${keyState(key, now)}. It is shown this once:\n\n` +
      `  ${secret}\n\n${old}`
    );
  }
  if (name === 'revoke') {
    return keyId === undefined
      ? `Consumer "${id}" is revoked: all its keys, policies and stored answers are gone.\n`
      : `Key "${keyId}" of consumer "${id}" is revoked.\n`;
  }
  return `Consumer "${id}" is changed.\n`;
}

/** The same for programs. */
function result(
  args: KeysArguments,
  { now }: KeysContext,
  outcome: Outcome | undefined,
  secret: string | undefined,
  { written, failed }: Updated,
): unknown {
  const { consumer, key } = outcome ?? {};
  return {
    command: args.command,
    ...(consumer === undefined ? {} : { consumer: shown(consumer, now) }),
    ...(key === undefined || secret === undefined
      ? {}
      : { key: { id: key.id, secret, notAfter: key.notAfter ?? null } }),
    places: named(written),
    failed,
  };
}

/** A consumer without hashes. */
function shown({ keys, ...consumer }: RegisteredConsumer, now: number): unknown {
  return {
    ...consumer,
    keys: keys.map((key) => ({ id: key.id, notAfter: key.notAfter ?? null, state: keyState(key, now) })),
  };
}
