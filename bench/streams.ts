import https from 'node:https';

/** What streams saw while a number of them were open. Times in ms. */
export interface StreamLoad {
  /** Of the streams that began while the others were being opened: their upstream connections are new ones. */
  readonly rampFirstByteP50Ms: number;
  /**
   * Of streams that begin and end while the number is open: from sending the request to the first byte of the answer's
   * body, less nothing, for the upstream answers at once.
   */
  readonly firstByteP50Ms: number;
  readonly firstByteP99Ms: number;
  /** From the upstream's writing of an event to its arrival, of all streams. */
  readonly chunkP50Ms: number;
  readonly chunkP99Ms: number;
}

/** How streams are opened. */
export interface StreamOptions {
  readonly url: string;
  readonly key: string;
  readonly ca: string;
  readonly streams: number;
  /** Events of each stream. */
  readonly chunks: number;
  /** Between two events, in seconds. */
  readonly pauseSeconds: number;
  /** Called while all are open. */
  readonly whileOpen: () => void;
}

/** Streams that begin while the others are open: how many at a time, and how many in all. */
const PROBES_AT_A_TIME = 4;
const PROBES = 400;

/** Opens streams on warm connections, a few at a time so that handshakes do not pile up, and times what arrives. */
export async function openStreams(options: StreamOptions): Promise<StreamLoad> {
  const agent = new https.Agent({ keepAlive: true, maxSockets: Infinity, ca: options.ca });
  const rampFirstBytes: number[] = [];
  const firstBytes: number[] = [];
  const chunks: number[] = [];
  try {
    await warm(agent, options);
    const running: Promise<void>[] = [];
    const opened: Promise<void>[] = [];
    // Spread over one pause, as users are: a thousand starts in one instant measure only the start.
    const gapMs = (options.pauseSeconds * 1000) / options.streams;
    const begun = performance.now();
    for (let index = 0; index < options.streams; index += 1) {
      const due = begun + index * gapMs;
      if (due > performance.now()) await new Promise((settle) => setTimeout(settle, due - performance.now()));
      opened.push(
        new Promise((open, fail) => {
          const all = stream(agent, options, rampFirstBytes, chunks, open);
          all.catch(fail);
          running.push(all);
        }),
      );
    }
    // On a machine that is busy with handshakes the last ones take their time.
    await Promise.all(opened);
    options.whileOpen();
    // Half a pause before the first one ends.
    await probe(agent, options, begun + options.pauseSeconds * (options.chunks - 1.5) * 1000, firstBytes, chunks);
    await Promise.all(running);
  } finally {
    agent.destroy();
  }
  return {
    rampFirstByteP50Ms: percentile(rampFirstBytes, 0.5),
    firstByteP50Ms: percentile(firstBytes, 0.5),
    firstByteP99Ms: percentile(firstBytes, 0.99),
    chunkP50Ms: percentile(chunks, 0.5),
    chunkP99Ms: percentile(chunks, 0.99),
  };
}

/** Short streams, one after the other on connections of their own, while the long ones are open. */
async function probe(
  agent: https.Agent,
  options: StreamOptions,
  until: number,
  firstBytes: number[],
  chunks: number[],
): Promise<void> {
  const short = { ...options, chunks: 2, pauseSeconds: 0.005 };
  // The first ones open the connections that the others go over.
  const one = async (): Promise<void> => {
    await stream(agent, short, [], chunks);
    for (let index = 0; index < PROBES / PROBES_AT_A_TIME && performance.now() < until; index += 1) {
      await stream(agent, short, firstBytes, chunks);
    }
  };
  await Promise.all(Array.from({ length: PROBES_AT_A_TIME }, one));
}

/** One short request a connection, so that no stream's first byte waits for a TLS handshake. */
async function warm(agent: https.Agent, options: StreamOptions): Promise<void> {
  for (let begun = 0; begun < options.streams; begun += 50) {
    const count = Math.min(50, options.streams - begun);
    await Promise.all(
      Array.from({ length: count }, () => stream(agent, { ...options, chunks: 2, pauseSeconds: 0.2 }, [], [])),
    );
  }
}

function stream(
  agent: https.Agent,
  options: StreamOptions,
  firstBytes: number[],
  chunks: number[],
  onFirst?: () => void,
): Promise<void> {
  return new Promise((settle, reject) => {
    const started = process.hrtime.bigint();
    let first = true;
    let rest = '';
    const request = https.request(
      `${options.url}/v1/messages`,
      {
        method: 'POST',
        agent,
        headers: {
          'x-api-key': options.key,
          'anthropic-version': '2023-06-01',
          'content-type': 'application/json',
          'x-bench-stream': `${options.chunks},${options.pauseSeconds}`,
        },
      },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`a stream was answered with ${response.statusCode ?? 0}`));
        response.setEncoding('latin1');
        response.on('data', (text: string) => {
          const now = process.hrtime.bigint();
          if (first) {
            first = false;
            firstBytes.push(Number(now - started) / 1e6);
            onFirst?.();
          }
          rest += text;
          for (;;) {
            const end = rest.indexOf('\n\n');
            if (end < 0) break;
            const written = /"text":"(\d+)"/.exec(rest.slice(0, end))?.[1];
            rest = rest.slice(end + 2);
            if (written !== undefined) chunks.push(Number(now - BigInt(written)) / 1e6);
          }
        });
        response.on('end', settle);
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end('{"model":"claude-sonnet-4-5","max_tokens":64,"stream":true,"messages":[]}');
  });
}

/** The value below which a share of the samples lies. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
