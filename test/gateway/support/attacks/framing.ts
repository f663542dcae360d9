import { chunked, CRLF, MESSAGE, NOT_HTTP, post, sized, smuggled, type AttackTable, type Ending } from './attack';

const CODING: Ending = { status: 501, type: 'api_error' };
const LENGTH = `Content-Length: ${MESSAGE.length}`;
const CHUNKED = 'Transfer-Encoding: chunked';
const NORMALISED = 'one request, its head and framing written anew for the upstream';

const lengths = (name: string, value: string) => ({
  name: `Content-Length ${name}`,
  bytes: ({ open }: { open: string }) => post(open, [`Content-Length: ${value}`], MESSAGE + smuggled(open)),
  ends: NOT_HTTP,
});

const codings = (value: string, ends: Ending) => ({
  name: `Transfer-Encoding: \`${value.replace('\u000b', '\\x0b').replace('\t', '\\t')}\``,
  bytes: ({ open }: { open: string }) => post(open, [`Transfer-Encoding: ${value}`], chunked(MESSAGE)),
  ends,
});

const chunks = (name: string, body: (message: string, hex: string) => string, ends: Ending = NOT_HTTP) => ({
  name: `chunks: ${name}`,
  bytes: ({ open }: { open: string }) => post(open, [CHUNKED], body(MESSAGE, MESSAGE.length.toString(16))),
  ends,
});

/** Attacks on where a request ends: smuggling. */
export const FRAMING: AttackTable = {
  theme: 'Framing and request smuggling',
  attacks: [
    {
      name: 'CL.TE: both, the length covers a second request',
      bytes: ({ open }) => {
        const body = chunked(MESSAGE) + smuggled(open);
        return post(open, [`Content-Length: ${body.length}`, CHUNKED], body);
      },
      ends: NOT_HTTP,
    },
    {
      name: 'TE.CL: both, the length ends within the first chunk',
      bytes: ({ open }) => post(open, [CHUNKED, 'Content-Length: 4'], chunked(smuggled(open))),
      ends: NOT_HTTP,
    },
    ...[
      [CHUNKED, 'Transfer-Encoding: identity'],
      ['Transfer-Encoding: identity', CHUNKED],
      [CHUNKED, CHUNKED],
    ].map((lines) => ({
      name: `TE.TE: \`${lines.join('`, `')}\``,
      bytes: ({ open }: { open: string }) => post(open, lines, chunked(MESSAGE) + smuggled(open)),
      ends: NOT_HTTP,
    })),
    codings('chunked, identity', CODING),
    codings('gzip, chunked', CODING),
    codings('xchunked', CODING),
    codings('\u000bchunked', CODING),
    codings('\tchunked', CODING),
    codings('"chunked"', CODING),
    codings('CHUNKED', { passes: NORMALISED }),
    codings('chunked ', { passes: NORMALISED }),
    {
      name: 'a space before the colon',
      bytes: ({ open }) => post(open, ['Transfer-Encoding : chunked', LENGTH], MESSAGE),
      ends: NOT_HTTP,
    },
    {
      name: '`Transfer_Encoding: chunked` beside a length',
      bytes: ({ open }) => post(open, ['Transfer_Encoding: chunked', LENGTH], MESSAGE),
      ends: { passes: 'the length counts, for the gateway and for the upstream' },
    },
    {
      name: 'chunks in HTTP/1.0',
      bytes: ({ open }) => post(open, [CHUNKED], chunked(MESSAGE)).replace('HTTP/1.1', 'HTTP/1.0'),
      ends: NOT_HTTP,
    },
    lengths('twice, unequal', `${MESSAGE.length}${CRLF}Content-Length: 0`),
    lengths('twice, equal', `${MESSAGE.length}${CRLF}${LENGTH}`),
    lengths('as a list', `${MESSAGE.length}, ${MESSAGE.length}`),
    lengths('with a sign', `+${MESSAGE.length}`),
    lengths('below zero', '-1'),
    lengths('in hexadecimal', '0x10'),
    lengths('of twenty digits', '99999999999999999999'),
    lengths('empty', ''),
    lengths('with a space inside', '1 0'),
    {
      name: 'Content-Length with zeros before it',
      bytes: ({ open }) => post(open, [`Content-Length: 000${MESSAGE.length}`], MESSAGE),
      ends: { passes: NORMALISED },
    },
    chunks('a size with 0x', (body, hex) => `0x${hex}${CRLF}${body}${CRLF}0${CRLF}${CRLF}`),
    chunks('a negative size', (body) => `-1${CRLF}${body}${CRLF}0${CRLF}${CRLF}`),
    chunks('a size that overflows', (body) => `fffffffffffffffff${CRLF}${body}${CRLF}0${CRLF}${CRLF}`),
    chunks('LF within an extension', (body, hex) => `${hex};a\nb${CRLF}${body}${CRLF}0${CRLF}${CRLF}`),
    chunks('no line end behind the data', (body, hex) => `${hex}${CRLF}${body}XX0${CRLF}${CRLF}`),
    chunks('an extension', (body, hex) => `${hex};a=b${CRLF}${body}${CRLF}0${CRLF}${CRLF}`, { passes: NORMALISED }),
    chunks('lines that end with LF alone', (body, hex) => `${hex}\n${body}\n0\n\n`, { passes: NORMALISED }),
    chunks(
      'trailers that name a key and a length',
      (body, hex) => `${hex}${CRLF}${body}${CRLF}0${CRLF}x-api-key: evil${CRLF}Content-Length: 5${CRLF}${CRLF}`,
      { passes: 'the trailers end here' },
    ),
    {
      name: 'a GET whose body is a request',
      bytes: ({ open }) => sized(open, smuggled(open)).replace('POST /v1/messages', 'GET /v1/models'),
      ends: { passes: 'as the body that it is' },
    },
    {
      name: 'a length shorter than the body, the rest a broken request',
      bytes: ({ open }) => `${sized(open, MESSAGE)}X /v1/smuggled${CRLF}${CRLF}`,
      ends: { passes: 'the rest is refused as a request of its own' },
    },
    {
      name: 'lines that end with LF alone, a length among them',
      bytes: ({ open }) => sized(open, MESSAGE).replaceAll(CRLF, '\n'),
      ends: { passes: NORMALISED },
    },
    {
      name: 'LF alone within a header, and what follows is a length and chunks',
      bytes: ({ open }) => post(open, [`X-A: b\n${CHUNKED}`, LENGTH], MESSAGE),
      ends: NOT_HTTP,
    },
  ],
};
