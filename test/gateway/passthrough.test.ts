import { exchange, lastRequest, messageBody, valuesOf, type HeaderLines } from './support/exchange';
import { useGateway } from './support/gateways';
import { lineOf, requestLines } from './support/metering';
import { UPSTREAM_SECRET } from './harness';

/** The clients' own credentials, which the upstream knows and the gateway does not. */
const OWN = ['sk-ant-own-credential-of-a-client-1', 'sk-ant-own-credential-of-a-client-2'] as const;
const UNKNOWN = 'sk-ant-unknown-credential-of-a-client';

const gateway = useGateway({
  workers: 1,
  // Limits are no matter of this file.
  config: {
    auth: { mode: 'passthrough' },
    limits: { perAddress: { rate: 10_000, burst: 10_000 } },
    consumers: { defaults: { rate: 10_000, burst: 10_000 } },
  },
  mock: { requireKeys: [...OWN] },
});

const apiKey = (key: string): HeaderLines => [['X-Api-Key', key]];
const bearer = (key: string): HeaderLines => [['Authorization', `Bearer ${key}`]];

beforeAll(() => {
  for (const key of [...OWN, UNKNOWN]) gateway().secret(key);
});

describe('the client’s own credential', () => {
  it.each<[string, HeaderLines]>([
    ['x-api-key', apiKey(OWN[0])],
    ['Authorization', bearer(OWN[0])],
    ['Authorization in odd spelling', [['authorization', `bearer   ${OWN[0]}`]]],
    ['both', [...apiKey(OWN[0]), ...bearer(OWN[0])]],
  ])('reaches the upstream as it came, and no other does (%s)', async (_name, credential) => {
    const answer = await exchange(gateway(), { credential, body: messageBody() });
    expect(answer.status).toBe(200);
    const { rawHeaders } = lastRequest(gateway());
    const value = (name: string): string[] => valuesOf(credential, name);
    expect(valuesOf(rawHeaders, 'x-api-key')).toEqual(value('x-api-key'));
    expect(valuesOf(rawHeaders, 'authorization')).toEqual(value('authorization'));
    expect(rawHeaders.flat().join()).not.toContain(UPSTREAM_SECRET);
  });

  it('that the upstream does not know is refused by the upstream, in its own words', async () => {
    const body =
      '{"type":"error" ,"error":{"type":"authentication_error","message":"\\u0069nvalid"},"request_id":"r"}\n';
    for (const credential of [apiKey(UNKNOWN), bearer(UNKNOWN)]) {
      const answer = await exchange(gateway(), { credential, body: messageBody() });
      expect(answer.status).toBe(401);
      expect(answer.headers['request-id']).toBe(lastRequest(gateway()).requestId);
      expect(lastRequest(gateway()).status).toBe(401);
      gateway().mock.script({ times: 1, script: { status: 401, body, headers: { 'x-should-retry': 'false' } } });
      const again = await exchange(gateway(), { credential: apiKey(OWN[1]), body: messageBody() });
      expect([again.status, again.body.toString(), again.headers['x-should-retry']]).toEqual([401, body, 'false']);
    }
  });

  it('that is missing, or two that disagree, get no further than the gateway', async () => {
    const disagreeing = [...apiKey(OWN[0]), ...bearer(OWN[1])];
    for (const credential of [[], disagreeing, [['Authorization', 'Basic eA==']] as const]) {
      const answer = await exchange(gateway(), { credential, body: messageBody() });
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { type: 'authentication_error' } });
    }
    expect(gateway().mock.requests()).toEqual([]);
  });
});

describe('a credential as a dimension', () => {
  it('is none before the upstream has accepted it', async () => {
    const never = gateway().secret('sk-ant-never-accepted');
    const ids: (string | undefined)[] = [];
    for (const script of [{}, { status: 529 }, { status: 400 }]) {
      await exchange(gateway(), { credential: apiKey(never), body: messageBody(), script });
      ids.push(lastRequest(gateway()).requestId);
    }
    await exchange(gateway(), { credential: apiKey(never), method: 'GET', target: '/v1/organizations/me' });
    for (const id of ids) {
      const line = await lineOf(gateway(), id);
      expect(line['Consumer']).toBeUndefined();
      // For searches in the logs the hash is there all the same.
      expect(line['consumer']).toMatch(/^credential-[0-9a-f]{16}$/);
      expect(JSON.stringify(line['_aws'])).not.toContain('"Consumer"');
    }
    const [refused] = await requestLines(gateway(), 1, (line) => line['refusal'] === 'admin_api');
    expect(refused?.['Consumer']).toBeUndefined();
  });

  it('is the same for one credential in either header, another for another', async () => {
    const seen: unknown[] = [];
    for (const credential of [apiKey(OWN[0]), bearer(OWN[0]), apiKey(OWN[1])]) {
      await exchange(gateway(), { credential, body: messageBody() });
      const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
      expect(line['Consumer']).toMatch(/^credential-[0-9a-f]{16}$/);
      expect(JSON.stringify(line['_aws'])).toContain('"Consumer"');
      seen.push(line['Consumer']);
    }
    expect(seen[0]).toBe(seen[1]);
    expect(seen[2]).not.toBe(seen[0]);
  });
});

it('answers stream and are metered as in the other mode', async () => {
  const script = { usage: { input: 12, output: 34 } };
  const body = messageBody({ stream: true });
  const answer = await exchange(gateway(), { credential: bearer(OWN[0]), body, script });
  expect(answer.body.toString()).toMatch(/^event: message_start\n[^]*event: message_stop\n/);
  const line = await lineOf(gateway(), lastRequest(gateway()).requestId);
  expect(line).toMatchObject({ InputTokens: 12, OutputTokens: 34, stream: true, status: 200 });
});
