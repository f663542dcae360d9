import { UserError } from '../local/user-error';
import { fail, skip, type Check, type Outcome } from './check';
import { NoAnswer } from './client';
import type { Target } from './target';

/** A check and how it went. */
export interface Result {
  readonly check: Check;
  readonly outcome: Outcome;
}

/**
 * Runs the checks, one after the other; those that wait run beside the others.
 *
 * @param checks - the first is what the others rest on: where it fails, they are skipped
 * @param done - told of each result as it comes
 * @throws UserError where nothing listens, or where the mock is not behind the gateway
 */
export async function runChecks(
  target: Target,
  checks: readonly Check[],
  done: (result: Result) => void = () => undefined,
): Promise<Result[]> {
  const [baseline, ...others] = checks;
  if (baseline === undefined) return [];
  const outcomes = new Map<Check, Outcome>();
  const take = (check: Check, outcome: Outcome): void => {
    outcomes.set(check, redacted(outcome, target.options.key));
    done({ check, outcome: outcomes.get(check) ?? outcome });
  };
  await target.mock?.take();
  try {
    const first = await attempt(baseline, target);
    take(baseline, first);
    if (first.kind === 'pass' && target.mock !== undefined && target.seen === 0) {
      throw new UserError(
        `--mock-url did not receive what was sent to ${target.options.baseUrl.href}: is it the upstream of that gateway?`,
      );
    }
    const waiting: Promise<void>[] = [];
    // Those that wait come first, so that the others have their time.
    for (const check of [...others].sort((a, b) => Number(b.waits ?? false) - Number(a.waits ?? false))) {
      if (first.kind !== 'pass') take(check, skip(`rests on ${baseline.id}`));
      else if (check.needs === 'echo' && target.mock === undefined) take(check, skip('needs --mock-url'));
      else if (check.waits !== true) take(check, await attempt(check, target));
      else {
        await new Promise<void>((underWay, reject) => {
          const ending = attempt(check, target, underWay).then((outcome) => {
            take(check, outcome);
            underWay();
          });
          ending.catch(reject);
          waiting.push(ending);
        });
      }
    }
    await Promise.all(waiting);
  } finally {
    await target.mock?.release();
  }
  return checks.map((check) => ({ check, outcome: outcomes.get(check) ?? skip('not run') }));
}

/** Whether all required checks hold. */
export function conforms(results: readonly Result[]): boolean {
  return results.every(({ check, outcome }) => check.level !== 'required' || outcome.kind !== 'fail');
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

async function attempt(check: Check, target: Target, underWay: () => void = () => undefined): Promise<Outcome> {
  try {
    const outcome = await check.run(target, underWay);
    return outcome;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const { code = '' } = error;
    // Later on it is the gateway that broke.
    if (target.requests === 1 && UNREACHABLE.has(code)) {
      const hint = /CERT|SIGNATURE/.test(code) ? '; --ca names the authority of its certificate' : '';
      throw new UserError(`--base-url ${target.options.baseUrl.href} cannot be reached: ${error.message}${hint}`, {
        cause: error,
      });
    }
    return fail('there is no answer', 'an answer', error.message);
  }
}

/** What a gateway says may hold the key. */
function redacted(outcome: Outcome, key: string): Outcome {
  if (outcome.kind !== 'fail') return outcome;
  const clean = (text: string): string => text.replaceAll(key, '<key>');
  return { ...outcome, expected: clean(outcome.expected), actual: clean(outcome.actual) };
}
