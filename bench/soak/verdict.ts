/** What a gateway held at one time. Bytes. */
export interface Sample {
  readonly hour: number;
  /** Resident memory of each worker. */
  readonly workers: readonly number[];
  /** Free memory of each shared dictionary. */
  readonly free: Readonly<Record<string, number>>;
}

/** Hours in which memory finds its size; growth is judged from then on. */
const WARM_HOURS = 8;
/** What a worker may hold more at the end of the day than after the warm-up: the heap's breathing. */
const GROWTH_SHARE = 0.1;
const GROWTH_BYTES = 4 * 1024 * 1024;
/** Dictionaries that are meant to be full: what is in them is given up for what comes. */
const MEANT_TO_BE_FULL: ReadonlySet<string> = new Set(['causeway_cache']);

/** Whether memory stayed flat and the dictionaries within their bounds. */
export function judge(samples: readonly Sample[]): { readonly problems: readonly string[]; readonly text: string } {
  const problems: string[] = [];
  const largest = (some: readonly Sample[]): number => Math.max(...some.flatMap(({ workers }) => workers));
  // The middle third against the last: one peak in either says nothing of growth.
  const after = samples.filter(({ hour }) => hour > WARM_HOURS && hour <= 2 * WARM_HOURS);
  const end = samples.filter(({ hour }) => hour > 2 * WARM_HOURS);
  const [before, now] = [largest(after), largest(end)];
  if (now > before * (1 + GROWTH_SHARE) + GROWTH_BYTES) {
    problems.push(`workers grew from ${megabytes(before)} to ${megabytes(now)} MB`);
  }
  const names = Object.keys(samples.at(-1)?.free ?? {});
  if (names.length === 0) problems.push('no line told of a dictionary');
  for (const name of names) {
    const least = Math.min(...samples.map(({ free }) => free[name] ?? Infinity));
    if (least === 0 && !MEANT_TO_BE_FULL.has(name)) problems.push(`${name} ran full`);
  }
  return {
    problems,
    text:
      problems.length === 0 ? 'flat, and within bounds' : problems.map((problem) => `FAILED: ${problem}`).join('\n'),
  };
}

/** An hour a line. */
export function table(samples: readonly Sample[]): string {
  const names = [...new Set(samples.flatMap(({ free }) => Object.keys(free)))].sort();
  const rows = [
    ['hour', 'largest worker MB', ...names.map((name) => `${name.replace('causeway_', '')} free KB`)],
    ...samples.map(({ hour, workers, free }) => [
      String(hour),
      megabytes(Math.max(...workers)),
      ...names.map((name) => ((free[name] ?? Number.NaN) / 1024).toFixed(0)),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n');
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
