import { createKey, hashKey, type RegisteredConsumer } from '../../../../lib/registry/document';
import { writeJsonState } from '../../../../local/state-file';
import { eventually, startGateway, UPSTREAM_SECRET, type TestGateway } from '../../harness';
import { sendH2 } from '../h2-wire';
import { sendBytes } from '../wire';
import { request, type Attack, type AttackTable, type Ending, type Keys } from './attack';

/** What an attack was answered, however it was sent. */
interface Outcome {
  readonly status: number;
  readonly body: string;
  /** Absent where the protocol hides it. */
  readonly requestId?: string | undefined;
  /** Status lines on the connection. */
  readonly answers: number;
}

const WIDE = { rate: 100_000, burst: 100_000, concurrency: 1000, maxStreams: 1000 };

/** Consumers whose keys {@link Keys} describes; the revoked key is in none of them any more. */
function consumers(keys: Keys, revoked: boolean): RegisteredConsumer[] {
  const key = (text: string, notAfter?: string) => [
    { id: 'k1', sha256: hashKey(text), ...(notAfter === undefined ? {} : { notAfter }) },
  ];
  return [
    { id: 'open', ...WIDE, keys: key(keys.open) },
    { id: 'haiku', ...WIDE, keys: key(keys.haiku), models: ['claude-haiku-*'] },
    {
      id: 'haiku-everywhere',
      ...WIDE,
      keys: key(keys.haikuEverywhere),
      models: ['claude-haiku-*'],
      routes: ['generate', 'count', 'other'],
    },
    { id: 'small', ...WIDE, keys: key(keys.small), maxBodyBytes: 64 },
    { id: 'reader', ...WIDE, keys: key(keys.reader), routes: ['models', 'count'] },
    { id: 'disabled', ...WIDE, keys: key(keys.disabled), disabled: true },
    { id: 'expired', ...WIDE, keys: key(keys.expired, '2026-01-01T00:00:00Z') },
    ...(revoked ? [] : [{ id: 'revoked', ...WIDE, keys: key(keys.revoked) }]),
  ];
}

/** Starts a gateway that knows these keys, the revoked one revoked while it ran. */
async function start(keys: Keys): Promise<TestGateway> {
  const gateway = await startGateway({
    config: {
      // What is limited by address is another test's matter.
      limits: { perAddress: { rate: 100_000, burst: 100_000 } },
      // No copy serves, so that whatever passes can be seen upstream; it passes as it does where one may be kept.
      cache: { ttl: { edgeSeconds: 0, proxySeconds: 0, sharedSeconds: 0 } },
    },
  });
  for (const each of Object.values(keys) as string[]) gateway.secret(each);
  const statusOf = async (key: string): Promise<number> =>
    (await sendBytes(gateway.httpPort, request('/v1/models', key))).status;
  for (const revoked of [false, true]) {
    writeJsonState(gateway.files.registry, { version: 1, consumers: consumers(keys, revoked) });
    // Each worker reads for itself: several good ones in a row mean that both have.
    await eventually(async () => {
      for (let count = 0; count < 16; count += 1) {
        if ((await statusOf(keys.revoked)) !== (revoked ? 401 : 200)) return undefined;
      }
      return true;
    }, 15_000);
  }
  return gateway;
}

async function send(gateway: TestGateway, keys: Keys, attack: Attack): Promise<Outcome> {
  if (attack.http2 !== undefined) {
    const { headers, body } = attack.http2(keys);
    const answer = await sendH2(gateway.httpsPort, headers, body);
    return { ...answer, answers: answer.status === 0 ? 0 : 1 };
  }
  const answer = await sendBytes(gateway.httpPort, attack.bytes?.(keys) ?? '');
  return { ...answer, requestId: answer.headers['request-id'] };
}

function expectEnding(outcome: Outcome, ends: Ending): void {
  if ('cut' in ends) {
    expect(outcome).toMatchObject({ status: 0, body: '' });
    return;
  }
  if ('passes' in ends) {
    // What the upstream makes of it is the upstream's matter.
    expect([200, 400]).toContain(outcome.status);
    return;
  }
  expect({ status: outcome.status, body: outcome.body.slice(0, 500) }).toEqual({
    status: ends.status,
    body: expect.any(String) as unknown,
  });
  const error = JSON.parse(outcome.body) as Record<string, unknown>;
  expect(error).toEqual({
    type: 'error',
    error: { type: ends.type, message: expect.stringMatching(/./) as unknown },
    request_id: expect.stringMatching(/^req_[0-9a-f]{32}$/) as unknown,
  });
  if (outcome.requestId !== undefined) expect(outcome.requestId).toBe(error['request_id']);
  expect(outcome.answers).toBe(1);
  // Messages repeat a model's name, never a body.
  expect(outcome.body.length).toBeLessThan(1000);
}

/** What the upstream got is clean: from the gateway alone, and nothing of anybody's key but the gateway's own. */
function expectCleanUpstream(gateway: TestGateway, keys: Keys): void {
  for (const record of gateway.mock.requests()) {
    expect(record.url).not.toContain('smuggled');
    expect(record.headers).toMatchObject({ 'x-api-key': UPSTREAM_SECRET });
    expect(record.headers['host']).toBe(`api.claude.test:${gateway.mock.port}`);
    const flat = JSON.stringify(record.rawHeaders);
    for (const key of Object.values(keys) as string[]) expect(flat).not.toContain(key);
    expect(flat).not.toMatch(/203\.0\.113\.9|evil/);
  }
}

/** The tests of one table. */
export function testAttacks({ theme, attacks }: AttackTable): void {
  describe(theme, () => {
    const key = (): string => createKey();
    const keys: Keys = {
      open: key(),
      haiku: key(),
      haikuEverywhere: key(),
      small: key(),
      reader: key(),
      revoked: key(),
      expired: key(),
      disabled: key(),
    };
    let gateway: TestGateway;
    beforeAll(async () => {
      gateway = await start(keys);
    });
    afterAll(() => gateway.stop());
    beforeEach(() => {
      gateway.mock.clear();
    });

    it.each(attacks.map((attack) => [attack.name, attack] as const))('%s', async (_name, attack) => {
      const outcome = await send(gateway, keys, attack);
      expectEnding(outcome, attack.ends);
      expect(gateway.mock.requests()).toHaveLength('passes' in attack.ends ? 1 : 0);
      expectCleanUpstream(gateway, keys);

      const next = await sendBytes(gateway.httpPort, request('/v1/models?limit=1', keys.open));
      expect(next.status).toBe(200);
      expect(gateway.mock.requests().at(-1)).toMatchObject({ method: 'GET', url: '/v1/models?limit=1' });
      expect(gateway.mock.requests()).toHaveLength('passes' in attack.ends ? 2 : 1);
    });
  });
}
