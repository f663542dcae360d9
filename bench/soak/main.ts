import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

import { openLog, startChild } from '../../local/child';
import { benchPackages, ensureDebianPackages, gatewayPackages } from '../../local/debian-packages';
import { createAuthority, issueLeaf } from '../../local/pki';
import { freePort } from '../../local/ports';
import { runMain, UserError } from '../../local/user-error';
import { startValkey } from '../../local/valkey-process';
import { startCauseway, UPSTREAM_HOST } from '../causeway';
import { workersOf } from '../processes';
import { judge, table, type Sample } from './verdict';
import { soakUpstreamConf } from './upstream';

const HELP = `A day of mixed traffic in some minutes: does memory stay flat, do the dictionaries stay within their bounds?

  npm run soak -- [--minutes N] [--connections N]

JSON and streams, cached and not, errors of every kind, broken streams, clients that leave, unknown keys, more consumers
than fit their limits; entries live for seconds where they live for minutes in a day. Prints an hour a line and fails
where the memory of a worker grows or a dictionary runs full.
`;

const run = promisify(execFile);
const MIB = 1024 * 1024;
const CONSUMERS = 5;
/** A day has this many samples. */
const HOURS = 24;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '4' },
      connections: { type: 'string', default: '64' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  await ensureDebianPackages([...gatewayPackages, ...benchPackages]);
  const dir = mkdtempSync(join(tmpdir(), 'causeway-soak-'));
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const verdict = await soak(dir, stops, Number(values.minutes) * 60, Number(values.connections));
    process.stdout.write(`${verdict.text}\n`);
    return verdict.flat ? 0 : 1;
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function soak(
  dir: string,
  stops: (() => Promise<unknown>)[],
  seconds: number,
  connections: number,
): Promise<{ text: string; flat: boolean }> {
  const ca = await createAuthority();
  const leaf = await issueLeaf({ hosts: [UPSTREAM_HOST, 'localhost', '127.0.0.1'], authority: ca });
  const file = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content, { mode: 0o600 });
    return join(dir, name);
  };
  const tls = { chainFile: file('chain.pem', leaf.chain), keyFile: file('key.pem', leaf.key) };
  const caFile = file('ca.pem', ca.root);
  const [upstreamPort, port] = [await freePort(), await freePort()];
  const runtime = join(dir, 'upstream');
  mkdirSync(runtime);
  const conf = file('upstream.conf', soakUpstreamConf(upstreamPort, tls, runtime));
  const upstream = await startChild({
    name: 'upstream',
    command: 'nginx',
    args: ['-p', runtime, '-c', conf],
    stderr: openLog(join(dir, 'upstream.log')),
  });
  stops.push(() => upstream.stop());
  const valkey = await startValkey({ dir: join(dir, 'valkey'), maxMemoryMb: 64 });
  stops.push(() => valkey.stop());
  const { nginx, keys, stdout } = await startCauseway(dir, {
    port,
    upstreamPort,
    caFile,
    tls,
    valkey,
    config: {
      cache: {
        nodeBytes: 16 * MIB,
        ttl: { clientSeconds: 0, edgeSeconds: 2, proxySeconds: 2, sharedSeconds: 10, outageSeconds: 60 },
      },
      observability: { gaugeSeconds: 1 },
      limits: { perAddress: { rate: 10_000, burst: 10_000 } },
    },
    consumers: Array.from({ length: CONSUMERS }, (_, index) => ({
      id: `team-${index}`,
      // One is limited, so that refusals are part of the day.
      ...(index === 0 ? { rate: 50, burst: 20, concurrency: 10 } : {}),
    })),
  });
  stops.push(() => nginx.stop(2000));

  let over = false;
  const leaving = leavers(`https://127.0.0.1:${port}`, keys[1] ?? '', ca.root, () => over);
  const load = run(
    'wrk',
    [
      '-t',
      '1',
      '-c',
      String(connections),
      '-d',
      `${seconds}s`,
      '-s',
      join(__dirname, 'mix.lua'),
      `https://127.0.0.1:${port}`,
    ],
    { env: { ...process.env, SOAK_KEYS: keys.join(','), SOAK_SEED: '1' } },
  );
  const samples: Sample[] = [];
  for (let hour = 1; hour <= HOURS; hour += 1) {
    await new Promise((settle) => setTimeout(settle, (seconds * 1000) / HOURS));
    samples.push(sample(hour, nginx.pid, stdout));
    process.stderr.write('.');
  }
  process.stderr.write('\n');
  over = true;
  const { stdout: said } = await load;
  const left = await leaving;
  const line = said.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new UserError(`wrk printed no result:\n${said}`);
  const verdict = judge(samples);
  return {
    flat: verdict.problems.length === 0,
    text: `${table(samples)}\n${line}\n${left} clients left midway\n${verdict.text}`,
  };
}

/** What the gateway holds now. The log is cut: a day of lines is gigabytes. */
function sample(hour: number, master: number, stdout: string): Sample {
  const free: Record<string, number> = {};
  for (const line of readFileSync(stdout, 'utf8').split('\n')) {
    if (!line.includes('"DictFreeBytes"') || !line.endsWith('}')) continue;
    const { Dict, DictFreeBytes } = JSON.parse(line) as { Dict: string; DictFreeBytes: number };
    free[Dict] = DictFreeBytes;
  }
  truncateSync(stdout);
  const workers = workersOf(master).map((pid) => {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kb) * 1024;
  });
  return { hour, workers, free };
}

/** Clients that leave in the middle of a stream, one after the other. */
async function leavers(url: string, key: string, ca: string, over: () => boolean): Promise<number> {
  let left = 0;
  const agent = new https.Agent({ ca });
  while (!over()) {
    await new Promise<void>((settle) => {
      const request = https.request(
        `${url}/v1/messages`,
        {
          method: 'POST',
          agent,
          headers: {
            'x-api-key': key,
            'content-type': 'application/json',
            'x-soak': 'stream',
            ...(left % 2 === 0 ? { 'x-causeway-cache': 'max-age=60' } : {}),
          },
        },
        (response) => {
          response.once('data', () => {
            request.destroy();
            left += 1;
            settle();
          });
          response.once('error', () => undefined);
          response.once('end', settle);
        },
      );
      request.once('error', () => {
        settle();
      });
      request.end(`{"model":"claude-sonnet-4-5","max_tokens":64,"stream":true,"n":${left},"messages":[]}`);
    });
    await new Promise((settle) => setTimeout(settle, 20));
  }
  agent.destroy();
  return left;
}

runMain(main);
