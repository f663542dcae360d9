import type { FaultFigures } from './faults';
import { align, median, shareOf, type Rounds } from './rounds';
import type { Shared } from './shared';
import type { StreamLoad } from './streams';

/** One target's figures of streams. */
export interface Streams extends StreamLoad {
  readonly streams: number;
  /** Resident memory that a stream adds, in bytes. */
  readonly bytesPerStream: number;
}

/** What `bench/results/<date>.json` holds of a run of `npm run bench`. */
export interface Figures {
  readonly rounds: Rounds;
  readonly streams: Readonly<Record<string, readonly Streams[]>>;
  readonly shared: Shared;
}

/** What a figure came to, beside what it is meant to be. */
export interface Goal {
  readonly figure: string;
  readonly measured: string;
  readonly goal: string;
  readonly met: boolean;
}

const OURS = 'causeway';
const PLAIN = 'plain nginx';

/** The middle of a target's rounds at so many connections. */
function middleOf(
  rounds: Rounds,
  name: string,
  connections: number,
  pick: (round: Rounds[string][number][number]) => number,
): number {
  return median((rounds[name]?.[connections] ?? []).map(pick));
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const rounded = (value: number): number => Math.round(value * 100) / 100;
const ms = (value: number): string => `${rounded(value) < 0 ? '-' : '+'}${Math.abs(rounded(value)).toFixed(2)} ms`;

/** What a stream costs, in bytes: the first rounds grow the heap, the later ones reuse it, so the largest is it. */
export function memoryOfStream(rounds: readonly Streams[]): number {
  return Math.max(...rounds.map((one) => one.bytesPerStream));
}

/** The figures that have a goal. Each is judged as it is shown: rounded. */
export function goalsOf({ rounds, streams, shared }: Figures): readonly Goal[] {
  const at = (number: number, name: string): readonly Streams[] =>
    (streams[name] ?? []).filter((one) => one.streams === number);
  const most = Math.max(...(streams[OURS] ?? []).map((one) => one.streams));
  const firstByte = (name: string): number => median(at(most, name).map((one) => one.firstByteP50Ms));
  const share = (of: Rounds, name: string, base: string): number => shareOf(of, 32, name, base);

  const atLeast = (figure: string, value: number, goal: number): Goal => ({
    figure,
    measured: percent(value),
    goal: `≥ ${percent(goal)}`,
    met: Math.round(value * 100) >= Math.round(goal * 100),
  });
  const added = (figure: string, value: number, goal: number): Goal => ({
    figure,
    measured: ms(value),
    goal: `≤ ${ms(goal)}`,
    met: rounded(value) <= goal,
  });
  const ratio = memoryOfStream(at(most, OURS)) / memoryOfStream(at(most, PLAIN));
  return [
    atLeast('requests/s at 32 connections, of plain nginx', share(rounds, OURS, PLAIN), 0.65),
    added(
      'p50 at 1 connection, beside plain nginx',
      middleOf(rounds, OURS, 1, (one) => one.p50Ms) - middleOf(rounds, PLAIN, 1, (one) => one.p50Ms),
      0.3,
    ),
    added(`first SSE byte, ${most} streams open, beside plain nginx`, firstByte(OURS) - firstByte(PLAIN), 1),
    {
      figure: 'memory of an open stream, of plain nginx',
      measured: `${ratio.toFixed(2)} ×`,
      goal: '≤ 1.50 ×',
      met: rounded(ratio) <= 1.5,
    },
    ...Object.keys(shared.hits)
      .filter((name) => name !== 'static file')
      .map((name) => atLeast(`cache ${name}, of a static file`, share(shared.hits, name, 'static file'), 0.8)),
    atLeast(
      'requests/s with limits of a fleet, of one node alone',
      share(shared.fleet, 'limits of the fleet', 'one node alone'),
      0.95,
    ),
  ];
}

/** What a fault of Valkey may add to the p99 after its first second, in ms. */
export const FAULT_GOAL_MS = 5;

/** The worst that each fault of Valkey adds to the p99, over the kinds of request. */
export function faultGoalsOf(figures: readonly FaultFigures[]): readonly Goal[] {
  return [...new Set(figures.map(({ fault }) => fault))].map((fault) => {
    const worst = Math.max(...figures.filter((each) => each.fault === fault).map(addedP99));
    return {
      figure: `p99, Valkey ${fault === 'none' ? 'well' : fault}`,
      measured: ms(worst),
      goal: `≤ ${ms(FAULT_GOAL_MS)}`,
      met: rounded(worst) <= FAULT_GOAL_MS,
    };
  });
}

/** What a fault adds to the p99 of a request, in ms to the hundredth: the middle of what each round saw. */
export function addedP99({ healthy, faulty }: FaultFigures): number {
  return rounded(median(faulty.map((one) => one.p99Ms)) - median(healthy.map((one) => one.p99Ms)));
}

/** Goals as a table. */
export function goalTable(goals: readonly Goal[]): string {
  return align([
    ['figure', 'measured', 'goal', 'met'],
    ...goals.map(({ figure, measured, goal, met }) => [figure, measured, goal, met ? 'yes' : 'no']),
  ]);
}
