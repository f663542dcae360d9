import type { ModelUsage, TokenTotals } from '../../../local/mock-claude/server';
import { eventually, type TestGateway } from '../harness';
import { exchange } from './exchange';

/** A line of the gateway's stdout. */
export type Line = Readonly<Record<string, unknown>>;

/** The lines of requests that match, once there are `count`. */
export async function requestLines(
  gateway: TestGateway,
  count: number,
  matches: (line: Line) => boolean,
): Promise<Line[]> {
  // nginx writes its lines once a second, or when 4 KB of them have come together: these do not wait for the second.
  for (let i = 0; i < 4; i += 1) await exchange(gateway, { method: 'GET', target: '/v1/models?limit=1' });
  return eventually(() => {
    const found = gateway.lines().filter((line) => line['Requests'] === 1 && matches(line));
    return found.length >= count ? found : undefined;
  }, 15_000);
}

/** The line of the one request that the mock gave this id. */
export async function lineOf(gateway: TestGateway, upstreamRequestId: string | undefined): Promise<Line> {
  const [line] = await requestLines(gateway, 1, (each) => each['upstreamRequestId'] === upstreamRequestId);
  if (line === undefined) throw new Error('unreachable: there is at least one line');
  return line;
}

/** What lines say in tokens, as the mock says it. */
export function totalsOf(lines: readonly Line[]): TokenTotals {
  const sum = (name: string): number => lines.reduce((total, line) => total + Number(line[name] ?? 0), 0);
  return {
    inputTokens: sum('InputTokens'),
    outputTokens: sum('OutputTokens'),
    cacheReadInputTokens: sum('CacheReadInputTokens'),
    cacheCreation5mInputTokens: sum('CacheWrite5mInputTokens'),
    cacheCreation1hInputTokens: sum('CacheWrite1hInputTokens'),
  };
}

/** What the mock says of one model. */
export function usageOf(gateway: TestGateway, model: string): ModelUsage {
  const usage = gateway.mock.usage()[model];
  if (usage === undefined) throw new Error(`the mock has answered nothing as ${model}`);
  return usage;
}
