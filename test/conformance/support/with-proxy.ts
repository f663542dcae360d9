import { MockAdmin } from '../../../conformance/mock-admin';
import type { Result } from '../../../conformance/runner';
import { Target, type TargetOptions } from '../../../conformance/target';
import { startMockClaude, type MockClaude } from '../../../local/mock-claude/server';
import { startBrokenProxy, type Breakage } from './broken-proxy';

/** The key that the mock accepts. */
export const KEY = 'sk-ant-conformance-test-key';

/** A proxy in front of a mock. */
export interface Setup {
  readonly mock: MockClaude;
  /** The proxy as a target; with an admin the mock is known. */
  readonly target: (more?: Partial<TargetOptions>, admin?: MockAdmin) => Target;
  readonly admin: () => MockAdmin;
}

/** Runs a test with a proxy of its own, so that several can run at once. */
export async function withProxy(breakages: readonly Breakage[], test: (setup: Setup) => Promise<void>): Promise<void> {
  const mock = await startMockClaude({ requireKeys: [KEY] });
  const proxy = await startBrokenProxy(new URL(mock.baseUrl), KEY, breakages);
  const target: Setup['target'] = (more = {}, admin) =>
    new Target({
      baseUrl: proxy.url,
      key: KEY,
      header: 'both',
      model: 'claude-sonnet-4-5',
      timeoutMs: 30_000,
      silenceMs: 300,
      ...(admin === undefined ? {} : { mock: admin }),
      ...more,
    });
  try {
    await test({ mock, target, admin: () => new MockAdmin(new URL(mock.baseUrl), undefined) });
  } finally {
    await proxy.close();
    await mock.close();
  }
}

/** The ids of the checks that failed, sorted. */
export function failed(results: readonly Result[]): string[] {
  return results
    .filter(({ outcome }) => outcome.kind === 'fail')
    .map(({ check }) => check.id)
    .sort();
}
