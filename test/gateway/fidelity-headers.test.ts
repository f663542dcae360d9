import tls from 'node:tls';
import { once } from 'node:events';
import fc from 'fast-check';

import { startGateway, UPSTREAM_HOST, UPSTREAM_SECRET, type TestGateway } from './harness';
import { exchange, lastRequest, messageBody, pairs, valuesOf, type HeaderLines } from './support/exchange';
import { startHandDrivenUpstream, type HandDrivenUpstream } from './support/hand-driven-upstream';
import { useGateway } from './support/gateways';

/** Header names that no hop has an opinion on. */
const names = fc
  .stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$/)
  .map((name) => `x-p-${name}`)
  .filter((name) => !/^x-p-.*(mock|causeway)/i.test(name));
/** Header values: no space at the ends, which is no part of a value. */
const values = fc.stringMatching(/^[\x21-\x7e\xa0-\xff]([\x20-\x7e\xa0-\xff\t]{0,80}[\x21-\x7e\xa0-\xff])?$/);
const lines = fc.array(fc.tuple(names, values), { maxLength: 12 });

const ODD_LINES: HeaderLines = [
  ['X-oDd-CaSe', 'Kept As It IS'],
  ['x_under_score', 'yes'],
  ['x.dotted!and~odd', 'a token all the same'],
  ['X-Repeated', 'first'],
  ['x-repeated', 'second, with a comma'],
  ['X-Repeated', 'first'],
  ['x-latin', 'caf\xe9'],
  ['x-inner', 'a \t  b'],
  ['x-quoted', '"a\\"b"; q=0.5, {}$[]'],
];

describe('requests', () => {
  const gateway = useGateway();

  it('keep every header that is not the hop’s, as it was written', async () => {
    const known: HeaderLines = [
      ['anthropic-beta', 'a-2026-01-01,b'],
      ['Anthropic-Beta', 'c'],
      ['anthropic-future', 'x'],
      ['User-Agent', 'odd/1.0'],
      ['Accept', 'application/json;q=0.5'],
      ['Content-Type', 'application/json ; charset="utf-8"'],
      ['Cookie', 'a=b; c="d"'],
      ['Cookie', 'e=f'],
      ['If-None-Match', 'W/"x"'],
      ['If-Modified-Since', 'Mon, 23 Nov 2026 15:26:02 GMT'],
      ['Range', 'bytes=0-1'],
      ['x-claude-code-session-id', 'session'],
      ['x-stainless-retry-count', '0'],
      ['idempotency-key', 'k'],
      ['traceparent', '00-0-0-01'],
    ];
    await exchange(gateway(), { headers: [...ODD_LINES, ...known], body: messageBody() });
    expect(lastRequest(gateway()).rawHeaders).toEqual(expect.arrayContaining([...ODD_LINES, ...known]));
    expect(valuesOf(lastRequest(gateway()).rawHeaders, 'x-repeated')).toEqual([
      'first',
      'second, with a comma',
      'first',
    ]);
    // The one header that is changed: usage cannot be read from what is compressed.
    expect(valuesOf(lastRequest(gateway()).rawHeaders, 'accept-encoding')).toEqual(['identity']);
  });

  it('keep any header lines', async () => {
    await fc.assert(
      fc.asyncProperty(lines, async (headers) => {
        await exchange(gateway(), { target: '/v1/echo', headers, body: 'x' });
        const sent = new Set(headers.map(([name]) => name.toLowerCase()));
        const seen = lastRequest(gateway()).rawHeaders.filter(([name]) => sent.has(name.toLowerCase()));
        expect(seen).toEqual(headers);
      }),
      { numRuns: 60 },
    );
  });

  it('keep a header of 8 KB', async () => {
    const long = 'k'.repeat(8192);
    await exchange(gateway(), { headers: [['x-long', long]], body: messageBody() });
    expect(lastRequest(gateway()).headers['x-long'] === long).toBe(true);
  });

  it('lose what is meant for the hop, and what tells of the company’s inside', async () => {
    const hop: HeaderLines = [
      ['Connection', 'keep-alive, X-Nominated , x-also'],
      ['X-Nominated', '1'],
      ['x-also', '2'],
      ['Keep-Alive', 'timeout=5'],
      ['Proxy-Authorization', 'Basic eA=='],
      ['Proxy-Connection', 'keep-alive'],
      ['TE', 'trailers'],
      ['Trailer', 'x'],
      ['Upgrade', 'h2c'],
      ['Forwarded', 'for=10.1.2.3'],
      ['X-Forwarded-For', '10.1.2.3'],
      ['X-Forwarded-Host', 'inside.example'],
      ['X-Forwarded-Port', '443'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Real-IP', '10.1.2.3'],
      ['X-Amzn-Trace-Id', 'Root=1'],
      ['Via', '1.1 proxy.inside.example'],
    ];
    await exchange(gateway(), { headers: [...hop, ['x-stays', '3']], chunks: [Buffer.from(messageBody())] });
    const seen = new Set(Object.keys(lastRequest(gateway()).headers));
    expect(hop.map(([name]) => name.toLowerCase()).filter((name) => seen.has(name))).toEqual([]);
    expect(seen.has('x-stays')).toBe(true);
  });

  it.each(['anthropic-version', 'x-api-key', 'content-type', 'host', 'content-length'])(
    'keep %s even where Connection nominates it',
    async (name) => {
      await exchange(gateway(), {
        headers: [
          ['Connection', name],
          ['content-type', 'a/b'],
        ],
        body: messageBody(),
      });
      expect(lastRequest(gateway()).headers[name]).toBeDefined();
    },
  );

  it('name the upstream as Host and SNI, whatever the client says', async () => {
    const { httpsPort, authority, key, mock } = gateway();
    const socket = tls.connect({
      port: httpsPort,
      ca: authority.root,
      servername: 'localhost',
      ALPNProtocols: ['http/1.1'],
    });
    socket.write(
      `GET /v1/models HTTP/1.1\r\nHost: other.example:1\r\nX-Forwarded-Host: other.example\r\nx-api-key: ${key}\r\n` +
        'anthropic-version: 2023-06-01\r\nConnection: close\r\n\r\n',
    );
    socket.resume();
    await once(socket, 'end');
    expect(lastRequest(gateway()).status).toBe(200);
    expect(lastRequest(gateway()).servername).toBe(UPSTREAM_HOST);
    expect(valuesOf(lastRequest(gateway()).rawHeaders, 'host')).toEqual([`${UPSTREAM_HOST}:${mock.port}`]);
  });

  it.each<[string, (key: string) => HeaderLines]>([
    ['x-api-key', (key) => [['x-api-key', key]]],
    ['odd case', (key) => [['X-API-Key', key]]],
    ['Authorization', (key) => [['authorization', `bearer  ${key}`]]],
    [
      'both',
      (key) => [
        ['X-Api-Key', key],
        ['Authorization', `Bearer ${key}`],
      ],
    ],
    [
      'x-api-key twice',
      (key) => [
        ['x-api-key', key],
        ['X-Api-Key', key],
      ],
    ],
    ['underscores', (key) => [['x_api_key', key]]],
    ['an underscore and a dash', (key) => [['x_api-key', key]]],
    ['a dash and an underscore', (key) => [['X-Api_Key', key]]],
    [
      'underscores beside it',
      (key) => [
        ['X_Api_Key', key],
        ['x-api-key', key],
      ],
    ],
  ])('do not carry the client’s credential on (%s)', async (_name, credential) => {
    const answer = await exchange(gateway(), { credential: credential(gateway().key), body: messageBody() });
    expect(answer.status).toBe(200);
    const { rawHeaders } = lastRequest(gateway());
    expect(rawHeaders.flat().join('\n')).not.toContain(gateway().key);
    expect(valuesOf(rawHeaders, 'x-api-key')).toEqual([UPSTREAM_SECRET]);
    expect(`${answer.rawHeaders.flat().join('\n')}${answer.body.toString()}`).not.toContain(UPSTREAM_SECRET);
  });

  it.each([
    '/v1/messages?beta=true',
    '/v1/messages?',
    '/v1/messages?a=1&a=2&a=&b&&=c',
    '/v1/messages?x=%2F%2f%00%zz%C3%A9+%20&y=//../a/./b',
    `/v1/models?q=a'b|c{}[]^"\`;@:,!*()$&after_id=x\\y`,
    '/v1/models/claude%20%C3%A9?x#y',
    '/v1/files/a%3Ab/content?beta=true',
    '/v1/echo?https://other.example/v1/x?y=z',
    '/v1/messages/',
  ])('keep the target %s byte for byte', async (target) => {
    await exchange(gateway(), { method: 'GET', target });
    expect(lastRequest(gateway()).url).toBe(target);
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'PROPFIND', 'REPORT'])(
    'pass on routes that nobody knows (%s)',
    async (method) => {
      gateway().mock.script({ script: { status: 202, body: 'taken' } });
      const sent = method === 'GET' || method === 'HEAD' ? {} : { body: 'some bytes' };
      const answer = await exchange(gateway(), { method, target: '/v1/future/things/1?beta=true', ...sent });
      expect([answer.status, answer.body.toString()]).toEqual([202, method === 'HEAD' ? '' : 'taken']);
      expect(lastRequest(gateway())).toMatchObject({
        method,
        url: '/v1/future/things/1?beta=true',
        bodyBytes: sent.body?.length ?? 0,
      });
    },
  );
});

describe('answers', () => {
  let upstream: HandDrivenUpstream;
  let gateway: TestGateway;
  beforeAll(async () => {
    upstream = await startHandDrivenUpstream();
    gateway = await startGateway({ config: upstream.config });
  });
  afterAll(async () => {
    await gateway.stop();
    await upstream.close();
  });

  async function answered(headers: HeaderLines): Promise<HeaderLines> {
    upstream.answer((request, response) => {
      response.sendDate = false;
      request.on('end', () => response.writeHead(200, headers.flat()).end('{}'));
    });
    return (await exchange(gateway, { body: messageBody() })).rawHeaders;
  }

  it('keep every header of the upstream, as it was written', async () => {
    const sent: HeaderLines = [
      ...ODD_LINES,
      ['Server', 'upstream/9'],
      ['Date', 'Sun, 06 Nov 1994 08:49:37 GMT'],
      ['Request-Id', 'req_011'],
      ['anthropic-organization-id', 'org'],
      ['retry-after', '7'],
      ['retry-after-ms', '6500'],
      ['x-should-retry', 'false'],
      ['anthropic-ratelimit-requests-limit', '4000'],
      ['anthropic-ratelimit-input-tokens-reset', '2026-11-23T15:27:02Z'],
      ['anthropic-priority-input-tokens-limit', '1'],
      ['anthropic-fast-output-tokens-remaining', '2'],
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2; Path=/'],
      ['Cache-Control', 'no-store'],
      ['ETag', 'W/"x"'],
      ['Last-Modified', 'yesterday'],
      ['Expires', '0'],
      ['Vary', 'a, b'],
      ['Location', '/v1/elsewhere'],
      ['Link', '<a>; rel=next'],
      ['Refresh', '1'],
      ['Content-Language', 'de'],
      ['Content-Disposition', 'attachment; filename="a"'],
      ['Accept-Ranges', 'bytes'],
      ['WWW-Authenticate', 'Bearer'],
      ['Alt-Svc', 'h3=":443"'],
      ['X-Accel-Redirect', '/healthz'],
      ['X-Accel-Buffering', 'yes'],
      ['X-Accel-Limit-Rate', '1'],
      ['X-Pad', 'p'],
      ['x-causeway-cache', 'not ours'],
    ];
    const seen = await answered([['Content-Type', 'Application/JSON;charset="utf-8"'], ...sent]);
    expect(seen).toEqual(expect.arrayContaining([...sent]));
    expect(valuesOf(seen, 'content-type')).toEqual(['Application/JSON;charset="utf-8"']);
    for (const once of ['server', 'date', 'request-id']) expect(valuesOf(seen, once)).toHaveLength(1);
    const added = seen
      .map(([name]) => name.toLowerCase())
      .filter((name) => !sent.some(([each]) => each.toLowerCase() === name));
    expect(added.sort()).toEqual([
      'connection',
      'content-type',
      'transfer-encoding',
      'x-causeway-region',
      'x-causeway-upstream',
    ]);
  });

  it('keep any header lines', async () => {
    await fc.assert(
      fc.asyncProperty(lines, async (headers) => {
        const sent = new Set(headers.map(([name]) => name.toLowerCase()));
        const seen = (await answered(headers)).filter(([name]) => sent.has(name.toLowerCase()));
        expect(seen).toEqual(headers);
      }),
      { numRuns: 60 },
    );
  });

  it('lose what is meant for the hop', async () => {
    const hop = pairs(
      'Connection,X-Nominated,X-Nominated,1,Keep-Alive,timeout=5,Proxy-Authenticate,Basic,Proxy-Connection,close,Upgrade,h2c'.split(
        ',',
      ),
    );
    const seen = await answered([...hop, ['x-stays', '1']]);
    expect(hop.flatMap(([name]) => valuesOf(seen, name)).filter((value) => value !== 'close')).toEqual([]);
    expect(valuesOf(seen, 'x-stays')).toEqual(['1']);
  });
});
