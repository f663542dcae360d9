import { describeFailure, UserError } from '../../local/user-error';
import { repoDir, Sandbox, startTypeScript } from './sandbox';

describe('describeFailure', () => {
  it('shows a user error by its message alone', () => {
    const report = describeFailure(
      new UserError('port 1 is in use', { exitCode: 3, cause: new Error('inner') }),
      false,
    );
    expect(report).toEqual({ text: 'causeway: port 1 is in use\n', exitCode: 3 });
  });

  it('shows anything else in one line, with the way to the stack', () => {
    const report = describeFailure(new TypeError('x is not a function\nsecond line'), false);
    expect(report.text).toBe(
      'causeway: unexpected error: x is not a function (run again with CAUSEWAY_DEBUG=1 for the stack)\n',
    );
    expect(report.exitCode).not.toBe(0);
    expect(describeFailure('thrown text', false).text).toContain('thrown text');
  });

  it('shows stack and causes when asked to', () => {
    const { text } = describeFailure(new UserError('outer', { cause: new Error('the cause') }), true);
    expect(text).toMatch(/^causeway: outer\n/);
    expect(text).toContain('caused by: Error: the cause');
    expect(text).toContain('user-error.test.ts');
  });
});

describe('runMain', () => {
  const sandbox = new Sandbox();
  afterAll(() => {
    sandbox.remove();
  });
  const run = (body: string) =>
    startTypeScript(
      sandbox,
      'main.ts',
      `import { runMain, UserError } from '${repoDir}/local/user-error';\nrunMain(async () => { ${body} });\n`,
    ).outcome;

  it.each([
    ['', 0, ''],
    ['return 7;', 7, ''],
    ['throw new UserError("no such thing", { exitCode: 4 });', 4, 'causeway: no such thing\n'],
    [
      'void Promise.reject(new Error("unawaited")); await new Promise((d) => setTimeout(d, 5000));',
      70,
      'causeway: unexpected error: unawaited (run again with CAUSEWAY_DEBUG=1 for the stack)\n',
    ],
  ])('ends with the outcome of %j', async (body, code, stderr) => {
    expect(await run(body)).toEqual({ code, signal: null, stdout: '', stderr });
  });
});
