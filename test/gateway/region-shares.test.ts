import { startGateway } from './harness';
import { send } from './support/http-client';
import { pace } from './support/pace';

test('a consumer’s rate is split over regions as its reservation says, and one without shares has it in each', async () => {
  const gateway = await startGateway({
    consumers: [
      { id: 'split', rate: 40, burst: 8 },
      { id: 'elsewhere', rate: 40, burst: 8 },
      { id: 'whole', rate: 20, burst: 4 },
    ],
    placement: { region: 'eu-central-1' },
    config: {
      regions: [{ region: 'eu-central-1' }, { region: 'us-east-1' }],
      consumers: {
        reservations: [
          { consumer: 'split', requestsPerSecond: 10, shares: { 'eu-central-1': 0.25, 'us-east-1': 0.75 } },
          { consumer: 'elsewhere', requestsPerSecond: 10, shares: { 'us-east-1': 1 } },
          { consumer: 'whole', requestsPerSecond: 10 },
        ],
      },
    },
  });
  try {
    for (const [id, rate, burst] of [
      ['split', 10, 2],
      ['whole', 20, 4],
    ] as const) {
      const { accepted, asked, seconds } = await pace(gateway, gateway.keys[id] ?? '', 100, 4);
      expect(accepted).toBeGreaterThanOrEqual(rate * asked * 0.95);
      expect(accepted).toBeLessThanOrEqual(burst + 1 + rate * seconds * 1.05 + 1);
    }
    const split = { key: gateway.keys['split'] ?? '', method: 'GET', path: '/v1/models' };
    const refused = (await Promise.all(Array.from({ length: 8 }, () => send(gateway, split)))).find(
      ({ status }) => status === 429,
    );
    expect(refused?.headers['anthropic-ratelimit-requests-limit']).toBe('600');
    const none = await send(gateway, { ...split, key: gateway.keys['elsewhere'] ?? '' });
    expect(none.status).toBe(429);
    expect(none.headers).toMatchObject({ 'x-should-retry': 'false', 'anthropic-ratelimit-requests-limit': '0' });
    expect(none.text).toContain('has no share of its rate in this region');
  } finally {
    await gateway.stop();
  }
}, 60_000);
