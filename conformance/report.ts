import type { Check } from './check';
import { conforms, type Result } from './runner';
import type { Target } from './target';

const WORDS = { pass: 'ok', skip: 'skipped', fail: 'FAIL' } as const;

/** What will be asked of the gateway, and what it costs at a real upstream. */
export function announcement(target: Target, checks: readonly Check[]): string {
  const { baseUrl, model, silenceMs } = target.options;
  if (target.mock !== undefined) {
    return (
      `${checks.length} checks of ${baseUrl.href} with the mock Claude API behind it: no tokens, ` +
      `${silenceMs / 1000} s at least (--silence)\n`
    );
  }
  const run = checks.filter(({ needs }) => needs === 'any');
  const sum = (pick: (check: Check) => number | undefined): number =>
    run.reduce((total, check) => total + (pick(check) ?? 0), 0);
  const requests = sum(({ cost }) => cost?.requests);
  const tokens = sum(({ cost }) => cost?.tokens);
  return (
    `${run.length} checks of ${baseUrl.href}: about ${requests} requests and ${tokens} tokens of ${model}\n` +
    `${checks.length - run.length} more need --mock-url (docs/conformance.md)\n`
  );
}

/** The table, and the sum below it. */
export function table(target: Target, results: readonly Result[]): string {
  const width = Math.max(...results.map(({ check }) => check.id.length));
  const lines = results.flatMap(({ check, outcome }) => {
    const word = outcome.kind === 'fail' && check.level === 'advised' ? 'advised' : WORDS[outcome.kind];
    const remark = outcome.kind === 'pass' && outcome.note !== undefined ? ` (${outcome.note})` : '';
    const line = `${word.padEnd(8)} ${check.id.padEnd(width)}  ${check.title}${remark}`;
    const indent = ' '.repeat(9 + width + 2);
    if (outcome.kind === 'skip') return [line, `${indent}${outcome.why}`];
    if (outcome.kind === 'pass') return [line];
    return [
      line,
      `${indent}${outcome.reason}`,
      `${indent}expected: ${outcome.expected}`,
      `${indent}actual:   ${outcome.actual}`,
      `${indent}source:   ${check.source}`,
    ];
  });
  return `${lines.join('\n')}\n\n${summary(target, results)}\n`;
}

function summary(target: Target, results: readonly Result[]): string {
  const count = (kind: Result['outcome']['kind'], level?: Check['level']): number =>
    results.filter(({ check, outcome }) => outcome.kind === kind && (level === undefined || check.level === level))
      .length;
  const { inputTokens, outputTokens } = target.usage;
  // A mock's tokens are as invented as its answers.
  const tokens = target.mock === undefined ? `, ${inputTokens} input and ${outputTokens} output tokens reported` : '';
  const parts = [
    `${count('pass')} hold`,
    `${count('fail', 'required')} required fail`,
    `${count('fail', 'advised')} advised fail`,
    `${count('skip')} skipped`,
  ];
  return (
    `${parts.join(', ')}; ${target.requests} requests${tokens}\n` +
    (conforms(results) ? 'The gateway conforms.' : 'The gateway does not conform.')
  );
}

/** The same for programs. */
export function json(target: Target, results: readonly Result[]): string {
  const { baseUrl, model } = target.options;
  return `${JSON.stringify(
    {
      baseUrl: baseUrl.href,
      model,
      mock: target.mock !== undefined,
      conforms: conforms(results),
      requests: target.requests,
      usage: target.usage,
      checks: results.map(({ check, outcome }) => {
        const { kind, ...detail } = outcome;
        return { id: check.id, title: check.title, level: check.level, source: check.source, outcome: kind, ...detail };
      }),
    },
    null,
    2,
  )}\n`;
}
