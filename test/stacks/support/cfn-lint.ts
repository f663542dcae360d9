import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Beside the Python that `npm test` has set up, or where a developer may have put it. */
const python = process.env['CAUSEWAY_TEST_PYTHON'] ?? '';
const CANDIDATES = [
  ...(python === '' ? [] : [join(dirname(python), 'cfn-lint')]),
  ...['.causeway/venv/bin/cfn-lint', '.venv/bin/cfn-lint'].map((path) => resolve(__dirname, '../../..', path)),
];

/**
 * Findings that are none:
 * - W3005: aws-cdk-lib states dependencies that a reference implies already (of a state machine on its role).
 */
const IGNORED = ['W3005'];

/** cfn-lint of the test's own Python, or undefined where there is none: then its tests are skipped, but never in CI. */
export const cfnLint: string | undefined = CANDIDATES.find((path) => existsSync(path));
if (cfnLint === undefined && process.env['CI'] === 'true') {
  throw new Error('cfn-lint is needed where CI=true: npm run setup installs it');
}

/** What cfn-lint finds in templates: nothing, or its report. Each file is checked for the region that it is for. */
export function lint(program: string, stacks: readonly { readonly file: string; readonly region: string }[]): string {
  const regions = [...new Set(stacks.map(({ region }) => region))];
  return regions
    .map((region) => {
      const files = stacks.filter((stack) => stack.region === region).map(({ file }) => file);
      const { stdout, stderr, error } = spawnSync(
        program,
        ['--regions', region, '--ignore-checks', ...IGNORED, '--', ...files],
        {
          encoding: 'utf8',
          maxBuffer: 64 * 1024 * 1024,
        },
      );
      if (error !== undefined) throw error;
      return stdout + stderr;
    })
    .join('');
}
