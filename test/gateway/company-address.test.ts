import Anthropic from '@anthropic-ai/sdk';

import { sleep, startGateway, type TestGateway } from './harness';
import { send } from './support/http-client';
import { ASK } from './support/sdk-releases';

/** A consumer as the defaults make it. */
const RATE = 5;
const BURST = 10;
/** What each application asks for at once: five more than it has. */
const ASKED = BURST + 1 + 5;

interface Told {
  answered: number;
  refused: number;
}

/** Asks for everything at once; counts what the application itself gets to see. */
async function application(ask: () => Promise<boolean>): Promise<Told> {
  const outcomes = await Promise.all(Array.from({ length: ASKED }, ask));
  const answered = outcomes.filter(Boolean).length;
  return { answered, refused: ASKED - answered };
}

describe('applications behind one company address', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startGateway({
      config: { limits: { perAddress: { rate: 1, burst: 5 } } },
      consumers: ['plain', 'sdk', 'calm'].map((id) => ({ id, rate: RATE, burst: BURST })),
    });
  });
  afterAll(() => gateway.stop());
  const key = (id: string): string => gateway.keys[id] ?? '';

  test('a client without retries sees each 429, the SDK’s two retries are enough, a wrong key harms neither', async () => {
    const sdk = new Anthropic({ apiKey: key('sdk'), baseURL: gateway.baseUrl, maxRetries: 2 });
    const over = { yes: false };
    const misconfigured = (async () => {
      const seen = new Set<number>();
      while (!over.yes) {
        seen.add((await send(gateway, { key: 'cwk_wrong' })).status);
        await sleep(20);
      }
      return seen;
    })();
    const [plain, retrying, calm] = await Promise.all([
      application(async () => (await send(gateway, { key: key('plain') })).status === 200),
      application(async () =>
        sdk.messages.create(ASK).then(
          () => true,
          () => false,
        ),
      ),
      (async () => {
        const statuses = new Set<number>();
        for (let index = 0; index < 20; index += 1) {
          statuses.add((await send(gateway, { key: key('calm') })).status);
          await sleep(250);
        }
        return statuses;
      })(),
    ]);
    over.yes = true;
    // The bucket and what ran in while they came; the others are the application's to deal with.
    expect(plain.answered).toBeGreaterThanOrEqual(BURST + 1);
    expect(plain.refused).toBeGreaterThanOrEqual(2);
    // The times to come again are spread by chance: nearly always all of them.
    expect(retrying.refused).toBeLessThanOrEqual(1);
    // One that keeps to its rate sees nothing of all this.
    expect(calm).toEqual(new Set([200]));
    expect(await misconfigured).toEqual(new Set([401, 429]));
  });
});
