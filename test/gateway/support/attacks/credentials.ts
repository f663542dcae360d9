import { CRLF, request, sized, smuggled, UNAUTHENTICATED, MESSAGE, type AttackTable } from './attack';

const MODELS = '/v1/models';

/** Attacks on who one is. */
export const CREDENTIALS: AttackTable = {
  theme: 'Credentials',
  attacks: [
    { name: 'no key', bytes: () => request(MODELS, undefined), ends: UNAUTHENTICATED },
    { name: 'an empty key', bytes: () => request(MODELS, ''), ends: UNAUTHENTICATED },
    { name: 'a wrong key', bytes: () => request(MODELS, 'cwk_wrong'), ends: UNAUTHENTICATED },
    { name: 'a key of 15 KB', bytes: () => request(MODELS, 'k'.repeat(15_000)), ends: UNAUTHENTICATED },
    { name: 'a good key and one letter more', bytes: ({ open }) => request(MODELS, `${open}x`), ends: UNAUTHENTICATED },
    {
      name: 'a good key less its last letter',
      bytes: ({ open }) => request(MODELS, open.slice(0, -1)),
      ends: UNAUTHENTICATED,
    },
    { name: 'a good key in capitals', bytes: ({ open }) => request(MODELS, open.toUpperCase()), ends: UNAUTHENTICATED },
    {
      name: "a key's SHA-256 instead of the key",
      bytes: () => request(MODELS, 'a1'.repeat(32)),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'two good keys in one header',
      bytes: ({ open, small }) => request(MODELS, `${open}, ${small}`),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'the key in the query',
      bytes: ({ open }) => request(`${MODELS}?api_key=${open}&x-api-key=${open}&key=${open}`, undefined),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'the key in a cookie',
      bytes: ({ open }) => request(MODELS, undefined, [`Cookie: x-api-key=${open}`]),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'both headers, and they disagree',
      bytes: ({ open, small }) => request(MODELS, open, [`Authorization: Bearer ${small}`]),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'both headers, one of them another scheme',
      bytes: ({ open }) => request(MODELS, open, ['Authorization: Basic eDp5']),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'Authorization twice',
      bytes: ({ open, small }) =>
        request(MODELS, undefined, [`Authorization: Bearer ${open}`, `Authorization: Bearer ${small}`]),
      ends: { status: 400, type: 'invalid_request_error' },
    },
    {
      name: 'Bearer without a space',
      bytes: ({ open }) => request(MODELS, undefined, [`Authorization: Bearer${open}`]),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'a good key behind a wrong one',
      bytes: ({ open }) => request(MODELS, 'cwk_wrong', [`x-api-key: ${open}`]),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'an own upstream key as proxy credential',
      bytes: () => request(MODELS, undefined, ['Proxy-Authorization: Bearer sk-ant-x']),
      ends: UNAUTHENTICATED,
    },
    { name: 'a revoked key', bytes: ({ revoked }) => request(MODELS, revoked), ends: UNAUTHENTICATED },
    { name: 'a key whose rotation has ended', bytes: ({ expired }) => request(MODELS, expired), ends: UNAUTHENTICATED },
    { name: 'a key of a disabled consumer', bytes: ({ disabled }) => request(MODELS, disabled), ends: UNAUTHENTICATED },
    {
      name: 'a wrong key and a body that holds a request',
      bytes: ({ open }) => sized(undefined, smuggled(open)),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'a wrong key that asks to go on (100-continue)',
      bytes: () => sized('cwk_wrong', MESSAGE, ['Expect: 100-continue']),
      ends: UNAUTHENTICATED,
    },
    {
      name: 'a key nominated away by Connection',
      bytes: ({ open }) => request(MODELS, open, ['Connection: x-api-key, authorization, host']),
      ends: { passes: 'the gateway’s credential goes on all the same' },
    },
    {
      name: 'the Admin API behind a line that nginx strips',
      bytes: ({ open }) => `${CRLF}${CRLF}${request('/v1/organizations', open)}`,
      ends: { status: 403, type: 'permission_error' },
    },
  ],
};
