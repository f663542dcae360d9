import type { Environment } from '../../config';
import { registryRollout } from '../../config/aws-limits';
import type { Purges, RegistryDocument } from '../document';
import { readEverywhere, updateEverywhere } from '../everywhere';
import { assertPurgeable, createWord, purgeAll, purgeConsumer, timeOf } from '../purges';
import { renderColumns } from '../render';
import type { RegistryStore } from '../store';
import { timestamp } from '../time';
import { HELP, parseCacheArguments, type CacheArguments } from './cache-arguments';
import { finish, json, named, record, type Author } from './finish';

/** What {@link runCache} needs of the world. */
export interface CacheContext extends Author {
  readonly places: (args: CacheArguments) => readonly RegistryStore[];
  /** The deployed environment that is meant; none is this machine. */
  readonly environment: (args: CacheArguments) => Environment | undefined;
  readonly print: (text: string) => void;
  /** For what is no result: progress and warnings. */
  readonly say: (line: string) => void;
}

/**
 * Runs `npm run cache -- …`.
 *
 * @throws RegistryError with one message where it cannot be done, in whole or in part
 */
export async function runCache(argv: readonly string[], context: CacheContext): Promise<void> {
  const args = parseCacheArguments(argv);
  if (args === undefined) {
    context.print(HELP);
    return;
  }
  await (args.command === 'purge' ? purge(args, context) : show(args, context));
}

async function purge(args: CacheArguments, context: CacheContext): Promise<void> {
  const { consumer } = args;
  // One word for all places, however often the change is made anew.
  const word = createWord(context.now);
  const what = consumer === undefined ? 'purge' : `purge ${consumer}`;
  let everybody = consumer === undefined;
  const change = (before: RegistryDocument): RegistryDocument => {
    if (consumer === undefined) return purgeAll(before, word);
    assertPurgeable(before, consumer);
    const after = purgeConsumer(before, { id: consumer, word });
    everybody ||= after.purges?.consumers?.[consumer] === undefined;
    return after;
  };
  // As a revocation it goes on wherever there is something to purge.
  const updated = await updateEverywhere(
    context.places(args),
    (before) => {
      const after = change(before);
      return { document: after, record: record(args, context, what, { before, after }) };
    },
    { tolerateAbsent: true },
  );
  await finish(args, context.say, updated);
  const environment = context.environment(args);
  if (args.json) {
    context.print(
      json({
        command: 'purge',
        consumer: everybody ? null : consumer,
        at: timestamp(context.now),
        places: named(updated.written),
        ...(environment === undefined ? {} : bounds(environment)),
      }),
    );
    return;
  }
  const whose = everybody ? 'All stored answers' : `All stored answers of consumer "${consumer}"`;
  const why = everybody && consumer !== undefined ? ': more consumers were purged one by one than are remembered' : '';
  context.print(`${whose} are purged${why}.\n${environment === undefined ? LOCALLY : when(environment)}`);
}

const LOCALLY = 'The gateways that read this registry see it within auth.pollSeconds (2 s by default).\n';

/** Within how many seconds what is purged is gone from where. */
function bounds(environment: Environment): {
  readonly gatewaySeconds: number;
  readonly edgeSeconds: number;
  readonly clientSeconds: number;
} {
  const { cache, edge } = environment;
  return {
    gatewaySeconds: registryRollout(environment).boundSeconds,
    edgeSeconds: edge.enabled ? cache.ttl.edgeSeconds : 0,
    clientSeconds: cache.ttl.clientSeconds,
  };
}

function when(environment: Environment): string {
  const { gatewaySeconds, edgeSeconds, clientSeconds } = bounds(environment);
  const later = [
    ...(edgeSeconds === 0
      ? []
      : [`CloudFront may serve what it has for cache.ttl.edgeSeconds (${edgeSeconds} s) more`]),
    ...(clientSeconds === 0
      ? []
      : [`a client may use what it keeps for cache.ttl.clientSeconds (${clientSeconds} s) more`]),
  ];
  return (
    `Each gateway knows it ${gatewaySeconds} s after the deployment of its region began, at the latest.\n` +
    (later.length === 0 ? '' : `After that, ${later.join(', and ')}.\n`)
  );
}

async function show(args: CacheArguments, { places, print }: CacheContext): Promise<void> {
  const placed = await readEverywhere(places(args));
  const all = placed.map(({ store, document: { purges } }) => ({ place: store.name, purges: listed(purges) }));
  if (args.json) {
    print(json(all));
    return;
  }
  for (const { place, purges } of all) {
    if (all.length > 1) print(`${place}\n`);
    print(purges.length === 0 ? 'There was no purge.\n' : renderColumns([['PURGED', 'AT'], ...purges.map(cells)]));
  }
}

interface Purge {
  /** null: everybody's answers. */
  readonly consumer: string | null;
  readonly at: string;
}

/** All purges that the registry remembers, the latest first. */
function listed({ all, consumers = {} }: Purges = {}): readonly Purge[] {
  const words: readonly (readonly [string | null, string])[] = [
    ...(all === undefined ? [] : [[null, all] as const]),
    ...Object.entries(consumers),
  ];
  return [...words]
    .sort(([, one], [, other]) => (one < other ? 1 : -1))
    .map(([consumer, word]) => ({ consumer, at: timestamp(timeOf(word)) }));
}

function cells({ consumer, at }: Purge): string[] {
  return [consumer ?? 'all', at];
}
