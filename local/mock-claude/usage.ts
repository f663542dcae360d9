/** Token accounting: what the answers cost, and what of it the wire told. */

/** Token numbers of one answer, or a sum of them. */
export interface TokenTotals {
  inputTokens: number;
  outputTokens: number;
  cacheReadInputTokens: number;
  cacheCreation5mInputTokens: number;
  cacheCreation1hInputTokens: number;
}

/** Totals of one model. */
export interface ModelUsage {
  /** Answers that cost at least one token. */
  requests: number;
  /**
   * What the API would bill: all input once the answer has begun, the output that was generated: for a stream that ended
   * early, the share of the output tokens whose deltas were written.
   */
  charged: TokenTotals;
  /** What `usage` objects that were written to the end said; a stream cut before `message_delta` reports less than it cost. */
  reported: TokenTotals;
}

const NAMES = [
  'inputTokens',
  'outputTokens',
  'cacheReadInputTokens',
  'cacheCreation5mInputTokens',
  'cacheCreation1hInputTokens',
] as const;

/** Zero in every field. */
export function noTokens(): TokenTotals {
  return {
    inputTokens: 0,
    outputTokens: 0,
    cacheReadInputTokens: 0,
    cacheCreation5mInputTokens: 0,
    cacheCreation1hInputTokens: 0,
  };
}

/** Raises `total` by what `now` is above `before`, and remembers `now`. */
function advance(total: TokenTotals, before: TokenTotals, now: TokenTotals): void {
  for (const name of NAMES) {
    total[name] += now[name] - before[name];
    before[name] = now[name];
  }
}

/** Follows one answer; numbers are cumulative, as in the API's events. */
export class UsageTracker {
  private readonly chargedSoFar = noTokens();
  private readonly reportedSoFar = noTokens();
  private counted = false;

  constructor(private readonly totals: ModelUsage) {}

  charge(now: TokenTotals): void {
    if (!this.counted) this.totals.requests += 1;
    this.counted = true;
    advance(this.totals.charged, this.chargedSoFar, now);
  }

  report(now: TokenTotals): void {
    advance(this.totals.reported, this.reportedSoFar, now);
  }
}

/** Totals per model. */
export class UsageLedger {
  private byModel = new Map<string, ModelUsage>();

  open(model: string): UsageTracker {
    let totals = this.byModel.get(model);
    if (totals === undefined) {
      totals = { requests: 0, charged: noTokens(), reported: noTokens() };
      this.byModel.set(model, totals);
    }
    return new UsageTracker(totals);
  }

  /** A copy of the totals by model; models of which nothing was charged are left out. */
  snapshot(): Record<string, ModelUsage> {
    return Object.fromEntries(
      [...this.byModel].filter(([, totals]) => totals.requests > 0).map(([model, t]) => [model, structuredClone(t)]),
    );
  }

  clear(): void {
    this.byModel = new Map();
  }
}
