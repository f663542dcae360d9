import type Anthropic from '@anthropic-ai/sdk';
import type { APIError, ClientOptions } from '@anthropic-ai/sdk';

import { lastRequest } from './support/exchange';
import { useGateway } from './support/gateways';
import { ASK, scripted, SDK_RELEASES } from './support/sdk-releases';

const gateway = useGateway();

async function thrownBy(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe.each(SDK_RELEASES)('errors through @anthropic-ai/sdk $release', ({ create, errors, tooLarge, overloaded }) => {
  const make = (options: Partial<ClientOptions> = {}): Anthropic =>
    create({ apiKey: gateway().key, baseURL: gateway().baseUrl, maxRetries: 0, ...options });

  it.each([
    [400, 'invalid_request_error', 'BadRequestError'],
    [401, 'authentication_error', 'AuthenticationError'],
    [403, 'permission_error', 'PermissionDeniedError'],
    [404, 'not_found_error', 'NotFoundError'],
    [413, 'request_too_large', tooLarge],
    [429, 'rate_limit_error', 'RateLimitError'],
    [500, 'api_error', 'InternalServerError'],
    [529, 'overloaded_error', overloaded],
  ])('raises the upstream’s %i as its own exception', async (status, type, name) => {
    const error = await thrownBy(make().messages.create(ASK, scripted({ status, message: `as scripted: ${status}` })));
    expect(error).toBeInstanceOf(errors.APIError);
    expect((error as Error).constructor.name).toBe(name);
    expect(error).toMatchObject({ status, requestID: lastRequest(gateway()).requestId });
    expect((error as APIError).error).toMatchObject({
      type: 'error',
      error: { type, message: `as scripted: ${status}` },
    });
  });

  it.each([
    [
      'an unknown key',
      401,
      'AuthenticationError',
      'authentication_error',
      () => make({ apiKey: 'sk-unknown' }).messages.create(ASK),
    ],
    ['the Admin API', 403, 'PermissionDeniedError', 'permission_error', () => make().get('/v1/organizations/me')],
    ['what is not under /v1/', 404, 'NotFoundError', 'not_found_error', () => make().get('/v2/messages')],
    [
      'a body that is too large',
      413,
      tooLarge,
      'request_too_large',
      () => make().messages.create({ ...ASK, messages: [{ role: 'user', content: 'x'.repeat(33 * 1024 * 1024) }] }),
    ],
  ])('raises what the gateway answers to %s as its own exception', async (_what, status, name, type, call) => {
    const error = await thrownBy(call());
    expect((error as Error).constructor.name).toBe(name);
    expect(error).toMatchObject({ status, requestID: expect.stringMatching(/^req_[0-9a-f]{32}$/) as string });
    expect((error as APIError).error).toMatchObject({ error: { type }, request_id: (error as APIError).requestID });
    expect(gateway().mock.requests()).toEqual([]);
  });

  it('raises an error inside a stream', async () => {
    const error = await thrownBy(
      make()
        .messages.stream(ASK, scripted({ streamError: { atEvent: 4 } }))
        .finalMessage(),
    );
    expect(error).toBeInstanceOf(errors.APIError);
    expect((error as APIError).type).toBe('overloaded_error');
  });

  it('retries after a 529 when retry-after-ms says', async () => {
    gateway().mock.script({ times: 1, script: { status: 529, headers: { 'retry-after-ms': '1200' } } });
    await make({ maxRetries: 2 }).messages.create(ASK);
    const [first, second, third] = gateway().mock.requests();
    expect([first?.status, second?.status, third]).toEqual([529, 200, undefined]);
    // Without the header the first retry comes after half a second at most.
    expect((second?.time ?? 0) - (first?.endTime ?? 0)).toBeGreaterThan(1100);
  });

  it('does not retry where x-should-retry says no, and does where it says yes', async () => {
    gateway().mock.script({ times: 1, script: { status: 529, headers: { 'x-should-retry': 'false' } } });
    await expect(make({ maxRetries: 2 }).messages.create(ASK)).rejects.toMatchObject({ status: 529 });
    expect(gateway().mock.requests()).toHaveLength(1);
    gateway().mock.clear();
    const script = { status: 400, headers: { 'x-should-retry': 'true', 'retry-after-ms': '1' } };
    gateway().mock.script({ times: 1, script });
    await make({ maxRetries: 2 }).messages.create(ASK);
    expect(
      gateway()
        .mock.requests()
        .map(({ status }) => status),
    ).toEqual([400, 200]);
  });
});
