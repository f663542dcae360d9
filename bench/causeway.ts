import { join } from 'node:path';

import { resolveEnvironment, type EnvironmentInput } from '../lib/config';
import { createKey, hashKey, type RegisteredConsumer } from '../lib/registry/document';
import { NginxProcess } from '../local/nginx-process';
import { writeJsonState } from '../local/state-file';
import { valkeyVariables } from '../local/valkey-process';
import type { ServerFiles } from './upstream-conf';

/** The upstream's host name in every benchmark. */
export const UPSTREAM_HOST = 'api.claude.test';

/** A consumer that no limit holds up. */
const UNLIMITED = { rate: 100_000, burst: 100_000, concurrency: 10_000, maxStreams: 10_000 };

/** How Causeway is started for a benchmark. */
export interface CausewayOptions {
  readonly port: number;
  readonly upstreamPort: number;
  /** PEM file of the upstream's authority. */
  readonly caFile: string;
  /** What it serves. */
  readonly tls: ServerFiles;
  /** Laid over the environment. @default {} */
  readonly config?: EnvironmentInput;
  /** @default one, without limits */
  readonly consumers?: readonly Omit<RegisteredConsumer, 'keys'>[];
  /** Shared with other nodes. @default none */
  readonly valkey?: Parameters<typeof valkeyVariables>[0];
  /** DNS servers. @default those of the machine */
  readonly resolvers?: readonly string[];
  /** Name of its files, where several run. @default 'causeway' */
  readonly name?: string;
  /** Keys of the consumers, where several nodes share them. @default new ones */
  readonly keys?: readonly string[];
}

/** Starts a gateway of two workers with everything on. Its keys are in the order of its consumers. */
export async function startCauseway(
  dir: string,
  options: CausewayOptions,
): Promise<{ nginx: NginxProcess; keys: readonly string[]; stdout: string }> {
  const name = options.name ?? 'causeway';
  const registry = join(dir, `${name}-registry.json`);
  const credentials = join(dir, `${name}-credentials.json`);
  const consumers = options.consumers ?? [{ id: 'bench' }];
  const keys = options.keys ?? consumers.map(() => createKey());
  writeJsonState(registry, {
    version: 1,
    consumers: consumers.map((consumer, index) => ({
      ...UNLIMITED,
      ...consumer,
      keys: [{ id: 'k1', sha256: hashKey(keys[index] ?? '') }],
    })),
  });
  writeJsonState(credentials, { version: 1, credentials: { bench: 'sk-ant-bench-credential' } });
  const environment = resolveEnvironment(
    {
      common: {
        upstreams: [
          {
            id: 'bench',
            host: UPSTREAM_HOST,
            port: options.upstreamPort,
            addresses: ['127.0.0.1'],
            caFile: options.caFile,
          },
        ],
        tls: { caFile: options.caFile },
      },
      environments: { bench: options.config ?? {} },
    },
    'bench',
  );
  const stdout = join(dir, `${name}.jsonl`);
  const nginx = await NginxProcess.start({
    environment,
    placement: {
      prefix: join(dir, `${name}-conf`),
      runtimeDirectory: join(dir, `${name}-run`),
      luaDirectory: join(__dirname, '..', 'gateway', 'lua'),
      httpsListen: [`127.0.0.1:${options.port}`],
      certificate: options.tls,
      registrySource: registry,
      credentialsSource: credentials,
      workers: 2,
      region: 'bench',
      ...(options.valkey === undefined ? {} : { valkey: { tls: false } }),
      ...(options.resolvers === undefined ? {} : { resolvers: options.resolvers }),
      ...(process.getuid?.() === 0 ? { user: 'root' } : {}),
    },
    ...(options.valkey === undefined ? {} : { variables: valkeyVariables(options.valkey) }),
    logs: { stdout, stderr: join(dir, `${name}.log`) },
  });
  return { nginx, keys, stdout };
}
