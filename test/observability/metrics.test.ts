import { ACCESS_RECORD, NODE_RECORD } from '../../lib/observability/access-record';
import { DIMENSIONS, METRICS, type Metric } from '../../lib/observability/metrics';

const metrics: readonly Metric[] = METRICS;

test('names stand once, over metrics, dimensions and properties of one line', () => {
  for (const record of [ACCESS_RECORD, NODE_RECORD]) {
    const names = [...metrics, ...record].map(({ name }) => name).concat(DIMENSIONS);
    expect([...new Set(names)]).toEqual(names);
  }
});

describe.each(metrics)('$name', (metric) => {
  test('is a name that Lua and CloudWatch take, with a meaning', () => {
    expect(metric.name).toMatch(/^[A-Z][A-Za-z0-9]{0,254}$/);
    expect(metric.meaning).toMatch(/\.$/);
  });

  test('has the unit that its name promises', () => {
    if (metric.name.endsWith('Bytes')) expect(metric.unit).toBe('Bytes');
    if (metric.name.endsWith('Seconds')) expect(metric.unit).toBe('Seconds');
    if (/Latency|Time|ToFirstByte/.test(metric.name)) expect(metric.unit).toBe('Milliseconds');
    if (metric.kind === 'counter') expect(metric.unit).toBe('Count');
  });

  test('has sets that start with Environment and Region and hold at most one dimension more', () => {
    expect(metric.dimensions.length).toBeGreaterThan(0);
    for (const set of metric.dimensions) {
      expect(set.slice(0, 2)).toEqual(['Environment', 'Region']);
      expect(set.length).toBeLessThanOrEqual(3);
    }
    expect(new Set(metric.dimensions.map((set) => set.join())).size).toBe(metric.dimensions.length);
  });

  test('is counted by consumer only where someone is billed or limited by it', () => {
    const byConsumer = metric.dimensions.some((set) => set.includes('Consumer'));
    expect(byConsumer).toBe(/^Requests$|Tokens$|^RateLimited$|^ScarcityRefusals$/.test(metric.name));
  });
});
