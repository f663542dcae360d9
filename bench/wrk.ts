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
  readonly maxMs: number;
  /** Answers that were no 2xx, and connections that broke. */
  readonly errors: number;
}

/** A request that is sent again and again. */
export interface Shot {
  /** @default 'POST', with 1 KB of body */
  readonly method?: 'GET' | 'POST';
  /** @default '/v1/messages' */
  readonly path?: string;
  /** Value of the header `x-causeway-cache`. @default - none */
  readonly cache?: string;
  /** How long each connection waits after an answer, on average. @default 0 */
  readonly pauseMs?: number;
}

/** Sends the same request for some seconds over some connections. */
export async function load(
  baseUrl: string,
  key: string,
  connections: number,
  seconds: number,
  shot: Shot = {},
): Promise<Load> {
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', join(__dirname, 'post.lua'), baseUrl];
  const { stdout } = await run('wrk', args, {
    env: {
      ...process.env,
      BENCH_KEY: key,
      BENCH_METHOD: shot.method ?? 'POST',
      BENCH_PATH: shot.path ?? '/v1/messages',
      BENCH_CACHE: shot.cache ?? '',
      BENCH_PAUSE_MS: String(shot.pauseMs ?? 0),
    },
  });
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new UserError(`wrk printed no result:\n${stdout}`);
  return JSON.parse(line) as Load;
}
