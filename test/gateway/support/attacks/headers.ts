import { CRLF, NOT_HTTP, request, sized, MESSAGE, type Attack, type AttackTable, type Ending } from './attack';

const TOO_LARGE: Ending = { status: 431, type: 'invalid_request_error' };

const line = (name: string, text: string, ends: Ending): Attack => ({
  name,
  bytes: ({ open }) => request('/v1/models', open, [text]),
  ends,
});

/** Attacks through header lines. */
export const HEADERS: AttackTable = {
  theme: 'Header lines',
  attacks: [
    line('a line folded by a space (obs-fold)', `X-A: b${CRLF} c`, NOT_HTTP),
    line('a line folded by a tab (obs-fold)', `X-A: b${CRLF}\tc`, NOT_HTTP),
    line('CR in a value', 'X-A: b\rX-B: c', NOT_HTTP),
    line('NUL in a value', 'X-A: b\0c', NOT_HTTP),
    line('NUL in a name', 'X\0A: b', NOT_HTTP),
    line('a space in a name', 'X A: b', NOT_HTTP),
    line('no name', ': b', NOT_HTTP),
    line('DEL in a name', 'X\x7f: b', NOT_HTTP),
    line('a line without a colon', 'garbage', { passes: 'as a header without a value' }),
    line('CR CR LF at a line’s end', 'X-A: b\r', { passes: 'the line is written anew' }),
    line('1 MB in one header', `X-A: ${'a'.repeat(1_000_000)}`, TOO_LARGE),
    line('1 MB in a thousand headers', `X-A: ${'a'.repeat(990)}${CRLF}`.repeat(1000).trimEnd(), TOO_LARGE),
    line('20,000 headers of one letter', `a:b${CRLF}`.repeat(20_000).trimEnd(), TOO_LARGE),
    {
      name: 'a query of 20 KB',
      bytes: ({ open }) => request(`/v1/models?${'a'.repeat(20_000)}`, open),
      ends: { status: 414, type: 'invalid_request_error' },
    },
    {
      name: 'a header line before the first one, folded',
      bytes: ({ open }) => request('/v1/models', open).replace(CRLF, `${CRLF} x-api-key: evil${CRLF}`),
      ends: NOT_HTTP,
    },
    {
      name: 'headers that nginx obeys from an upstream',
      bytes: ({ open }) =>
        request('/v1/models', open, ['X-Accel-Redirect: /.causeway/error/500', 'X-Accel-Limit-Rate: 1']),
      ends: { passes: 'they mean nothing in a request' },
    },
    {
      name: 'forged X-Forwarded-For',
      bytes: ({ open }) =>
        request('/v1/models', open, [
          'X-Forwarded-For: 203.0.113.9',
          'Forwarded: for=203.0.113.9',
          'X-Real-IP: 203.0.113.9',
        ]),
      ends: { passes: 'the log names the real peer; the upstream gets none of them' },
    },
    {
      name: 'an unknown Expect',
      bytes: ({ open }) => sized(open, MESSAGE, ['Expect: 200-ok']),
      ends: { passes: 'it means nothing to nginx' },
    },
  ],
};
