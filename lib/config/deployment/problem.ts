import type { ConfigProblem } from '../errors';

/** One problem of a config: the field, and what is wrong with its value. */
export const problem = (field: string, message: string): ConfigProblem => ({ field, message });
