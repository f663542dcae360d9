import http from 'node:http';

import { sleep, type TestGateway } from '../harness';
import { send, type RequestOptions } from './http-client';

/** What became of requests that were sent at a pace. */
export interface Count {
  accepted: number;
  refused: number;
  other: number;
  /** From the first request sent to the last one sent, in seconds. */
  asked: number;
  /** From the first request sent to the last answer received, in seconds. */
  seconds: number;
}

/** Nothing was sent. */
export const NOTHING: Count = { accepted: 0, refused: 0, other: 0, asked: 0, seconds: 0 };

/** Sends evenly, whatever comes back, on connections that stay open. */
export async function pace(
  gateway: TestGateway,
  key: string,
  perSecond: number,
  seconds: number,
  options: RequestOptions = { method: 'GET', path: '/v1/models?limit=1' },
): Promise<Count> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  const count = { ...NOTHING };
  const begun = performance.now();
  const open = new Set<Promise<void>>();
  let sent = 0;
  while (performance.now() - begun < seconds * 1000) {
    const due = 1 + Math.floor(((performance.now() - begun) / 1000) * perSecond);
    // A machine that is busy elsewhere must not make a queue here.
    for (; sent < due; sent += 1) {
      if (open.size >= 64) continue;
      count.asked = (performance.now() - begun) / 1000;
      const request = send(gateway, { ...options, key, agent }).then(({ status }) => {
        count.seconds = (performance.now() - begun) / 1000;
        if (status === 200) count.accepted += 1;
        else if (status === 429) count.refused += 1;
        else count.other += 1;
      });
      open.add(request);
      void request.finally(() => open.delete(request));
    }
    await sleep(5);
  }
  await Promise.all(open);
  agent.destroy();
  return count;
}

/** Statuses of requests of a client that never asks sooner than its rate allows, also after the machine held it up. */
export async function calmly(gateway: TestGateway, key: string, perSecond: number, seconds: number): Promise<number[]> {
  const statuses: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    statuses.push((await send(gateway, { method: 'GET', path: '/v1/models?limit=1', key })).status);
    await sleep(1000 / perSecond);
  }
  return statuses;
}

/** What all of them together are. */
export function total(counts: readonly Count[]): Count {
  return counts.reduce(
    (sum, each) => ({
      accepted: sum.accepted + each.accepted,
      refused: sum.refused + each.refused,
      other: sum.other + each.other,
      asked: Math.max(sum.asked, each.asked),
      seconds: Math.max(sum.seconds, each.seconds),
    }),
    NOTHING,
  );
}
