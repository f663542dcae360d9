/**
 * An error that the user can mend: its message says what is wrong and the way out, and is shown without a stack trace.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  /** What the process exits with; never 0. */
  readonly exitCode: number;

  /**
   * @param message - one message that names the thing and the way out; no "Error:" in front, no stop needed at its end
   * @param options - `exitCode` is 1 by default; `cause` is shown with CAUSEWAY_DEBUG=1 only
   */
  constructor(message: string, options: { readonly exitCode?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A failure as it is shown, and what the process exits with because of it. */
export interface FailureReport {
  readonly text: string;
  readonly exitCode: number;
}

/**
 * How a failure is told to the user: a {@link UserError} by its message alone, anything else by one line and the hint
 * how to get the stack.
 *
 * @param error - whatever was thrown
 * @param debug - true to append the stack (CAUSEWAY_DEBUG=1)
 */
export function describeFailure(error: unknown, debug: boolean): FailureReport {
  const stack = error instanceof Error ? withCauses(error) : String(error);
  if (error instanceof UserError) {
    return {
      text: debug ? `causeway: ${error.message}\n${stack}\n` : `causeway: ${error.message}\n`,
      exitCode: error.exitCode,
    };
  }
  const summary = (error instanceof Error ? error.message || error.name : String(error)).split('\n', 1)[0] ?? '';
  return {
    text: debug
      ? `causeway: unexpected error: ${summary}\n${stack}\n`
      : `causeway: unexpected error: ${summary} (run again with CAUSEWAY_DEBUG=1 for the stack)\n`,
    exitCode: 70,
  };
}

/**
 * Runs an entry point and ends the process with its outcome: the number that `main` returns (nothing means 0), or what
 * its failure asks for. Errors that nobody awaited are reported in the same way. The process always ends through
 * `process.exit`, so that children bound to it (see child.ts) are ended too.
 */
export function runMain(main: () => Promise<number> | Promise<void>): void {
  const fail = (error: unknown): void => {
    const report = describeFailure(error, process.env['CAUSEWAY_DEBUG'] === '1');
    process.stderr.write(report.text);
    process.exit(report.exitCode);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  // A reader that has gone (`npm start | head`) is the reader's right, and no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') fail(error);
    process.exit(141);
  });
  const run = async (): Promise<void> => {
    const code = await main();
    process.exit(code ?? 0);
  };
  run().catch(fail);
}

function withCauses(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause instanceof Error ? `${own}\ncaused by: ${withCauses(error.cause)}` : own;
}
