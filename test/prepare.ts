import { join } from 'node:path';

import { ensureDebianPackages, examplePackages, gatewayPackages, testPackages } from '../local/debian-packages';
import { ensurePythonVenv } from '../local/python-venv';
import { UserError } from '../local/user-error';

/**
 * Sets up what the tests and checks need beside npm's packages.
 *
 * @returns the Python with the packages of test/requirements.txt; empty where PyPI cannot be reached
 * @throws UserError where something is missing that cannot be installed; with CI=true, the Python packages too
 */
export async function prepare(): Promise<string> {
  const outcome = await ensureDebianPackages([...gatewayPackages, ...examplePackages, ...testPackages]);
  if (outcome === 'docker')
    throw new UserError('the tests need Debian packages: run them on Debian or Ubuntu, or in a container of one');
  const python = await ensurePythonVenv({ dir: join('.causeway', 'venv'), ci: process.env['CI'] === 'true' });
  if (python.ok) return python.python;
  process.stderr.write(`causeway: the tests that need Python packages are skipped: ${python.reason}\n`);
  return '';
}
