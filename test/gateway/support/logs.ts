import { validateLine } from '../../../lib/observability/emf-schema';

/**
 * Holds everything that a gateway wrote against the metric catalogue and against what no log may hold.
 *
 * @param lines nginx's stdout.
 * @param errorLog nginx's stderr.
 * @param secrets Keys, prompts and answers that were used.
 * @throws Error with the first problems found.
 */
export function checkLogs(lines: readonly string[], errorLog: string, secrets: readonly string[]): void {
  const problems = lines.flatMap((line) => validateLine(line).map((problem) => `${problem} in ${line}`));
  if (problems.length > 0) {
    throw new Error(`lines that the catalogue does not allow:\n${problems.slice(0, 5).join('\n')}`);
  }
  const everything = `${lines.join('\n')}\n${errorLog}`;
  const leaked = secrets.filter((text) => everything.includes(text));
  if (leaked.length > 0) throw new Error(`the logs hold: ${leaked.join(', ')}`);
}
