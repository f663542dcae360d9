import type { EnvironmentInput } from '../../../lib/config';
import { startMockClaude, type MockClaude, type MockClaudeOptions } from '../../../local/mock-claude/server';
import { issueLeaf, type Authority } from '../../../local/pki';

type UpstreamInput = NonNullable<EnvironmentInput['upstreams']>[number];

/** An upstream after the first, in front of a mock of its own. */
export interface OtherUpstream {
  readonly id: string;
  readonly mock?: MockClaudeOptions;
  /** What of it differs from the defaults. */
  readonly upstream?: Partial<UpstreamInput>;
}

/** Running mocks, and what the gateway's config and credentials say of them. */
export interface OtherUpstreams {
  readonly mocks: Readonly<Record<string, MockClaude>>;
  readonly upstreams: readonly UpstreamInput[];
  readonly secrets: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** The host name of such an upstream: its certificate holds no other. */
export function hostOf(id: string): string {
  return `${id}.upstream.test`;
}

/** The credential of such an upstream: its mock takes no other. */
export function secretOf(id: string): string {
  return `sk-ant-mock-credential-of-${id}-9876543210`;
}

/** Starts the mocks of further upstreams, each with a host name, a certificate and a credential of its own. */
export async function startOthers(
  others: readonly OtherUpstream[],
  authority: Authority,
  caFile: string,
): Promise<OtherUpstreams> {
  const mocks: Record<string, MockClaude> = {};
  const upstreams: UpstreamInput[] = [];
  for (const { id, mock, upstream } of others) {
    const leaf = await issueLeaf({ hosts: [hostOf(id)], authority });
    const running = await startMockClaude({
      name: id,
      requireKeys: [secretOf(id)],
      tls: { cert: leaf.chain, key: leaf.key },
      ...mock,
    });
    mocks[id] = running;
    upstreams.push({ id, host: hostOf(id), port: running.port, addresses: [running.host], caFile, ...upstream });
  }
  return {
    mocks,
    upstreams,
    secrets: Object.fromEntries(others.map(({ id }) => [id, secretOf(id)])),
    close: async () => {
      await Promise.all(Object.values(mocks).map((mock) => mock.close()));
    },
  };
}
