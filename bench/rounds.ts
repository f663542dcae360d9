import { truncateSync } from 'node:fs';

import { percentile } from './streams';
import { usedBy } from './processes';
import { load, type Load, type Shot } from './wrk';

/** One thing that is measured. */
export interface Target {
  readonly name: string;
  readonly url: string;
  /** Pid of its nginx master. */
  readonly pid: number;
  /** What is sent. @default 1 KB POSTs to /v1/messages */
  readonly shot?: Shot;
  /** File of its log, a line a request; emptied after each round. @default it writes none */
  readonly log?: string;
}

/** One round's figures of one target. */
export interface Round extends Load {
  readonly cpuMicrosPerRequest: number;
  readonly rssBytes: number;
}

/** Rounds by target and number of connections. */
export type Rounds = Readonly<Record<string, Readonly<Record<number, readonly Round[]>>>>;

/** The value in the middle. */
export const median = (values: readonly number[]): number => percentile(values, 0.5);

/**
 * How many requests a second a target served, of those that another one did: the middle of what each round came to. The
 * speed of a machine that others share changes from one second to the next, by half and more; within a round it mostly
 * does not.
 */
export function shareOf(rounds: Rounds, connections: number, name: string, base: string): number {
  const [own = [], others = []] = [rounds[name]?.[connections], rounds[base]?.[connections]];
  return median(own.map((round, index) => round.requestsPerSecond / (others[index]?.requestsPerSecond ?? NaN)));
}

/** Loads all targets in turn, so that a machine that slows down slows all of them alike. */
export async function loadRounds(
  targets: readonly Target[],
  key: string,
  count: number,
  seconds: number,
  connections: readonly number[],
): Promise<Rounds> {
  const rounds: Record<string, Record<number, Round[]>> = {};
  for (let round = 0; round < count; round += 1) {
    for (const number of connections) {
      for (const target of targets) {
        const before = usedBy(target.pid);
        const result = await load(target.url, key, number, seconds, target.shot);
        const after = usedBy(target.pid);
        ((rounds[target.name] ??= {})[number] ??= []).push({
          ...result,
          cpuMicrosPerRequest: ((after.cpuSeconds - before.cpuSeconds) / result.requests) * 1e6,
          rssBytes: after.rssBytes,
        });
        if (target.log !== undefined) truncateSync(target.log);
        process.stderr.write('.');
      }
    }
  }
  process.stderr.write('\n');
  return rounds;
}

/** A table of rounds, each target beside one of them. */
export function loadTable(rounds: Rounds, base: string): string {
  const rows = [
    ['connections', 'target', 'requests/s', `to ${base}`, 'p50 ms', 'p99 ms', 'CPU us/request', 'RSS MB', 'errors'],
  ];
  const numbers = Object.keys(rounds[base] ?? {}).map(Number);
  for (const number of numbers.sort((a, b) => b - a)) {
    for (const [name, byConnections] of Object.entries(rounds)) {
      const all = byConnections[number] ?? [];
      const of = (pick: (round: Round) => number): number => median(all.map(pick));
      const rate = of((round) => round.requestsPerSecond);
      rows.push([
        String(number),
        name,
        rate.toFixed(0),
        `${(shareOf(rounds, number, name, base) * 100).toFixed(0)} %`,
        of((round) => round.p50Ms).toFixed(3),
        of((round) => round.p99Ms).toFixed(2),
        of((round) => round.cpuMicrosPerRequest).toFixed(1),
        (of((round) => round.rssBytes) / 1e6).toFixed(0),
        String(all.reduce((sum, round) => sum + round.errors, 0)),
      ]);
    }
  }
  return align(rows);
}

/** Columns of text, flush right. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return `${rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n')}\n`;
}
