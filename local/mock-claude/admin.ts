/** The admin endpoints under `/__mock/`: scripts, what was received, tokens sent. They are neither recorded nor scripted. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { MockState } from './exchange';

/** Paths of the admin endpoints begin so. */
export const ADMIN_PREFIX = '/__mock/';

/** Largest script, bytes. */
const MAX_SCRIPT_BYTES = 64 * 1024 * 1024;

async function readJson(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_SCRIPT_BYTES) throw new Error(`a script may have ${MAX_SCRIPT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
}

/** `?since=<seq>`: only later requests; `?path=/v1/messages`: only those of this path. */
function selectRequests(mock: MockState, query: URLSearchParams): unknown {
  const since = Number(query.get('since') ?? '0');
  const path = query.get('path');
  return mock.recorder
    .list()
    .filter((record) => record.seq > since && (path === null || record.url.split('?')[0] === path));
}

type Action = (mock: MockState, req: IncomingMessage, query: URLSearchParams) => unknown;

const ACTIONS: Readonly<Record<string, Action>> = {
  'GET /__mock/requests': (mock, _req, query) => selectRequests(mock, query),
  'DELETE /__mock/requests': (mock) => {
    mock.recorder.clear();
    return {};
  },
  'GET /__mock/script': (mock) => mock.scripts.list(),
  'PUT /__mock/script': async (mock, req) => {
    const rules = await readJson(req);
    const before = [...mock.scripts.list()];
    mock.scripts.clear();
    try {
      mock.scripts.add(rules);
    } catch (error) {
      mock.scripts.add(before);
      throw error;
    }
    return mock.scripts.list();
  },
  'POST /__mock/script': async (mock, req) => {
    mock.scripts.add(await readJson(req));
    return mock.scripts.list();
  },
  'DELETE /__mock/script': (mock) => {
    mock.scripts.clear();
    return {};
  },
  'GET /__mock/usage': (mock) => mock.usage.snapshot(),
  'DELETE /__mock/usage': (mock) => {
    mock.usage.clear();
    return {};
  },
};

/** Answers an admin request; what is wrong with it is said in `{"problem": "..."}`. */
export async function handleAdmin(mock: MockState, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://mock');
  const action = ACTIONS[`${req.method ?? ''} ${url.pathname}`];
  let status = 200;
  let answer: unknown;
  try {
    if (action === undefined) {
      status = 404;
      answer = { problem: `no such admin endpoint; there are: ${Object.keys(ACTIONS).join(', ')}` };
    } else {
      answer = await action(mock, req, url.searchParams);
    }
  } catch (error) {
    status = 400;
    answer = { problem: (error as Error).message };
  }
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(answer));
}
