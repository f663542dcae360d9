import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { resolveEnvironment } from '../lib/config';
import { createKey, hashKey } from '../lib/registry/document';
import { openLog, startChild, type Child } from '../local/child';
import { NginxProcess } from '../local/nginx-process';
import { createAuthority, issueLeaf } from '../local/pki';
import { freePort } from '../local/ports';
import { writeJsonState } from '../local/state-file';
import { UserError } from '../local/user-error';
import { plainConf, upstreamConf, type ServerFiles } from './upstream-conf';

/** One thing that is measured. */
export interface Target {
  readonly name: 'direct' | 'plain nginx' | 'causeway';
  readonly url: string;
  /** Pid of its nginx master. */
  readonly pid: number;
}

/** Everything that a benchmark measures, running. */
export interface Bench {
  readonly targets: readonly [Target, Target, Target];
  readonly key: string;
  readonly ca: string;
  stop(): Promise<void>;
}

const UPSTREAM_HOST = 'api.claude.test';

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
  const plain = await start('plain', (runtime) =>
    plainConf(plainPort, upstreamPort, UPSTREAM_HOST, caFile, tls, runtime),
  );
  const key = createKey();
  const causeway = await startCauseway(dir, { port: causewayPort, upstreamPort, caFile, tls, key });
  const bench: Bench = {
    targets: [
      { name: 'direct', url: `https://127.0.0.1:${upstreamPort}`, pid: upstream.pid },
      { name: 'plain nginx', url: `https://127.0.0.1:${plainPort}`, pid: plain.pid },
      { name: 'causeway', url: `https://127.0.0.1:${causewayPort}`, pid: causeway.pid },
    ],
    key,
    ca: ca.root,
    stop: async () => {
      await causeway.stop(2000);
      for (const child of children) await child.stop();
    },
  };
  await new Promise((settle) => setTimeout(settle, 2000));
  return bench;
}

async function startCauseway(
  dir: string,
  at: { port: number; upstreamPort: number; caFile: string; tls: ServerFiles; key: string },
): Promise<NginxProcess> {
  const registry = join(dir, 'registry.json');
  const credentials = join(dir, 'credentials.json');
  const limits = { rate: 100_000, burst: 100_000, concurrency: 10_000, maxStreams: 10_000 };
  writeJsonState(registry, {
    version: 1,
    consumers: [{ id: 'bench', keys: [{ id: 'k1', sha256: hashKey(at.key) }], ...limits }],
  });
  writeJsonState(credentials, { version: 1, credentials: { bench: 'sk-ant-bench-credential' } });
  const environment = resolveEnvironment(
    {
      environments: {
        bench: {
          upstreams: [
            { id: 'bench', host: UPSTREAM_HOST, port: at.upstreamPort, addresses: ['127.0.0.1'], caFile: at.caFile },
          ],
          tls: { caFile: at.caFile },
        },
      },
    },
    'bench',
  );
  return NginxProcess.start({
    environment,
    placement: {
      prefix: join(dir, 'conf'),
      runtimeDirectory: join(dir, 'run'),
      luaDirectory: join(__dirname, '..', 'gateway', 'lua'),
      httpsListen: [`127.0.0.1:${at.port}`],
      certificate: at.tls,
      registrySource: registry,
      credentialsSource: credentials,
      workers: 2,
      region: 'bench',
      ...(process.getuid?.() === 0 ? { user: 'root' } : {}),
    },
    logs: { stdout: join(dir, 'causeway.jsonl'), stderr: join(dir, 'causeway.log') },
  });
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
