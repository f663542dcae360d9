import { readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { join } from 'node:path';

import type { MockScript } from '../../local/mock-claude/server';
import { eventually, startGateway, type GatewayOptions, type TestGateway } from './harness';
import { asking, CACHEABLE } from './support/cacheable';
import { exchange, messageBody, type Sending } from './support/exchange';
import { begin, headersOf, readStream } from './support/http-client';
import { connectRaw } from './support/raw-client';

async function within(options: GatewayOptions, use: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const gateway = await startGateway(options);
  try {
    await use(gateway);
  } finally {
    await gateway.stop();
  }
}

const bodyOf = (name: string, more: Record<string, unknown> = {}): string =>
  messageBody({ messages: [{ role: 'user', content: name }], ...more });
const asked = (name: string, more: Sending = {}): Sending => ({ ...asking('max-age=60'), body: bodyOf(name), ...more });

/** Sends requests over one HTTP/2 connection, so that only what the gateway itself opens takes connections of it. */
function overOne(gateway: TestGateway) {
  const session = http2.connect(gateway.tlsUrl, { ca: gateway.authority.root });
  const send = (name: string, script: MockScript, more: Record<string, string> = {}): Promise<number> =>
    new Promise((settle, reject) => {
      const body = bodyOf(name);
      const request = session.request({
        ':method': 'POST',
        ':path': '/v1/messages',
        ...headersOf(gateway, { script }),
        ...more,
        'content-length': String(Buffer.byteLength(body)),
      });
      let status = 0;
      request.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      request.on('close', () => {
        settle(status);
      });
      request.on('error', reject);
      request.resume();
      request.end(body);
    });
  return { session, send };
}

describe('a worker that has no connection left', () => {
  it('leaves nobody waiting for an answer that is never fetched, and shares again afterwards', async () => {
    // Idle connections to the upstream would hold what is missing for another minute.
    const options = { first: { keepaliveConnections: 8 }, config: { limits: { workerConnections: 64 } } };
    await within({ workers: 1, ...options }, async (gateway) => {
      const { session, send } = overOne(gateway);
      const direct = Array.from({ length: 200 }, (_, index) => send(`direct ${index}`, { delayMs: 3000 }));
      await gateway.waitForLog('are not enough while connecting');
      const shared = Array.from({ length: 30 }, (_, index) =>
        send(`shared ${index % 10}`, {}, { 'x-causeway-cache': 'max-age=60' }),
      );
      const statuses = await Promise.all(shared);
      expect(statuses.filter((status) => status !== 200 && status !== 500)).toEqual([]);
      await Promise.all(direct);
      session.close();
      await eventually(async () => {
        const answers = [await exchange(gateway, asked('shared 1')), await exchange(gateway, asked('shared 1'))];
        return answers[1]?.headers['x-causeway-cache'] === 'HIT' ? true : undefined;
      });
      await gateway.waitForLine((line) => line['cache'] === 'HIT');
    });
  }, 60_000);
});

test('requests go their own way where the internal listener cannot be reached', async () => {
  await within({ workers: 1 }, async (gateway) => {
    rmSync(join(gateway.dir, 'run', 'proxy', 'fetch.sock'));
    for (const name of ['first', 'second']) {
      const answer = await exchange(gateway, asked(name));
      expect([answer.status, answer.headers['x-causeway-cache']]).toEqual([200, 'BYPASS']);
    }
    expect(gateway.mock.requests()).toHaveLength(2);
    await gateway.waitForLog('a fetch cannot begin: connect');
  });
});

test.each(CACHEABLE)('$what goes out whole to a client of HTTP/1.0', async ({ what, routeClass, sending }) => {
  await within({ workers: 1 }, async (gateway) => {
    const { method = 'POST', target, body = '' } = sending(what);
    for (const state of ['MISS', 'HIT']) {
      const client = await connectRaw(gateway.httpPort);
      const lines = [
        `${method} ${target ?? '/v1/messages'} HTTP/1.0`,
        'Host: gateway',
        `x-api-key: ${gateway.key}`,
        'anthropic-version: 2023-06-01',
        ...(routeClass === 'generate' ? ['x-causeway-cache: max-age=60'] : []),
        ...(body === '' ? [] : [`content-length: ${body.length}`]),
      ];
      client.write(`${lines.join('\r\n')}\r\n\r\n${body.toString()}`);
      const text = await client.closed;
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(text).toContain(`x-causeway-cache: ${state}`);
      const answer = text.slice(text.indexOf('\r\n\r\n') + 4);
      if (text.includes('text/event-stream')) expect(readStream(answer).complete).toBe(true);
      else expect(() => JSON.parse(answer) as unknown).not.toThrow();
    }
  });
});

describe('an answer that nobody waits for any more', () => {
  it.each([false, true])(
    'ends upstream, so that a consumer has no more calls than places; stream: %s',
    async (stream) => {
      const consumers = [{ id: 'team-a', concurrency: 1, maxStreams: 1 }];
      await within({ workers: 2, consumers }, async (gateway) => {
        const script = stream ? { deltas: 300, deltaMs: 100 } : { delayMs: 30_000 };
        for (let index = 0; index < 3; index += 1) {
          const marker = `leaver-${index}`;
          const leaver = begin(gateway, {
            body: bodyOf('left', { stream }),
            script,
            headers: { 'x-causeway-cache': 'max-age=60', 'user-agent': marker },
          });
          await eventually(() => (gateway.mock.requests().length === index + 1 ? true : undefined));
          leaver.request.destroy();
          await gateway.waitForLine((line) => line['userAgent'] === marker && line['status'] === 499);
          const record = gateway.mock.requests()[index];
          await eventually(() => (record?.aborted === true ? true : undefined));
        }
        const next = await exchange(gateway, asked('left', { body: bodyOf('left', { stream }) }));
        expect([next.status, next.headers['x-causeway-cache']]).toEqual([200, 'MISS']);
        expect(gateway.mock.requests()).toHaveLength(4);
      });
    },
    60_000,
  );
});

test('long prompts do not stand in memory while their answers are waited for', async () => {
  await within({ workers: 1 }, async (gateway) => {
    const peak = (): number => {
      const [pid] = gateway.nginx.workers();
      const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(kib) / 1024;
    };
    const COUNT = 30;
    const MEGABYTES = 15;
    const answers = await Promise.all(
      Array.from({ length: COUNT }, (_, index) =>
        exchange(gateway, asked(`${index} ${'long '.repeat(MEGABYTES * 200_000)}`, { script: { delayMs: 15_000 } })),
      ),
    );
    expect(answers.map(({ headers }) => headers['x-causeway-cache'])).toEqual(Array(COUNT).fill('MISS'));
    expect(peak()).toBeLessThan((COUNT * MEGABYTES) / 2);
  });
}, 120_000);

test('in passthrough an answer is fetched with the credential that it is kept for, and no other', async () => {
  const [own, other] = ['sk-own-0123456789', 'sk-other-0123456789'] as const;
  const config = { auth: { mode: 'passthrough', pollSeconds: 1 } } as const;
  await within({ workers: 1, config, mock: { requireKeys: [own, other] } }, async (gateway) => {
    const ask = (name: string, more: Sending['headers'] = []) =>
      exchange(gateway, {
        ...asked(name, { credential: [['x-api-key', own]] }),
        headers: [...asking('max-age=60').headers, ...more],
      });
    await ask('proves the credential');
    // nginx reads each of these as `x-api-key`, and names of headers come in no order out of a Lua table.
    for (const name of ['X_Api_Key', 'x-api_key', 'x_api-key']) {
      const answer = await ask(name, [[name, other]]);
      expect([answer.status, answer.headers['x-causeway-cache']]).toEqual([200, 'MISS']);
      expect(gateway.mock.requests().at(-1)?.headers['x-api-key']).toBe(own);
    }
  });
});
