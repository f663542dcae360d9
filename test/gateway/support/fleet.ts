import { dirname, join } from 'node:path';

import { startValkey, type ValkeyProcess } from '../../../local/valkey-process';
import { eventually, type TestGateway } from '../harness';

/** Round trips for limits that a Valkey saw so far: one a script. A node that waits says in the same that it lives. */
export async function roundTrips(valkey: ValkeyProcess): Promise<number> {
  const stats = String(await valkey.command('INFO', 'commandstats'));
  return [...stats.matchAll(/^cmdstat_(evalsha|eval):calls=(\d+)/gm)].reduce(
    (sum, [, , calls]) => sum + Number(calls),
    0,
  );
}

/** Waits until all nodes know of each other and share their limits. */
export async function fleetIs(nodes: readonly TestGateway[], count = nodes.length): Promise<void> {
  await Promise.all(nodes.map((node) => gaugeSays(node, { FleetNodes: count, FleetDegraded: 0 })));
}

/**
 * Waits until a node's newest gauges say so.
 *
 * @throws Error with what they said last, and with the end of the node's error log
 */
export async function gaugeSays(node: TestGateway, expected: Readonly<Record<string, number>>): Promise<void> {
  const names = Object.keys(expected);
  const newest = (): Record<string, unknown> | undefined =>
    node.lines().findLast((line) => names.every((name) => name in line));
  try {
    await eventually(() => {
      const line = newest();
      return names.every((name) => line?.[name] === expected[name]) ? true : undefined;
    }, 20_000);
  } catch {
    const log = node.errorLog().trimEnd().split('\n').slice(-20).join('\n');
    throw new Error(`the gauges do not say ${JSON.stringify(expected)} but ${JSON.stringify(newest())}\n${log}`);
  }
}

/** Starts a Valkey that was killed anew, empty, at its old address. */
export function revive(killed: ValkeyProcess): Promise<ValkeyProcess> {
  if (!('port' in killed.address)) throw new Error('it has no port');
  const { password } = killed;
  return startValkey({
    dir: join(dirname(killed.logFile), 'revived'),
    port: killed.address.port,
    ...(password === undefined ? {} : { password }),
  });
}
