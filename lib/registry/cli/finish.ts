import { diff, type AuditRecord } from '../audit';
import type { RegistryDocument } from '../document';
import { RegistryError } from '../errors';
import { rollOutEverywhere, type Placed, type Updated } from '../everywhere';
import { timestamp } from '../time';
import type { CommonArguments } from './common-arguments';

/** What a command that changes registries needs to know of whoever runs it. */
export interface Author {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Who the audit record names, unless `--by` does. */
  readonly who: string;
}

/** The audit record of a change. */
export function record(
  { by }: CommonArguments,
  { now, who }: Author,
  what: string,
  { before, after }: { readonly before: RegistryDocument; readonly after: RegistryDocument },
): AuditRecord {
  return { when: timestamp(now), who: (by ?? who).slice(0, 128), what, changes: diff(before, after) };
}

/** Waits until the gateways have what is written, and tells of all places that do not. */
export async function finish(
  { env }: CommonArguments,
  say: (line: string) => void,
  { written, failed }: Updated,
): Promise<void> {
  const undeployed = await rollOutEverywhere(written);
  if (env !== undefined && failed.length + undeployed.length === 0) {
    for (const { store, version } of written) say(`${store.name}: version ${version ?? 0} is deployed`);
  }
  const problems = [
    ...failed.map(({ name, reason }) => `not written in ${name}: ${reason}`),
    ...undeployed.map(({ name, reason }) => `not deployed in ${name}: ${reason}`),
  ];
  if (problems.length === 0) return;
  const source = written[0]?.store.name ?? '';
  throw new RegistryError(
    `${problems.join('\n  ')}\n  written in ${named(written).map(nameOf).join(', ')}: ` +
      `\`npm run keys -- sync --env ${env ?? ''} --from ${source}\` finishes it`,
  );
}

/** Places as programs are told of them. */
export function named(placed: readonly Placed[]): readonly { readonly name: string; readonly version?: number }[] {
  return placed.map(({ store, version }) => ({ name: store.name, ...(version === undefined ? {} : { version }) }));
}

/** For lists of names. */
export function nameOf({ name }: { readonly name: string }): string {
  return name;
}

/** What `--json` prints. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
