import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { benchPackages, ensureDebianPackages, gatewayPackages } from '../local/debian-packages';
import { runMain } from '../local/user-error';
import { faultRounds, faultTable } from './faults';
import { faultGoalsOf, goalsOf, goalTable, memoryOfStream, type Streams } from './goals';
import { usedBy } from './processes';
import { align, loadRounds, loadTable, median } from './rounds';
import { sharedRounds, sharedTables } from './shared';
import { openStreams } from './streams';
import { startTargets, type Bench } from './targets';

const HELP = `Measures Causeway beside a plain nginx proxy and the upstream itself, in one run.

  npm run bench -- [--rounds N] [--seconds N] [--streams 1,100,1000]
  npm run bench -- --faults [--rounds N] [--seconds N]   what a Valkey that fails adds to the time of a request

Prints tables, what has a goal in the last, and writes bench/results/<date>.json (<date>-faults.json). Ratios are what
counts: absolute figures drift with the machine. docs/performance.md says what bounds each.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      seconds: { type: 'string', default: '1' },
      streams: { type: 'string', default: '1,100,1000' },
      faults: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  await ensureDebianPackages([...gatewayPackages, ...benchPackages]);
  const dir = mkdtempSync(join(filesIn(), 'causeway-bench-'));
  const bench = await startTargets(dir);
  try {
    if (values.faults) {
      const faults = await faultRounds(dir, bench, Number(values.rounds), Number(values.seconds));
      const file = writeReport('-faults', { faults });
      process.stdout.write(`${faultTable(faults)}\n${goalTable(faultGoalsOf(faults))}\n${file}\n`);
      return 0;
    }
    const rounds = await loadRounds(bench.targets, bench.key, Number(values.rounds), Number(values.seconds), [32, 1]);
    const streams = await streamRounds(
      bench,
      values.streams.split(',').map(Number),
      Math.min(Number(values.rounds), 3),
    );
    const shared = await sharedRounds(dir, bench, Number(values.rounds), Number(values.seconds));
    const file = writeReport('', { rounds, streams, shared });
    const tables = [loadTable(rounds, 'plain nginx'), streamTable(streams), sharedTables(shared)];
    process.stdout.write(`${[...tables, goalTable(goalsOf({ rounds, streams, shared }))].join('\n')}\n${file}\n`);
  } finally {
    await bench.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return 0;
}

/** Files in memory, as systemd has them on every Linux (file-hierarchy(7)). */
const MEMORY = '/dev/shm';
/** What a round writes at most, and some room beside it. */
const ENOUGH_BYTES = 1024 ** 3;

/**
 * Where the servers' files and logs go: into memory, where there is some. All of them write a log, and a disk that is
 * slow for a moment is no part of what is compared.
 */
function filesIn(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize > ENOUGH_BYTES ? MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** Writes figures to the day's file, with what they were measured on, and returns its path. */
function writeReport(suffix: string, figures: object): string {
  const date = new Date().toISOString();
  mkdirSync(join('bench', 'results'), { recursive: true });
  const file = join('bench', 'results', `${date.slice(0, 10)}${suffix}.json`);
  const report = { date, commit: commit(), machine: machine(), ...figures };
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}

async function streamRounds(
  bench: Bench,
  numbers: readonly number[],
  count: number,
): Promise<Record<string, Streams[]>> {
  const results: Record<string, Streams[]> = {};
  for (const streams of numbers) {
    for (let round = 0; round < count; round += 1) {
      for (const target of bench.targets) {
        const before = usedBy(target.pid).rssBytes;
        let open = before;
        const seen = await openStreams({
          url: target.url,
          key: bench.key,
          ca: bench.ca,
          streams,
          chunks: 6,
          pauseSeconds: streams > 100 ? 2 : 0.5,
          whileOpen: () => {
            open = usedBy(target.pid).rssBytes;
          },
        });
        (results[target.name] ??= []).push({ ...seen, streams, bytesPerStream: (open - before) / streams });
        process.stderr.write('.');
      }
    }
  }
  process.stderr.write('\n');
  return results;
}

function streamTable(results: Record<string, Streams[]>): string {
  const rows = [
    [
      'streams',
      'target',
      'ramp first byte p50 ms',
      'first byte p50 ms',
      'p99 ms',
      'chunk p50 ms',
      'p99 ms',
      'KB/stream',
    ],
  ];
  const numbers = [...new Set(Object.values(results).flatMap((all) => all.map(({ streams }) => streams)))];
  for (const number of numbers) {
    for (const [name, all] of Object.entries(results)) {
      const of = (pick: (one: Streams) => number): number =>
        median(all.filter(({ streams }) => streams === number).map(pick));
      rows.push([
        String(number),
        name,
        of((one) => one.rampFirstByteP50Ms).toFixed(2),
        of((one) => one.firstByteP50Ms).toFixed(2),
        of((one) => one.firstByteP99Ms).toFixed(2),
        of((one) => one.chunkP50Ms).toFixed(2),
        of((one) => one.chunkP99Ms).toFixed(2),
        (memoryOfStream(all.filter(({ streams }) => streams === number)) / 1024).toFixed(1),
      ]);
    }
  }
  return align(rows);
}

function commit(): string {
  return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
}

function machine(): Record<string, string | number> {
  const list = cpus();
  return { cpu: list[0]?.model ?? 'unknown', cores: list.length, memoryBytes: totalmem(), node: process.version };
}

runMain(main);
