import { CACHEABLE } from './support/cacheable';
import { exchange, lastRequest, type HeaderLines, type Received } from './support/exchange';
import { useGateway } from './support/gateways';

/** The clients' own credentials, which the upstream knows and the gateway does not. */
const OWN = ['sk-ant-own-credential-of-a-client-1', 'sk-ant-own-credential-of-a-client-2'] as const;
const UNKNOWN = 'sk-ant-unknown-credential-of-a-client';

const gateway = useGateway({
  config: {
    auth: { mode: 'passthrough' },
    limits: { perAddress: { rate: 10_000, burst: 10_000 } },
    consumers: { defaults: { rate: 10_000, burst: 10_000 } },
  },
  mock: { requireKeys: [...OWN] },
});
beforeAll(() => {
  for (const key of [...OWN, UNKNOWN]) gateway().secret(key);
});

const stateOf = ({ headers }: Received): string | undefined => headers['x-causeway-cache'];
const apiKey = (key: string): HeaderLines => [['X-Api-Key', key]];
const bearer = (key: string): HeaderLines => [['Authorization', `Bearer ${key}`]];
/** Lets the upstream accept a credential: only then is it anybody's. */
const prove = (key: string) =>
  exchange(gateway(), {
    method: 'GET',
    target: '/v1/models/claude-sonnet-5-5',
    credential: apiKey(key),
    headers: [['x-causeway-cache', 'no-store']],
  });

describe.each(CACHEABLE)('with the client’s own credential $what', ({ what, sending }) => {
  it('is fetched and kept for that credential alone, however it is sent', async () => {
    for (const key of OWN) await prove(key);
    gateway().mock.clear();
    const ask = (credential: HeaderLines) => exchange(gateway(), sending(`${what}: own`, { credential }));
    const first = await ask(apiKey(OWN[0]));
    expect(stateOf(first)).toBe('MISS');
    expect(lastRequest(gateway()).headers['x-api-key']).toBe(OWN[0]);
    const again = await ask(bearer(OWN[0]));
    expect([stateOf(again), again.headers['request-id']]).toEqual(['HIT', first.headers['request-id']]);
    const other = await ask(bearer(OWN[1]));
    expect(stateOf(other)).toBe('MISS');
    expect(lastRequest(gateway()).headers['authorization']).toBe(`Bearer ${OWN[1]}`);
    expect(other.headers['request-id']).not.toBe(first.headers['request-id']);
    expect(gateway().mock.requests()).toHaveLength(2);
  });

  it('is nothing for a credential that the upstream has not accepted, or accepts no longer', async () => {
    await prove(OWN[0]);
    const asked = sending(`${what}: refused`, { credential: apiKey(OWN[0]) });
    await exchange(gateway(), asked);
    expect((await exchange(gateway(), sending(`${what}: refused`, { credential: apiKey(UNKNOWN) }))).status).toBe(401);
    // A fetch hears of it like any request.
    gateway().mock.script({ times: 1, script: { status: 401 } });
    expect((await exchange(gateway(), sending(`${what}: refused by now`, { credential: apiKey(OWN[0]) }))).status).toBe(
      401,
    );
    gateway().mock.clear();
    const after = await exchange(gateway(), asked);
    expect([after.status, stateOf(after)]).toEqual([200, undefined]);
    expect(gateway().mock.requests()).toHaveLength(1);
    // Accepted again, it finds what is its own.
    expect(stateOf(await exchange(gateway(), asked))).toBe('HIT');
  });
});
