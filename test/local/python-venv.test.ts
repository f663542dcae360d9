import { existsSync, rmSync } from 'node:fs';

import { ensurePythonVenv, pipFailure } from '../../local/python-venv';
import { UserError } from '../../local/user-error';
import { Sandbox } from './sandbox';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => {
  sandbox.remove();
});

/** A python3 whose virtual environments hold a pip that does as told. */
function python({ version = '3 11 2', venv = 'True', pip = 'exit 0' } = {}): void {
  sandbox.real('sh', 'mkdir', 'cp', 'chmod', 'cat');
  sandbox.fake(
    'python3',
    `[ "$1" = -c ] && { echo "${version} ${venv} /usr/bin/python3"; exit; }\nmkdir -p "$3/bin"; cp "$SANDBOX/bin/pip-python" "$3/bin/python"`,
  );
  sandbox.fake('pip-python', pip);
  sandbox.write('requirements.txt', 'requests==1.0\n');
}

const ensure = (ci = false, said: string[] = []) =>
  ensurePythonVenv({
    dir: sandbox.path('.venv'),
    requirements: sandbox.path('requirements.txt'),
    ci,
    env: sandbox.env(),
    say: (line) => void said.push(line),
  });
const pips = () => sandbox.calls().filter((call) => call.startsWith('pip-python -m pip install')).length;

it('makes a real environment without the network when nothing is required', async () => {
  const requirements = sandbox.write('requirements.txt', '# nothing\n');
  const env = { ...process.env, PIP_INDEX_URL: 'http://127.0.0.1:9/' };
  const made = await ensurePythonVenv({
    dir: sandbox.path('real venv'),
    requirements,
    ci: true,
    env,
    say: () => undefined,
  });
  expect(made).toEqual({ ok: true, python: sandbox.path('real venv', 'bin', 'python') });
});

it('is reused until the requirements or the Python change, or it is gone', async () => {
  python();
  const said: string[] = [];
  expect(await ensure(true, said)).toEqual({ ok: true, python: sandbox.path('.venv', 'bin', 'python') });
  expect(await ensure(true, said)).toMatchObject({ ok: true });
  expect(said).toHaveLength(1);
  expect(pips()).toBe(1);
  sandbox.write('requirements.txt', 'requests==2.0\n');
  await ensure();
  expect(pips()).toBe(2);
  rmSync(sandbox.path('bin', 'python3'));
  sandbox.fake(
    'python3',
    `[ "$1" = -c ] && { echo "3 12 0 True /usr/bin/python3"; exit; }\nmkdir -p "$3/bin"; cp "$SANDBOX/bin/pip-python" "$3/bin/python"`,
  );
  await ensure();
  expect(pips()).toBe(3);
  rmSync(sandbox.path('.venv', 'bin', 'python'));
  await ensure();
  expect(pips()).toBe(4);
});

it('is not ok where PyPI cannot be reached, fails there with CI=true, and leaves nothing half made', async () => {
  python({
    pip: 'echo "WARNING: Retrying after NewConnectionError(...)"; echo "ERROR: No matching distribution"; exit 1',
  });
  const reason = 'PyPI cannot be reached (NewConnectionError)';
  expect(await ensure()).toEqual({ ok: false, reason });
  expect(existsSync(sandbox.path('.venv'))).toBe(false);
  await expect(ensure(true)).rejects.toThrow(UserError);
  await expect(ensure(true)).rejects.toThrow(`are needed where CI=true: ${reason}`);
});

it.each([
  [{ version: '3 8 10' }, 'python3 is 3.8.10, and 3.11 or newer is needed'],
  [{ venv: 'False' }, 'python3 cannot make virtual environments: run `sudo apt-get install -y python3-venv`'],
])('says what is wrong with the Python: %j', async (what, reason) => {
  python(what);
  expect(await ensure()).toEqual({ ok: false, reason });
});

it('says that there is no Python', async () => {
  sandbox.write('requirements.txt', '');
  expect(await ensure()).toEqual({ ok: false, reason: 'there is no python3 on PATH' });
});

it('tells a package that is not there from a network that is not', () => {
  expect(pipFailure('ERROR: Could not find a version that satisfies the requirement x==9\n')).toBe(
    'pip failed: Could not find a version that satisfies the requirement x==9',
  );
});
