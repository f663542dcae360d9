import type { Target } from './target';

/** How a check went. */
export type Outcome =
  | { readonly kind: 'pass'; readonly note?: string }
  | { readonly kind: 'fail'; readonly reason: string; readonly expected: string; readonly actual: string }
  | { readonly kind: 'skip'; readonly why: string };

/** What a check asks of a real upstream; a mock bills nothing. */
export interface Cost {
  readonly requests: number;
  /** Input and output together, roughly. @default 0 */
  readonly tokens?: number;
}

/** One thing that a gateway must, or should, leave as it is. */
export interface Check {
  /** `group.thing`: what scripts and people refer to. */
  readonly id: string;
  /** What holds, as a sentence. */
  readonly title: string;
  /** What a user loses where it does not hold. */
  readonly proves: string;
  /** Where the contract says so. */
  readonly source: string;
  /** `echo`: an upstream that says what it received and answers what it is told to: the mock Claude API. */
  readonly needs: 'any' | 'echo';
  /** A failure of an advised check is shown, and the run still ends with 0. */
  readonly level: 'required' | 'advised';
  /** Left out where the check needs the mock. */
  readonly cost?: Cost;
  /** It waits for long: once it calls `underWay`, other checks run beside it. */
  readonly waits?: true;
  run(target: Target, underWay: () => void): Promise<Outcome>;
}

/** It holds. */
export function pass(note?: string): Outcome {
  return note === undefined ? { kind: 'pass' } : { kind: 'pass', note };
}

/** It does not hold: why, what should have come, what came. */
export function fail(reason: string, expected: string, actual: string): Outcome {
  return { kind: 'fail', reason, expected, actual };
}

/** It cannot be told here. */
export function skip(why: string): Outcome {
  return { kind: 'skip', why };
}

/** The first outcome that is no pass, else a pass. */
export async function all(attempts: readonly (() => Promise<Outcome>)[]): Promise<Outcome> {
  for (const attempt of attempts) {
    const outcome = await attempt();
    if (outcome.kind !== 'pass') return outcome;
  }
  return pass();
}
