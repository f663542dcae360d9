import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { benchPackages, ensureDebianPackages, gatewayPackages } from '../local/debian-packages';
import { runMain } from '../local/user-error';
import { usedBy } from './processes';
import { openStreams, percentile, type StreamLoad } from './streams';
import { startTargets, type Bench, type Target } from './targets';
import { load, type Load } from './wrk';

const HELP = `Measures Causeway beside a plain nginx proxy and the upstream itself, in one run.

  npm run bench -- [--rounds N] [--seconds N] [--streams 1,100,1000]

Prints a table and writes bench/results/<date>.json. Ratios are what counts: absolute figures drift with the machine.
`;

/** One round's figures of one target. */
interface Round extends Load {
  readonly cpuMicrosPerRequest: number;
  readonly rssBytes: number;
}

/** One target's figures of streams. */
interface Streams extends StreamLoad {
  readonly streams: number;
  /** Resident memory that a stream adds, in bytes. */
  readonly bytesPerStream: number;
}

type Rounds = Record<Target['name'], Record<number, Round[]>>;

const median = (values: readonly number[]): number => percentile(values, 0.5);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      streams: { type: 'string', default: '1,100,1000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  await ensureDebianPackages([...gatewayPackages, ...benchPackages]);
  const dir = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
  const bench = await startTargets(dir);
  try {
    const rounds = await loadRounds(bench, Number(values.rounds), Number(values.seconds), [32, 1]);
    const streams = await streamRounds(
      bench,
      values.streams.split(',').map(Number),
      Math.min(Number(values.rounds), 3),
    );
    const report = { date: new Date().toISOString(), commit: commit(), machine: machine(), rounds, streams };
    mkdirSync(join('bench', 'results'), { recursive: true });
    const file = join('bench', 'results', `${report.date.slice(0, 10)}.json`);
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
    process.stdout.write(`${loadTable(rounds)}\n${streamTable(streams)}\n${file}\n`);
  } finally {
    await bench.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return 0;
}

/** Rounds are interleaved, so that a machine that slows down slows all targets alike. */
async function loadRounds(
  bench: Bench,
  count: number,
  seconds: number,
  connections: readonly number[],
): Promise<Rounds> {
  const rounds: Rounds = { direct: {}, 'plain nginx': {}, causeway: {} };
  for (let round = 0; round < count; round += 1) {
    for (const number of connections) {
      for (const target of bench.targets) {
        const before = usedBy(target.pid);
        const result = await load(target.url, bench.key, number, seconds);
        const after = usedBy(target.pid);
        (rounds[target.name][number] ??= []).push({
          ...result,
          cpuMicrosPerRequest: ((after.cpuSeconds - before.cpuSeconds) / result.requests) * 1e6,
          rssBytes: after.rssBytes,
        });
        process.stderr.write('.');
      }
    }
  }
  process.stderr.write('\n');
  return rounds;
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
          chunks: 5,
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

function loadTable(rounds: Rounds): string {
  const rows = [
    ['connections', 'target', 'requests/s', 'to plain', 'p50 ms', 'p99 ms', 'CPU us/request', 'RSS MB', 'errors'],
  ];
  for (const number of Object.keys(rounds.causeway)
    .map(Number)
    .sort((a, b) => b - a)) {
    const plain = median((rounds['plain nginx'][number] ?? []).map((round) => round.requestsPerSecond));
    for (const [name, byConnections] of Object.entries(rounds)) {
      const all = byConnections[number] ?? [];
      const of = (pick: (round: Round) => number): number => median(all.map(pick));
      const rate = of((round) => round.requestsPerSecond);
      rows.push([
        String(number),
        name,
        rate.toFixed(0),
        `${((rate / plain) * 100).toFixed(0)} %`,
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
        // The first rounds grow the heap, the later ones reuse it: the largest is what a stream costs.
        (Math.max(...all.filter(({ streams }) => streams === number).map((one) => one.bytesPerStream)) / 1024).toFixed(
          1,
        ),
      ]);
    }
  }
  return align(rows);
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return `${rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n')}\n`;
}

function commit(): string {
  return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
}

function machine(): Record<string, string | number> {
  const list = cpus();
  return { cpu: list[0]?.model ?? 'unknown', cores: list.length, memoryBytes: totalmem(), node: process.version };
}

runMain(main);
