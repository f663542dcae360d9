import { existsSync, mkdirSync, utimesSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { withLock } from '../../local/lock';
import { Sandbox } from './sandbox';

const sandbox = new Sandbox();
afterAll(() => {
  sandbox.remove();
});

it('lets one in at a time, and leaves nothing behind', async () => {
  const path = sandbox.path('deep', 'lock');
  let inside = 0;
  let most = 0;
  const waited: (number | undefined)[] = [];
  const one = () =>
    withLock(
      path,
      async () => {
        most = Math.max(most, ++inside);
        await sleep(20);
        inside--;
      },
      { onWait: (holder) => waited.push(holder) },
    );
  await Promise.all([one(), one(), one()]);
  expect(most).toBe(1);
  expect(waited).toEqual([process.pid, process.pid]);
  expect(existsSync(path)).toBe(false);
});

it('is released when the work fails', async () => {
  const path = sandbox.path('failing');
  await expect(withLock(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(existsSync(path)).toBe(false);
});

it('takes over one whose holder is gone, once', async () => {
  const path = sandbox.path('stale');
  // No process has this id: Linux hands out up to 2^22.
  sandbox.write('stale/pid', '99999999\n');
  let inside = 0;
  const one = () =>
    withLock(path, async () => {
      expect(++inside).toBe(1);
      await sleep(20);
      inside--;
    });
  await Promise.all([one(), one(), one(), one()]);
});

it('takes over one without a holder when it is old', async () => {
  const path = sandbox.path('nameless');
  mkdirSync(path);
  await expect(withLock(path, () => Promise.resolve(1), { timeoutMs: 100 })).rejects.toThrow(
    /another causeway process/,
  );
  const old = new Date(Date.now() - 60_000);
  utimesSync(path, old, old);
  await expect(withLock(path, () => Promise.resolve(1))).resolves.toBe(1);
});

it('says who holds it when the time is up', async () => {
  const path = sandbox.path('held');
  sandbox.write('held/pid', `${process.pid}\n`);
  await expect(withLock(path, () => Promise.resolve(), { timeoutMs: 60 })).rejects.toThrow(
    `another causeway process (pid ${process.pid}) holds ${path}: wait for it to end`,
  );
});
