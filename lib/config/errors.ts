/** One thing that is wrong with a config: which field, and what is allowed instead of the value found. */
export interface ConfigProblem {
  /** Path of the field from the environment's root, such as `upstreams[0].host`. */
  readonly field: string;
  /** What is wrong, with the value found and what is allowed. */
  readonly message: string;
}

/** A config that cannot be used. Its message has one line a problem and is meant for people. */
export class ConfigError extends Error {
  constructor(
    /** The file or environment that holds the problems. */
    readonly source: string,
    readonly problems: readonly ConfigProblem[],
  ) {
    super(
      problems.length === 1 && problems[0] !== undefined
        ? `${source}: ${line(problems[0])}`
        : `${source} has ${problems.length} problems:\n${problems.map((problem) => `  ${line(problem)}`).join('\n')}`,
    );
    this.name = 'ConfigError';
  }
}

function line(problem: ConfigProblem): string {
  return problem.field === '' ? problem.message : `${problem.field}: ${problem.message}`;
}
