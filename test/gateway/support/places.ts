import type { RecordedRequest } from '../../../local/mock-claude/server';
import { eventually, type TestGateway } from '../harness';
import { send } from './http-client';

/** How long each of the requests that count places stays with the upstream, in milliseconds. */
const STAY_MS = 700;

/** Each of those requests is another: identical ones would share one call, and hold no place of the upstream's. */
let asked = 0;

/** How many of `count` requests at once find a place. */
async function countPlaces(gateway: TestGateway, consumer: string, count: number): Promise<number> {
  const key = gateway.keys[consumer] ?? '';
  const answers = await Promise.all(
    Array.from({ length: count }, () =>
      send(gateway, { key, method: 'GET', path: `/v1/models?asked=${++asked}`, script: { delayMs: STAY_MS } }),
    ),
  );
  const served = answers.filter(({ status }) => status === 200).length;
  if (answers.some(({ status }) => status !== 200 && status !== 429)) {
    throw new Error(`answered: ${answers.map(({ status }) => status).join(' ')}`);
  }
  return served;
}

/** Waits until a consumer has all its places, and holds that it has not one more. */
export async function expectPlaces(gateway: TestGateway, consumer: string, places: number): Promise<void> {
  await eventually(
    async () => {
      const served = await countPlaces(gateway, consumer, places + 3);
      // One too many is an error at once: waiting does not mend it.
      expect(served).toBeLessThanOrEqual(places);
      return served === places ? true : undefined;
    },
    // Places of workers that were killed come back by a timer.
    10_000,
  );
}

/** The most requests that an upstream had at one time. */
export function mostAtOnce(records: readonly RecordedRequest[]): number {
  const moments = records.flatMap(({ time, endTime }) => [
    { time, change: 1 },
    { time: endTime ?? Infinity, change: -1 },
  ]);
  // Ends before beginnings of the same millisecond: the place was given back first.
  moments.sort((a, b) => a.time - b.time || a.change - b.change);
  let now = 0;
  let most = 0;
  for (const { change } of moments) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}
