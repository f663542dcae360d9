import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { UserError } from '../local/user-error';

const run = promisify(execFile);

/** What one run of wrk found. Times in ms. */
export interface Load {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that were no 2xx, and connections that broke. */
  readonly errors: number;
}

/** Sends 1 KB POSTs for some seconds over some connections. */
export async function load(baseUrl: string, key: string, connections: number, seconds: number): Promise<Load> {
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', join(__dirname, 'post.lua'), baseUrl];
  const { stdout } = await run('wrk', args, { env: { ...process.env, BENCH_KEY: key } });
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new UserError(`wrk printed no result:\n${stdout}`);
  return JSON.parse(line) as Load;
}
