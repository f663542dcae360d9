import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import https from 'node:https';
import { readFileSync } from 'node:fs';

import { UPSTREAM_HOST, UPSTREAM_SECRET } from './harness';
import { exchange, lastRequest, messageBody, sha256 } from './support/exchange';
import { useGateway } from './support/gateways';

const MIB = 1024 * 1024;
const gateway = useGateway();

/** A body of 31 MB that the API takes, with bytes that compress badly and differ everywhere. */
function largeBody(): Buffer {
  const head = '{"model":"claude-sonnet-5-5","max_tokens":1,"messages":[{"role":"user","content":"';
  const filler = Buffer.alloc(31 * MIB);
  for (let i = 0; i < filler.length; i += 1) filler[i] = 0x61 + (((i * 2_654_435_761) >>> 27) % 26);
  return Buffer.concat([Buffer.from(head), filler, Buffer.from('"}]}')]);
}

const ODD_BODIES: readonly (readonly [name: string, body: Buffer])[] = [
  ['unicode escapes', Buffer.from(messageBody({ system: '§' }).replace('§', '\\u0041\\ud83c\\udf09\\u00e9\\/\\u2028'))],
  ['duplicate keys', Buffer.from('{"model":"claude-opus-5","model":"claude-sonnet-5-5","max_tokens":1,"messages":[]}')],
  ['odd spacing', Buffer.from(`\r\n\t ${messageBody().replaceAll(':', '\t:\n ').replaceAll(',', ' ,\r\n')}\n\n  `)],
  ['numbers that a parser would change', Buffer.from('{"a":1.0,"b":1e400,"c":-0,"d":12345678901234567890}')],
  ['a byte order mark', Buffer.from(`\ufeff${messageBody()}`)],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0xff, 0xfe, 0xed, 0xa0, 0x80, 0x22, 0x7d])],
  ['zeros and control bytes', Buffer.from([0, 1, 2, 0, 13, 10, 13, 10, 0x1f, 0x8b, 0])],
  ['what looks like HTTP', Buffer.from('0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['nothing', Buffer.alloc(0)],
  ['31 MB', largeBody()],
];

describe('request bodies reach the upstream byte for byte', () => {
  it.each(ODD_BODIES)('%s', async (_name, body) => {
    await exchange(gateway(), { body });
    expect(lastRequest(gateway())).toMatchObject({ bodyBytes: body.length, sha256: sha256(body) });
  });

  it.each(ODD_BODIES)('%s, chunked', async (_name, body) => {
    const third = Math.ceil(body.length / 3);
    const chunks = [body.subarray(0, third), body.subarray(third, 2 * third), body.subarray(2 * third)];
    await exchange(gateway(), { chunks: chunks.filter((chunk) => chunk.length > 0) });
    expect(lastRequest(gateway())).toMatchObject({ bodyBytes: body.length, sha256: sha256(body) });
  });

  it.each(['/v1/messages/count_tokens', '/v1/messages/batches', '/v1/files', '/v1/echo', '/v1/future/thing'])(
    'on %s, with a length and chunked',
    async (target) => {
      const body = Buffer.from('{"a" :1, "a":\t"\\u0041"}\n');
      await exchange(gateway(), { target, body });
      await exchange(gateway(), { target, chunks: [body.subarray(0, 5), body.subarray(5)] });
      const seen = gateway().mock.requests();
      expect(seen.map((record) => record.sha256)).toEqual([sha256(body), sha256(body)]);
    },
  );

  it('any bytes at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000, size: 'max' }), fc.boolean(), async (bytes, chunked) => {
        const body = Buffer.from(bytes);
        const how = chunked && body.length > 0 ? { chunks: [body] } : { body };
        await exchange(gateway(), { target: '/v1/echo', ...how });
        expect(lastRequest(gateway()).sha256).toBe(sha256(body));
      }),
      { numRuns: 60 },
    );
  });
});

const ODD_ANSWERS: readonly (readonly [name: string, contentType: string, body: Buffer])[] = [
  ['JSON with escapes, duplicate keys and odd spacing', 'application/json', ODD_BODIES[2]?.[1] ?? Buffer.alloc(0)],
  ['JSON with a fake usage twice', 'application/json', Buffer.from('{"usage":{},"usage" : 7,"\\u0041":1e400}\r\n')],
  ['invalid UTF-8 called JSON', 'application/json', Buffer.from([0x7b, 0xff, 0xc3, 0x28, 0x7d])],
  ['what looks like gzip', 'application/json', gzipSync('{"a":1}')],
  ['HTML', 'text/html; charset=iso-8859-1', Buffer.from('<p>\xe9</p>', 'latin1')],
  [
    'SSE with comments, unknown events, odd line ends and no end',
    'text/event-stream; charset=utf-8',
    Buffer.from(
      ': hello\n\n:\n\nevent: quantum\ndata: {"spin" : "up"}\nid: 7\nretry: 10\n\ndata: a\r\ndata: b\r\n\r\n' +
        'event:ping\ndata:{}\n\n\n\nunknown-field: x\ndata\n\nevent: message_start\ndata: {"no json\n\ndata: last, unfinished',
    ),
  ],
  ['SSE that is no UTF-8', 'text/event-stream', Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0xfe, 10, 10, 0, 1])],
];

describe('answers reach the client byte for byte', () => {
  it.each(ODD_ANSWERS)('%s', async (_name, contentType, body) => {
    gateway().mock.script({ script: { contentType, bodyBase64: body.toString('base64') } });
    const answer = await exchange(gateway(), { body: messageBody() });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe(contentType);
    expect(answer.body.equals(body)).toBe(true);
  });

  it('what is declared as gzip stays gzip', async () => {
    const body = gzipSync(messageBody());
    const script = { bodyBase64: body.toString('base64'), headers: { 'content-encoding': 'gzip' } };
    const answer = await exchange(gateway(), { script, headers: [['Accept-Encoding', 'gzip']], body: messageBody() });
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', 'content-length': String(body.length) });
    expect(answer.body.equals(body)).toBe(true);
  });

  it('31 MB, as the upstream itself sends them', async () => {
    const script = { sizeBytes: 31 * MIB };
    const direct = await new Promise<Buffer>((resolve, reject) => {
      const { mock, files } = gateway();
      const headers = {
        'x-api-key': UPSTREAM_SECRET,
        'anthropic-version': '2023-06-01',
        'x-mock-script': JSON.stringify(script),
      };
      https
        .get(
          `${mock.baseUrl}/v1/large`,
          { headers, ca: readFileSync(files.ca), servername: UPSTREAM_HOST },
          (response) => {
            const pieces: Buffer[] = [];
            response.on('data', (piece: Buffer) => pieces.push(piece));
            response.on('end', () => {
              resolve(Buffer.concat(pieces));
            });
          },
        )
        .on('error', reject);
    });
    const answer = await exchange(gateway(), { method: 'GET', target: '/v1/large', script });
    expect(answer.body.length).toBe(31 * MIB);
    expect(sha256(answer.body)).toBe(sha256(direct));
  });

  it.each([400, 401, 402, 403, 404, 405, 408, 409, 411, 413, 414, 418, 421, 422, 429, 431, 451, 494, 497, 499])(
    'an upstream error of status %i',
    (status) => expectUnchanged(status),
  );
  it.each([500, 501, 502, 503, 504, 505, 507, 520, 529, 599])('an upstream error of status %i', (status) =>
    expectUnchanged(status),
  );

  it.each([
    ['no JSON', 'text/plain', 'upstream connect error or disconnect/reset before headers'],
    ['odd JSON', 'application/json', '{"type":"error" ,"error":{"type":"new_kind","message":"\\u00e9"},"x":1e2}\n\n'],
    ['nothing', 'application/json', ''],
  ])('an upstream error with %s as its body', async (_name, contentType, body) => {
    gateway().mock.script({ script: { status: 529, contentType, body } });
    const answer = await exchange(gateway(), { body: messageBody() });
    expect([answer.status, answer.headers['content-type'], answer.body.toString()]).toEqual([529, contentType, body]);
  });

  it('any status, any bytes', async () => {
    const statuses = fc
      .integer({ min: 200, max: 599 })
      .filter((status) => status !== 204 && status !== 205 && status !== 304);
    await fc.assert(
      fc.asyncProperty(
        statuses,
        fc.uint8Array({ minLength: 1, maxLength: 3000, size: 'max' }),
        async (status, bytes) => {
          gateway().mock.clear();
          gateway().mock.script({ script: { status, bodyBase64: Buffer.from(bytes).toString('base64') } });
          const answer = await exchange(gateway(), { body: messageBody() });
          expect(answer.status).toBe(status);
          expect(answer.body.equals(Buffer.from(bytes))).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

async function expectUnchanged(status: number): Promise<void> {
  const body = `{"type":"error","error":{"type":"t${status}","message":"\\u00e9 …"}, "request_id":null}\n`;
  gateway().mock.script({ script: { status, body, headers: { 'x-should-retry': 'false' } } });
  const answer = await exchange(gateway(), { body: messageBody() });
  expect(answer.status).toBe(status);
  expect(answer.body.toString()).toBe(body);
  expect(answer.headers).toMatchObject({ 'x-should-retry': 'false', 'request-id': lastRequest(gateway()).requestId });
}
