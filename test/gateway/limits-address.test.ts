import type { EnvironmentInput } from '../../lib/config';
import { eventually, startGateway, type TestGateway } from './harness';
import { send, type Answer } from './support/http-client';

/** A token in ten seconds: a slow machine must not be taken for a limit that does not hold. */
const RATE = 0.1;
const BURST = 5;

/** One gateway for a few requests. */
async function withGateway(
  limits: NonNullable<NonNullable<EnvironmentInput['limits']>['perAddress']>,
  trustedHops: string[],
  use: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await startGateway({
    config: { limits: { perAddress: { rate: RATE, burst: BURST, ...limits } }, clientAddress: { trustedHops } },
  });
  try {
    await use(gateway);
  } finally {
    await gateway.stop();
  }
}

/** Each request is another, so that each is counted at the upstream too. */
let asked = 0;
const ask = (
  gateway: TestGateway,
  key: string,
  from?: string,
  path = `/v1/models?limit=1&asked=${++asked}`,
): Promise<Answer> =>
  send(gateway, {
    key,
    method: 'GET',
    path,
    headers: from === undefined ? {} : { 'x-forwarded-for': from },
  });

/** Statuses of so many requests at once, sorted. */
async function storm(gateway: TestGateway, count: number, key: string, from?: string): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: count }, () => ask(gateway, key, from)));
  return answers.map(({ status }) => status).sort((a, b) => a - b);
}

/** How many were refused for their credential, before the address was. */
const unauthorised = (statuses: readonly number[]): number => statuses.filter((status) => status === 401).length;

/** Whether an address has used its burst up; if not, it has now. */
async function isUsedUp(gateway: TestGateway, from: string): Promise<boolean> {
  return unauthorised(await storm(gateway, BURST + 3, 'cwk_wrong', from)) < BURST;
}

describe('the limit by address', () => {
  test('is for requests without a good credential, and never for the others of the same address', async () => {
    await withGateway({}, [], async (gateway) => {
      const begun = Date.now();
      const statuses = [...(await storm(gateway, 20, '')), ...(await storm(gateway, 20, 'cwk_wrong'))];
      const grown = Math.ceil(((Date.now() - begun) / 1000) * RATE);
      expect(new Set(statuses)).toEqual(new Set([401, 429]));
      expect(unauthorised(statuses)).toBeGreaterThanOrEqual(BURST + 1);
      expect(unauthorised(statuses)).toBeLessThanOrEqual(BURST + 1 + grown);

      expect(await storm(gateway, 60, gateway.key)).toEqual(Array.from({ length: 60 }, () => 200));
      // The good ones do not use it up either.
      const refused = await eventually(async () => {
        const answer = await ask(gateway, 'cwk_wrong');
        return answer.status === 429 ? answer : undefined;
      });
      expect(refused.headers).toMatchObject({ 'content-type': 'application/json', 'retry-after': '1' });
      expect(JSON.parse(refused.text)).toEqual({
        type: 'error',
        error: { type: 'rate_limit_error', message: expect.stringContaining('without a valid credential') as unknown },
        request_id: refused.headers['request-id'],
      });
      const line = await gateway.waitForLine((each) => each['requestId'] === refused.headers['request-id']);
      expect(line).toMatchObject({ status: 429, refusal: 'address_limited', clientAddress: '127.0.0.1' });
      // A forged address is nobody's: no hop is trusted here.
      expect(await isUsedUp(gateway, '198.51.100.7')).toBe(true);
      // Paths outside the API are counted too; health is not.
      const elsewhere = await Promise.all(Array.from({ length: 8 }, () => ask(gateway, '', undefined, '/elsewhere')));
      expect(elsewhere.filter(({ status }) => status === 429).length).toBeGreaterThan(4);
      expect((await ask(gateway, '', undefined, '/readyz')).status).toBe(200);
      expect(gateway.mock.requests()).toHaveLength(60);
    });
  });

  test('leaves exempt networks alone', async () => {
    await withGateway({ exempt: ['127.0.0.0/8'] }, [], async (gateway) => {
      expect(unauthorised(await storm(gateway, 40, 'cwk_wrong'))).toBe(40);
      expect((await ask(gateway, '', undefined, '/elsewhere')).status).toBe(404);
    });
  });

  test('goes by the address that a trusted hop names', async () => {
    await withGateway({ exempt: ['203.0.113.0/24'] }, ['127.0.0.1/32', '10.0.0.0/8'], async (gateway) => {
      const used = (from: string): Promise<boolean> => isUsedUp(gateway, from);
      await storm(gateway, 20, 'cwk_wrong', '198.51.100.1');
      expect(await used('198.51.100.1')).toBe(true);
      expect(await used('198.51.100.2')).toBe(false);
      // What the client itself wrote stands further left, and is not believed.
      expect(await used('198.51.100.99, 198.51.100.1')).toBe(true);
      expect(await used('203.0.113.5, 198.51.100.1')).toBe(true);
      // Hops that are trusted are passed over.
      expect(await used('198.51.100.1, 10.1.2.3')).toBe(true);
      expect(await used('198.51.100.1, 192.0.2.1')).toBe(false);
      expect(await used('garbage')).toBe(false);
      // Exempt by the same address.
      expect(unauthorised(await storm(gateway, 20, 'cwk_wrong', '203.0.113.5'))).toBe(20);
      // IPv6: a client commands its whole /64.
      await storm(gateway, 20, 'cwk_wrong', '2001:db8:1:1::1');
      expect(await used('2001:db8:1:1:ffff::2')).toBe(true);
      expect(await used('2001:db8:1:2::1')).toBe(false);
      expect((await ask(gateway, '', '2001:db8:1:1:ffff::3', '/elsewhere')).status).toBe(429);
      await storm(gateway, 20, 'cwk_wrong', '::ffff:198.51.100.7');
      expect(await used('::ffff:198.51.100.8')).toBe(false);
      await gateway.waitForLine((line) => line['clientAddress'] === '198.51.100.2');
    });
  });
});
