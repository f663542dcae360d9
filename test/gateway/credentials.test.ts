import { UPSTREAM_SECRET } from './harness';
import { lastRequest, messageBody } from './support/exchange';
import { useGateway } from './support/gateways';

const gateway = useGateway();

describe('the two authentication headers', () => {
  const post = (headers: Record<string, string>): Promise<Response> =>
    fetch(`${gateway().baseUrl}/v1/messages`, {
      method: 'POST',
      headers: { 'anthropic-version': '2023-06-01', 'content-type': 'application/json', ...headers },
      body: messageBody(),
    });
  const bearer = (key: string): string => `Bearer ${key}`;

  it.each([
    ['x-api-key', (key: string) => ({ 'x-api-key': key })],
    ['Authorization: Bearer', (key: string) => ({ authorization: bearer(key) })],
    // What nginx 1.26 makes of the header on two lines.
    ['x-api-key twice, the same', (key: string) => ({ 'x-api-key': `${key}, ${key}` })],
    ['both, where they agree', (key: string) => ({ 'x-api-key': key, authorization: bearer(key) })],
  ])('take %s', async (_name, headers) => {
    expect((await post(headers(gateway().key))).status).toBe(200);
    expect(lastRequest(gateway()).headers).toMatchObject({ 'x-api-key': UPSTREAM_SECRET });
    expect(lastRequest(gateway()).headers['authorization']).toBeUndefined();
  });

  it.each([
    ['both, where they disagree', (key: string) => ({ 'x-api-key': key, authorization: bearer('sk-other') })],
    ['both, the other way round', (key: string) => ({ 'x-api-key': 'sk-other', authorization: bearer(key) })],
    ['x-api-key twice, where they disagree', (key: string) => ({ 'x-api-key': `${key}, sk-other` })],
    ['another scheme', (key: string) => ({ authorization: `Basic ${key}` })],
    ['none', (): Record<string, string> => ({})],
  ])('refuse %s with 401', async (_name, headers) => {
    const response = await post(headers(gateway().key));
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { type: 'authentication_error' } });
    expect(gateway().mock.requests()).toEqual([]);
  });
});
