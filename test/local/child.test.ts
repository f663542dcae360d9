import { existsSync, readFileSync } from 'node:fs';

import { startChild, withLog } from '../../local/child';
import { UserError } from '../../local/user-error';
import { repoDir, runs, Sandbox, startTypeScript, until } from './sandbox';

const sandbox = new Sandbox();
afterAll(() => {
  sandbox.remove();
});

describe('startChild', () => {
  it('gives the output to a file that is no socket, and tells how it ended', async () => {
    const log = sandbox.path('logs', 'child.log');
    const child = await withLog(log, (fd) =>
      startChild({
        name: 'sh',
        command: 'sh',
        args: ['-c', 'echo out >/dev/stdout; echo err >&2; exit 5'],
        stdout: fd,
        stderr: fd,
      }),
    );
    expect(await child.waitForExit()).toEqual({ code: 5, signal: null });
    expect(child.running).toBe(false);
    expect(child.signal('SIGTERM')).toBe(false);
    expect(readFileSync(log, 'utf8')).toBe('out\nerr\n');
  });

  it('has the pid of the program itself, in a process group of its own', async () => {
    const child = await startChild({ name: 'sleep', command: 'sleep', args: ['60'] });
    await until(() => readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n');
    const group = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[2];
    expect(Number(group)).toBe(child.pid);
    expect(await child.waitForExit(20)).toBeUndefined();
    expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
    expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('kills what does not act on the signal', async () => {
    const ready = sandbox.path('ready');
    const child = await startChild({
      name: 'stubborn',
      command: 'sh',
      args: ['-c', 'trap "" TERM; : >"$0"; while :; do sleep 0.1; done', ready],
    });
    await until(() => existsSync(ready));
    expect(await child.stop({ timeoutMs: 200 })).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('stops one that is frozen without having to kill it', async () => {
    const child = await startChild({ name: 'sleep', command: 'sleep', args: ['60'] });
    child.signal('SIGSTOP');
    expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('names a program that is not there, or cannot run', async () => {
    await expect(startChild({ name: 'nginx', command: 'no-such-program', args: [] })).rejects.toThrow(
      new UserError('nginx: no-such-program is not installed or not on PATH'),
    );
    sandbox.write('plain', 'text');
    await expect(startChild({ name: 'x', command: sandbox.path('plain'), args: [] })).rejects.toThrow(/not installed/);
    await expect(startChild({ name: 'x', command: 'sh', args: [], cwd: sandbox.path('nowhere') })).rejects.toThrow(
      /^x cannot be started/,
    );
  });
});

describe('a child ends with its parent', () => {
  const parent = (command: string, ending: string) =>
    startTypeScript(
      sandbox,
      'parent.ts',
      `import { startChild } from '${repoDir}/local/child';
       void (async () => {
         const child = await startChild({ name: 'child', exitGraceMs: 300, command: 'sh', args: ['-c', '${command}'] });
         console.log('pid', child.pid, 'end');
         setTimeout(() => { ${ending} }, 500);
       })();`,
    ).outcome;
  const willing = 'exec sleep 300';
  const stubborn = 'trap : TERM; while :; do sleep 0.1; done';

  it.each([
    ['it exits', willing, 'process.exit(0);'],
    ['it exits, even one that ignores SIGTERM', stubborn, 'process.exit(0);'],
    ['an error is not caught', stubborn, 'throw new Error("x");'],
    ['it is killed', willing, 'process.kill(process.pid, "SIGKILL");'],
  ])('when %s', async (_, command, ending) => {
    const { stdout } = await parent(command, ending);
    const pid = Number(/pid (\d+) end/.exec(stdout)?.[1]);
    expect(pid).toBeGreaterThan(1);
    // Killed, the parent does nothing itself: the kernel tells the child.
    if (ending.includes('KILL')) await until(() => !runs(pid), 2000);
    expect(runs(pid)).toBe(false);
  });
});
