import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { runMain, UserError } from '../local/user-error';
import { prepare } from './prepare';

/** What one runner counted. */
interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numRuntimeErrorTestSuites: number;
}

const reports = join('.causeway', 'test');

/**
 * `npm test`: sets up what the tests need, runs the Lua specs and the TypeScript tests, and ends with the line
 * `N passed, N failed`. Arguments go to jest (`npm test -- test/config`), and the specs are then left out.
 */
async function main(): Promise<number> {
  const jestArguments = process.argv.slice(2);
  const python = await prepare();
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });

  // Beside each other: most of jest's time is waiting.
  const runs = jestArguments.length === 0 ? [busted(), jest(jestArguments, python)] : [jest(jestArguments, python)];
  const counts = await Promise.all(runs);
  const total = counts.reduce((sum, count) => ({
    passed: sum.passed + count.passed,
    failed: sum.failed + count.failed,
    skipped: sum.skipped + count.skipped,
  }));
  if (total.skipped > 0) process.stdout.write(`${total.skipped} skipped\n`);
  process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
  return total.failed > 0 ? 1 : 0;
}

async function busted(): Promise<Count> {
  const { code, output } = await run('busted', ['--output=plainTerminal']);
  const found = /(\d+) success(?:es)? \/ (\d+) failures? \/ (\d+) errors? \/ (\d+) pending/.exec(output);
  if (found === null) return { passed: 0, failed: 1, skipped: 0 };
  const [passed = 0, failures = 0, errors = 0, skipped = 0] = found.slice(1).map(Number);
  return { passed, failed: Math.max(failures + errors, code === 0 ? 0 : 1), skipped };
}

async function jest(args: readonly string[], python: string): Promise<Count> {
  const file = join(reports, 'jest.json');
  const { code } = await run(
    process.execPath,
    [require.resolve('jest/bin/jest'), '--json', `--outputFile=${file}`, ...args],
    { env: { ...process.env, CAUSEWAY_TEST_PYTHON: python }, live: true },
  );
  let report: JestReport;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as JestReport;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const failed = report.numFailedTests + report.numRuntimeErrorTestSuites;
  return {
    passed: report.numPassedTests,
    failed: Math.max(failed, code === 0 ? 0 : 1),
    skipped: report.numPendingTests,
  };
}

/** Runs a program; its output is returned, and shown when it has ended, or as it comes (`live`). */
function run(
  command: string,
  args: readonly string[],
  { env = process.env, live = false }: { env?: NodeJS.ProcessEnv; live?: boolean } = {},
): Promise<{ code: number; output: string }> {
  return new Promise((settle, reject) => {
    const child = spawn(command, [...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
      if (live) process.stdout.write(data);
    });
    child.once('error', (error) => {
      reject(new UserError(`${command} could not be started: ${error.message}`));
    });
    child.once('close', (code) => {
      if (!live) process.stdout.write(output);
      settle({ code: code ?? 1, output });
    });
  });
}

runMain(main);
