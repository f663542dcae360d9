import type { H2Headers } from '../h2-wire';
import { FORBIDDEN, MESSAGE, NOT_HTTP, type Attack, type AttackTable, type Ending, type Keys } from './attack';

const RESET: Ending = { cut: 'the stream is reset' };

/** The header lines of a message request, with some of them replaced, taken away (null) or put before or behind. */
function headers(
  key: string,
  replaced: Readonly<Record<string, string | null>> = {},
  behind: H2Headers = [],
  before: H2Headers = [],
): H2Headers {
  const usual: H2Headers = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/v1/messages'],
    [':authority', 'gateway.test'],
    ['x-api-key', key],
    ['anthropic-version', '2023-06-01'],
  ];
  const kept = usual.flatMap(([name, value]) => {
    const other = replaced[name];
    return other === null ? [] : [[name, other ?? value] as const];
  });
  return [...before, ...kept, ...behind];
}

const message = (name: string, lines: (keys: Keys) => H2Headers, ends: Ending): Attack => ({
  name,
  http2: (keys) => ({ headers: lines(keys), body: MESSAGE }),
  ends,
});

const LENGTH_REQUIRED: Ending = { status: 411, type: 'invalid_request_error' };
const LENGTH = ['content-length', String(MESSAGE.length)] as const;

/** Attacks that only HTTP/2 makes possible. */
export const HTTP2: AttackTable = {
  theme: 'HTTP/2',
  attacks: [
    message('two :path', ({ open }) => headers(open, {}, [], [[':path', '/v1/organizations']]), NOT_HTTP),
    message('no :path', ({ open }) => headers(open, { ':path': null }), NOT_HTTP),
    message('no :method', ({ open }) => headers(open, { ':method': null }), NOT_HTTP),
    message('no :scheme', ({ open }) => headers(open, { ':scheme': null }), NOT_HTTP),
    message('neither :authority nor host', ({ open }) => headers(open, { ':authority': null }), NOT_HTTP),
    message('an unknown pseudo-header', ({ open }) => headers(open, {}, [], [[':protocol', 'websocket']]), NOT_HTTP),
    message('a relative :path', ({ open }) => headers(open, { ':path': 'v1/messages' }), NOT_HTTP),
    message('an absolute :path', ({ open }) => headers(open, { ':path': 'http://evil.test/v1/x' }), NOT_HTTP),
    message('a :path with a space', ({ open }) => headers(open, { ':path': '/v1/messages /x' }), NOT_HTTP),
    message(
      'a request line in :path',
      ({ open }) => headers(open, { ':path': '/v1/models HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/smuggled' }),
      RESET,
    ),
    message(
      'a request line in :method',
      ({ open }) => headers(open, { ':method': 'GET /v1/smuggled HTTP/1.1\r\n\r\nPOST' }),
      RESET,
    ),
    message('a :method in small letters', ({ open }) => headers(open, { ':method': 'post' }), NOT_HTTP),
    message('a URL in :scheme', ({ open }) => headers(open, { ':scheme': 'https://evil.test/v1/x?' }), NOT_HTTP),
    message('CR LF in :authority', ({ open }) => headers(open, { ':authority': 'x\r\nx-a: b' }), RESET),
    message('CR LF in a value', ({ open }) => headers(open, {}, [['x-a', 'b\r\nx-b: c']]), RESET),
    message('LF in a value', ({ open }) => headers(open, {}, [['x-a', 'b\nx-b: c']]), RESET),
    message('NUL in a value', ({ open }) => headers(open, {}, [['x-a', 'b\0c']]), RESET),
    message('CR LF in a name', ({ open }) => headers(open, {}, [['x-a: b\r\nx-b', 'c']]), RESET),
    message('a colon in a name', ({ open }) => headers(open, {}, [['x-a: b', 'c']]), RESET),
    message('capitals in a name', ({ open }) => headers(open, {}, [['X-Api-Key', 'evil']]), RESET),
    message('a length below the body', ({ open }) => headers(open, {}, [['content-length', '5']]), NOT_HTTP),
    message('a length above the body', ({ open }) => headers(open, {}, [['content-length', '5000']]), NOT_HTTP),
    message('two lengths', ({ open }) => headers(open, {}, [LENGTH, ['content-length', '5']]), NOT_HTTP),
    message(
      'a length and chunks',
      ({ open }) => headers(open, {}, [LENGTH, ['transfer-encoding', 'chunked']]),
      NOT_HTTP,
    ),
    message('chunks', ({ open }) => headers(open, {}, [['transfer-encoding', 'chunked']]), {
      passes: 'HTTP/2 frames the body; the header ends here',
    }),
    message(
      'headers of a connection',
      ({ open }) =>
        headers(open, {}, [
          ['connection', 'x-api-key'],
          ['keep-alive', '5'],
          ['upgrade', 'h2c'],
        ]),
      { passes: 'they end here' },
    ),
    message('a model that is not allowed, without a length', ({ haiku }) => headers(haiku), LENGTH_REQUIRED),
    message('a model that is not allowed', ({ haiku }) => headers(haiku, {}, [LENGTH]), FORBIDDEN),
    message(
      'a model that is not allowed, `content_length: 0` before its length',
      ({ haiku }) => headers(haiku, {}, [['content_length', '0'], LENGTH]),
      FORBIDDEN,
    ),
    message('a body above the key’s limit, without a length', ({ small }) => headers(small), LENGTH_REQUIRED),
    {
      name: 'a GET without a body by a key with limits',
      http2: ({ haiku }) => ({ headers: headers(haiku, { ':method': 'GET', ':path': '/v1/models' }) }),
      ends: { passes: 'it has nothing to be checked' },
    },
  ],
};
