import { FORBIDDEN, MESSAGE, NOT_HTTP, request, sized, type Attack, type AttackTable, type Ending } from './attack';

const ODD: Ending = { status: 400, type: 'invalid_request_error' };
const NOWHERE: Ending = { status: 404, type: 'not_found_error' };

/** A target as it can be read. */
function printable(target: string): string {
  return target.replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

const path = (name: string, target: string, ends: Ending): Attack => ({
  name: `${name}: \`${printable(target)}\``,
  bytes: ({ open }) => request(target, open),
  ends,
});

const method = (name: string, line: string, ends: Ending): Attack => ({
  name: `${name}: \`${line}\``,
  bytes: ({ open }) => request(`${line} HTTP/1.1`, open),
  ends,
});

/** Attacks on where a request goes: the Admin API is what all of them are after. */
export const PATHS: AttackTable = {
  theme: 'Paths, methods and hosts',
  attacks: [
    path('the Admin API', '/v1/organizations/users', FORBIDDEN),
    path('in other letters', '/v1/Organizations', FORBIDDEN),
    path('in other letters', '/V1/organizations', NOWHERE),
    path('one letter encoded', '/v1/%6frganizations', FORBIDDEN),
    path('encoded twice', '/v1/%256frganizations', ODD),
    path('with a query', '/v1/organizations?x', FORBIDDEN),
    path('with an encoded query', '/v1/organizations%3Fx', FORBIDDEN),
    path('dots', '/v1/models/../organizations', ODD),
    path('encoded dots', '/v1/models/%2e%2e/organizations', ODD),
    path('dots and an encoded slash', '/v1/models/..%2forganizations', ODD),
    path('one dot', '/v1/./organizations', ODD),
    path('above the root', '/../v1/organizations', NOT_HTTP),
    path('two slashes', '//v1/organizations', ODD),
    path('two slashes', '/v1//organizations', ODD),
    path('an encoded slash', '/v1%2forganizations', ODD),
    path('an encoded slash', '/v1/%2Forganizations', ODD),
    path('a backslash', '/v1/x\\..\\organizations', ODD),
    path('an encoded backslash', '/v1/%5corganizations', ODD),
    path('a path parameter', '/v1/organizations;x=y', ODD),
    path('a fragment', '/v1/organizations#x', ODD),
    path('an overlong dot', '/v1/models/%c0%ae%c0%ae/organizations', ODD),
    path('CR LF, encoded', '/v1/models%0d%0ax-api-key:%20y', ODD),
    path('NUL, encoded', '/v1/models%00', NOT_HTTP),
    path('NUL', '/v1/mo\0dels', NOT_HTTP),
    path('a byte above ASCII', '/v1/models\u00e9', ODD),
    path('broken encoding', '/v1/models%zz', NOT_HTTP),
    path('an own location', '/.causeway/error/500', NOWHERE),
    method('a space in the path', 'GET /v1/models /x', NOT_HTTP),
    method('an absolute URI', 'GET http://evil.test/v1/organizations', FORBIDDEN),
    method('an absolute URI elsewhere', 'GET http://evil.test/v1/models', {
      passes: 'to the configured upstream, under its own name',
    }),
    method('a proxy request', 'CONNECT evil.test:443', NOT_HTTP),
    method('TRACE', 'TRACE /v1/messages', { status: 405, type: 'invalid_request_error' }),
    method('a method in small letters', 'get /v1/models', NOT_HTTP),
    method('a tab for a space', 'GET\t/v1/models', NOT_HTTP),
    method('an asterisk', 'OPTIONS *', NOT_HTTP),
    {
      name: 'HTTP/2.0 in a plain request line',
      bytes: ({ open }) => request('GET /v1/models HTTP/2.0', open),
      ends: { status: 505, type: 'api_error' },
    },
    { name: 'no Host', bytes: ({ open }) => request('/v1/models', open).replace(/Host: .*\r\n/, ''), ends: NOT_HTTP },
    { name: 'two Hosts', bytes: ({ open }) => request('/v1/models', open, ['Host: evil.test']), ends: NOT_HTTP },
    {
      name: 'a Host with a path',
      bytes: ({ open }) => request('/v1/models', open).replace('gateway.test', 'gateway.test/x'),
      ends: NOT_HTTP,
    },
    {
      name: 'another Host',
      bytes: ({ open }) => request('/v1/models', open).replace('gateway.test', 'evil.test:99'),
      ends: { passes: 'to the configured upstream, under its own name' },
    },
    {
      name: 'an upgrade to h2c',
      bytes: ({ open }) =>
        request('/v1/models', open, [
          'Connection: Upgrade, HTTP2-Settings',
          'Upgrade: h2c',
          'HTTP2-Settings: AAMAAABk',
        ]),
      ends: { passes: 'answered as HTTP/1.1; the upgrade is not asked for' },
    },
    {
      name: 'a message to a path with a slash at its end, model not allowed',
      bytes: ({ haiku }) => sized(haiku, MESSAGE).replace('/v1/messages', '/v1/messages/'),
      ends: FORBIDDEN,
    },
    {
      name: 'a message to an encoded path, model not allowed',
      bytes: ({ haiku }) => sized(haiku, MESSAGE).replace('/v1/messages', '/v1/%6dessages'),
      ends: FORBIDDEN,
    },
    {
      name: 'a message by PUT, models limited',
      bytes: ({ haiku }) => sized(haiku, MESSAGE).replace('POST', 'PUT'),
      ends: FORBIDDEN,
    },
    ...['X-HTTP-Method-Override: POST', 'X-Original-URL: /v1/messages'].map((line) => ({
      name: `a message by GET and \`${line}\`, models limited, every route named`,
      bytes: ({ haikuEverywhere }: { haikuEverywhere: string }) =>
        sized(haikuEverywhere, MESSAGE, [line]).replace('POST /', 'GET /'),
      ends: ODD,
    })),
    {
      name: 'a route that the key is not allowed',
      bytes: ({ reader }) => sized(reader, MESSAGE),
      ends: FORBIDDEN,
    },
  ],
};
