import { createHash } from 'node:crypto';
import http from 'node:http';

import { eventually, sleep, startGateway, type TestGateway } from './harness';
import { begin, headersOf, messageBody, send, sha256 } from './support/http-client';
import { peakMegabytes } from './support/workers';

const MB = 1_000_000;
/** Requirement: what each worker may hold at any time. */
const MOST_MEGABYTES = 100;

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

/** Uploads a file that is made while it is sent, and tells the SHA-256 of the whole body. */
async function upload(bytes: number): Promise<{ status: number; digest: string; file: { size_bytes: number } }> {
  const boundary = 'causeway-boundary';
  const head = Buffer.from(
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="large.bin"\r\n` +
      'content-type: application/octet-stream\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const { request, answer } = begin(gateway, {
    path: '/v1/files',
    open: true,
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + bytes + tail.length),
      'anthropic-beta': 'files-api-2025-04-14',
    },
  });
  const hash = createHash('sha256');
  const write = async (chunk: Buffer): Promise<void> => {
    hash.update(chunk);
    if (!request.write(chunk)) await new Promise((done) => request.once('drain', done));
  };
  await write(head);
  const piece = Buffer.alloc(MB);
  for (let sent = 0; sent < bytes; sent += piece.length) {
    piece.writeUInt32BE(sent % 0xffffffff, sent % 1000);
    // A copy: the socket may still hold the last one.
    await write(Buffer.from(piece));
  }
  await write(tail);
  request.end();
  const { status, text } = await answer;
  return { status, digest: hash.digest('hex'), file: JSON.parse(text) as { size_bytes: number } };
}

function peaks(): number[] {
  return gateway.nginx.workers().map(peakMegabytes);
}

test('500 MB of a file and four messages of 30 MB at once leave each worker below 100 MB', async () => {
  const content = 'x'.repeat(30 * MB);
  const messages = Array.from({ length: 4 }, (_, index) =>
    messageBody({ messages: [{ role: 'user', content: `${index}${content}` }] }),
  );
  const uploading = upload(500 * MB);
  await eventually(() => gateway.mock.requests().find(({ url }) => url === '/v1/files'));
  const answers = await Promise.all(messages.map((body) => send(gateway, { body })));
  // They really were at once.
  expect(gateway.mock.requests().find(({ url }) => url === '/v1/files')?.endTime).toBeUndefined();
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  const uploaded = await uploading;
  expect(uploaded).toMatchObject({ status: 200, file: { size_bytes: 500 * MB } });

  const digests = gateway.mock.requests().map((record) => record.sha256);
  expect(digests.sort()).toEqual([uploaded.digest, ...messages.map(sha256)].sort());
  expect(peaks()).toHaveLength(2);
  for (const peak of peaks()) expect(peak).toBeLessThan(MOST_MEGABYTES);
}, 180_000);

test('a download of 300 MB leaves each worker below 100 MB, also where its reader is slow', async () => {
  const request = http.request(`${gateway.baseUrl}/v1/files/file_large/content`, {
    agent: false,
    headers: headersOf(gateway, { script: { sizeBytes: 300 * MB } }),
  });
  const response = await new Promise<http.IncomingMessage>((settle, reject) => {
    request.once('response', settle).once('error', reject).end();
  });
  expect(response.statusCode).toBe(200);
  let received = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (received < 50 * MB && (received + chunk.length) % 100 < 2) await sleep(1);
    received += chunk.length;
  }
  expect(received).toBe(300 * MB);
  for (const peak of peaks()) expect(peak).toBeLessThan(MOST_MEGABYTES);
}, 60_000);
