import { useGateway } from './support/gateways';
import { send, type Answer } from './support/http-client';

const behind = useGateway({
  workers: 1,
  config: { edge: { enabled: true, hostname: 'models.example.com' }, cache: { ttl: { clientSeconds: 5 } } },
});
const without = useGateway({ workers: 1 });

const path = '/v1/models?limit=7';
const ask = (headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  send(behind(), { method: 'GET', path, headers: { 'x-causeway-edge-key': '0'.repeat(64), ...headers } });

test('CloudFront is told to serve no list of models that has expired, whatever the gateway made of the request', async () => {
  const missed = await ask();
  const hit = await ask();
  const same = await ask({ 'if-none-match': missed.headers['etag'] ?? '' });
  const past = await ask({ 'x-causeway-cache': 'no-store' });
  behind().mock.script({ script: { status: 529 } });
  const stale = await ask({ 'x-causeway-cache': 'max-age=0' });
  expect(
    [missed, hit, same, past, stale].map(({ status, headers }) => [
      status,
      headers['x-causeway-cache'],
      headers['cache-control'],
    ]),
  ).toEqual([
    [200, 'MISS', 'private, max-age=5, stale-if-error=0'],
    [200, 'HIT', 'private, max-age=5, stale-if-error=0'],
    [304, 'HIT', 'private, max-age=5, stale-if-error=0'],
    [200, 'BYPASS', 'private, no-cache, stale-if-error=0'],
    [200, 'STALE', 'private, no-cache, stale-if-error=0'],
  ]);
});

test('what CloudFront keys by goes no further than the gateway', async () => {
  for (const header of ['max-age=0', 'no-store']) await ask({ 'x-causeway-cache': header });
  const seen = behind().mock.requests();
  expect(seen).toHaveLength(2);
  for (const { headers } of seen) {
    expect(Object.keys(headers).filter((name) => name.startsWith('x-causeway-'))).toEqual([]);
  }
});

test('where there is no CloudFront, nothing is said to it', async () => {
  const answer = await send(without(), { method: 'GET', path });
  expect(answer.headers['cache-control']).toBe('private, no-cache');
  const past = await send(without(), { method: 'GET', path, headers: { 'x-causeway-cache': 'no-store' } });
  expect(past.headers['cache-control']).toBeUndefined();
});
