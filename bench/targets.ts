import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { openLog, startChild, type Child } from '../local/child';
import { createAuthority, issueLeaf } from '../local/pki';
import { freePort } from '../local/ports';
import { UserError } from '../local/user-error';
import { startCauseway, UPSTREAM_HOST } from './causeway';
import type { Target } from './rounds';
import { ANSWER, plainConf, upstreamConf, type ServerFiles } from './upstream-conf';

/** Everything that a benchmark measures, running. */
export interface Bench {
  readonly targets: readonly [Target, Target, Target];
  readonly key: string;
  readonly ca: string;
  /** For further gateways in front of the same upstream. */
  readonly upstream: { readonly upstreamPort: number; readonly caFile: string; readonly tls: ServerFiles };
  stop(): Promise<void>;
}

/** Starts the upstream, the plain proxy and Causeway with everything on. */
export async function startTargets(dir: string): Promise<Bench> {
  const ca = await createAuthority();
  const caFile = write(dir, 'ca.pem', ca.root);
  const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST, 'localhost', '127.0.0.1'], authority: ca });
  const tls: ServerFiles = { chainFile: write(dir, 'chain.pem', leaf.chain), keyFile: write(dir, 'key.pem', leaf.key) };
  const [upstreamPort, plainPort, causewayPort] = [await freePort(), await freePort(), await freePort()];
  const children: Child[] = [];
  const start = async (name: string, render: (runtime: string) => string): Promise<Child> => {
    const runtime = join(dir, name);
    mkdirSync(runtime, { recursive: true });
    const conf = write(runtime, 'nginx.conf', render(runtime));
    const child = await startChild({
      name,
      command: 'nginx',
      args: ['-p', runtime, '-c', conf],
      stderr: openLog(join(dir, `${name}.log`)),
    });
    children.push(child);
    return child;
  };
  const upstream = await start('upstream', (runtime) => upstreamConf(upstreamPort, tls, runtime));
  mkdirSync(join(dir, 'plain'), { recursive: true });
  write(join(dir, 'plain'), 'static.json', ANSWER);
  const plain = await start('plain', (runtime) =>
    plainConf(plainPort, upstreamPort, UPSTREAM_HOST, caFile, tls, runtime),
  );
  const { nginx: causeway, keys, stdout } = await startCauseway(dir, { port: causewayPort, upstreamPort, caFile, tls });
  const bench: Bench = {
    targets: [
      { name: 'direct', url: `https://127.0.0.1:${upstreamPort}`, pid: upstream.pid },
      {
        name: 'plain nginx',
        url: `https://127.0.0.1:${plainPort}`,
        pid: plain.pid,
        log: join(dir, 'plain', 'access.log'),
      },
      { name: 'causeway', url: `https://127.0.0.1:${causewayPort}`, pid: causeway.pid, log: stdout },
    ],
    key: keys[0] ?? '',
    ca: ca.root,
    upstream: { upstreamPort, caFile, tls },
    stop: async () => {
      await causeway.stop(2000);
      for (const child of children) await child.stop();
    },
  };
  await new Promise((settle) => setTimeout(settle, 2000));
  return bench;
}

function write(dir: string, name: string, content: string): string {
  const path = join(dir, name);
  try {
    writeFileSync(path, content, { mode: 0o600 });
  } catch (error) {
    throw new UserError(`${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }
  return path;
}
