import { deflateSync, gzipSync } from 'node:zlib';

import {
  chunked,
  FORBIDDEN,
  MESSAGE,
  post,
  request,
  sized,
  type Attack,
  type AttackTable,
  type Ending,
  type Keys,
} from './attack';

const UNREADABLE: Ending = { status: 400, type: 'invalid_request_error' };
const LENGTH_REQUIRED: Ending = { status: 411, type: 'invalid_request_error' };
const ALLOWED = '"claude-haiku-4-5"';
const FORBIDDEN_MODEL = '"claude-opus-5"';
const REST = '"max_tokens":9,"messages":[]';

const gzip = (text: string): string => gzipSync(text).toString('latin1');

/** A message by the key that may use Haiku only. */
const message = (name: string, body: string, ends: Ending, lines: readonly string[] = []): Attack => ({
  name,
  bytes: ({ haiku }) => sized(haiku, body, lines),
  ends,
});

const batch = (name: string, body: string, ends: Ending): Attack => ({
  name: `batch: ${name}`,
  bytes: ({ haiku }) => sized(haiku, body).replace('/v1/messages', '/v1/messages/batches'),
  ends,
});

const by = (name: string, bytes: (keys: Keys) => string, ends: Ending): Attack => ({ name, bytes, ends });

const params = (models: readonly string[]): string =>
  models.map((model, index) => `{"custom_id":"c${index}","params":{"model":${model},${REST}}}`).join(',');

/** Attacks on what a key may ask for. The key may use `claude-haiku-*` only, unless the name says otherwise. */
export const POLICIES: AttackTable = {
  theme: 'Models, routes and sizes',
  attacks: [
    message('a model that is not allowed', MESSAGE, FORBIDDEN),
    by('in chunks', ({ haiku }) => post(haiku, ['Transfer-Encoding: chunked'], chunked(MESSAGE)), FORBIDDEN),
    message('the key with an escape', `{"mod\\u0065l":${FORBIDDEN_MODEL},${REST}}`, FORBIDDEN),
    message(
      'every letter of the key escaped',
      `{"\\u006d\\u006f\\u0064\\u0065\\u006C":${FORBIDDEN_MODEL},${REST}}`,
      FORBIDDEN,
    ),
    message('the model with an escape', `{"model":"claude-\\u006fpus-5",${REST}}`, FORBIDDEN),
    message('twice, the allowed one first', `{"model":${ALLOWED},${REST},"model":${FORBIDDEN_MODEL}}`, UNREADABLE),
    message('twice, the allowed one last', `{"model":${FORBIDDEN_MODEL},${REST},"model":${ALLOWED}}`, UNREADABLE),
    message('twice, one of them escaped', `{"model":${ALLOWED},"\\u006dodel":${FORBIDDEN_MODEL},${REST}}`, UNREADABLE),
    message(
      'an allowed decoy within a message',
      `{"messages":[{"model":${ALLOWED}}],"model":${FORBIDDEN_MODEL}}`,
      FORBIDDEN,
    ),
    message('only a decoy within metadata', `{"metadata":{"model":${ALLOWED}},${REST}}`, UNREADABLE),
    message(
      'a decoy within a string',
      `{"system":"\\",\\"model\\":${ALLOWED.replaceAll('"', '\\"')}","model":${FORBIDDEN_MODEL}}`,
      FORBIDDEN,
    ),
    message('a byte order mark', `\u00ef\u00bb\u00bf${MESSAGE}`, UNREADABLE),
    message('a second document behind the first', `{"model":${ALLOWED},${REST}}${MESSAGE}`, UNREADABLE),
    message('NUL behind an allowed document', `{"model":${ALLOWED},${REST}}\0`, UNREADABLE),
    message('a comment', `{"model":${ALLOWED}/*","model":${FORBIDDEN_MODEL},"a":"*/,${REST}}`, UNREADABLE),
    message('single quotes', `{'model':'claude-opus-5',${REST}}`, UNREADABLE),
    message(
      'malformed UTF-8 in the key',
      `{"model":${ALLOWED},"mod\u00c0\u00a5l":${FORBIDDEN_MODEL},${REST}}`,
      UNREADABLE,
    ),
    message('a surrogate by itself in the model', `{"model":"claude-haiku-\\ud800",${REST}}`, UNREADABLE),
    message('the model as a list', `{"model":[${ALLOWED}],${REST}}`, UNREADABLE),
    message('no model', `{${REST}}`, UNREADABLE),
    message('a list instead of an object', `[${MESSAGE}]`, UNREADABLE),
    message('brackets 100,000 deep', `{"model":${ALLOWED},"a":${'['.repeat(100_000)}`, UNREADABLE),
    message('UTF-16', Buffer.from(MESSAGE, 'utf16le').toString('latin1'), UNREADABLE),
    message('gzip', gzip(MESSAGE), UNREADABLE, ['Content-Encoding: gzip']),
    message('gzip that is not said', gzip(MESSAGE), UNREADABLE),
    message('gzip, said behind `identity`', gzip(MESSAGE), UNREADABLE, [
      'Content-Encoding: identity',
      'Content-Encoding: gzip',
    ]),
    message('gzip, said behind `Content_Encoding: identity`', gzip(MESSAGE), UNREADABLE, [
      'Content_Encoding: identity',
      'Content-Encoding: gzip',
    ]),
    message('deflate', deflateSync(MESSAGE).toString('latin1'), UNREADABLE, ['Content-Encoding: deflate']),
    message('an allowed body said to be compressed', `{"model":${ALLOWED},${REST}}`, UNREADABLE, [
      'Content-Encoding: br',
    ]),
    by(
      'an allowed body in another charset',
      ({ haiku }) =>
        sized(haiku, `{"model":${ALLOWED},${REST}}`).replace(
          'application/json',
          'application/json; charset="Shift_JIS"',
        ),
      UNREADABLE,
    ),
    message('`Content_Length: 0` before the length', MESSAGE, FORBIDDEN, ['Content_Length: 0']),
    message('names that differ only in case', `{"model":"Claude-Haiku-4-5",${REST}}`, FORBIDDEN),
    message('a name of 1 MB', `{"model":"${'x'.repeat(1_000_000)}",${REST}}`, FORBIDDEN),
    batch('the second of two', `{"requests":[${params([ALLOWED, FORBIDDEN_MODEL])}]}`, FORBIDDEN),
    batch(
      'an escaped key',
      `{"requests":[${params([ALLOWED])},{"p\\u0061rams":{"mod\\u0065l":${FORBIDDEN_MODEL}}}]}`,
      FORBIDDEN,
    ),
    batch(
      'params twice',
      `{"requests":[{"params":{"model":${ALLOWED}},"params":{"model":${FORBIDDEN_MODEL}}}]}`,
      UNREADABLE,
    ),
    batch(
      'requests twice',
      `{"requests":[${params([ALLOWED])}],"requests":[${params([FORBIDDEN_MODEL])}]}`,
      UNREADABLE,
    ),
    batch(
      'an allowed model beside the requests',
      `{"model":${ALLOWED},"requests":[${params([FORBIDDEN_MODEL])}]}`,
      FORBIDDEN,
    ),
    batch('a request without a model', `{"requests":[{"params":{${REST}}}]}`, UNREADABLE),
    by(
      'batch: compressed',
      ({ haiku }) =>
        sized(haiku, gzip(`{"requests":[${params([FORBIDDEN_MODEL])}]}`), ['Content-Encoding: gzip']).replace(
          '/v1/messages',
          '/v1/messages/batches',
        ),
      UNREADABLE,
    ),
    by(
      'batch: in chunks',
      ({ haiku }) =>
        post(haiku, ['Transfer-Encoding: chunked'], chunked(`{"requests":[${params([FORBIDDEN_MODEL])}]}`)).replace(
          '/v1/messages',
          '/v1/messages/batches/',
        ),
      LENGTH_REQUIRED,
    ),
    by(
      'batch: of 33 MB that are never sent',
      ({ haiku }) => post(haiku, ['Content-Length: 33554433'], '').replace('/v1/messages', '/v1/messages/batches'),
      UNREADABLE,
    ),
    by(
      'count_tokens',
      ({ haiku }) => sized(haiku, MESSAGE).replace('/v1/messages', '/v1/messages/count_tokens'),
      FORBIDDEN,
    ),
    by('a route that chooses models by itself', ({ haiku }) => request('/v1/sessions', haiku), FORBIDDEN),
    by(
      'an older route with a model',
      ({ haiku }) => sized(haiku, MESSAGE).replace('/v1/messages', '/v1/complete'),
      FORBIDDEN,
    ),
    by('above the key’s size', ({ small }) => sized(small, MESSAGE), { status: 413, type: 'request_too_large' }),
    by(
      'above the key’s size, `Content_Length: 5` before the length',
      ({ small }) => sized(small, MESSAGE, ['Content_Length: 5']),
      { status: 413, type: 'request_too_large' },
    ),
    by(
      'above the key’s size, in chunks',
      ({ small }) => post(small, ['Transfer-Encoding: chunked'], chunked(MESSAGE)),
      LENGTH_REQUIRED,
    ),
    by('above the API’s size, never sent', ({ open }) => post(open, ['Content-Length: 33554433'], ''), {
      status: 413,
      type: 'request_too_large',
    }),
    by('no size at all, where none is needed', ({ small }) => request('/v1/models', small), {
      passes: 'it has nothing to be checked',
    }),
    by('an allowed model', ({ haiku }) => sized(haiku, `{"model":${ALLOWED},${REST}}`), { passes: 'byte for byte' }),
    by(
      'an allowed batch',
      ({ haiku }) =>
        sized(haiku, `{"requests":[${params([ALLOWED, ALLOWED])}]}`).replace('/v1/messages', '/v1/messages/batches'),
      { passes: 'byte for byte' },
    ),
  ],
};
