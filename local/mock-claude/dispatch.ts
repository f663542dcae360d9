/** From a request to its answer: record, read, find the script, check, route, deliver. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RequestBody } from './body';
import { checkCaller, credentialOf } from './credentials';
import { cutNow, deliver, waitForLeave } from './deliver';
import { ApiError, errorBody, messageOfType, statusOfType, typeOfStatus } from './errors';
import { type Answer, bytesAnswer, ClientGone, type Exchange, jsonAnswer, type MockState, type Unit } from './exchange';
import { filler } from './filler';
import { freshId } from './ids';
import type { RecordedRequest } from './recorder';
import { findRoute, type Found } from './routes';
import { describeProblem, type Script, scriptSchema } from './script';
import { splitEvents } from './sse';

const SCRIPT_HEADER = 'x-mock-script';

/** Notes how the answer went, once the connection is done with it. */
function followEnd(ex: Exchange, leave: AbortController): void {
  ex.res.once('close', () => {
    ex.record.endTime = Date.now();
    if (!ex.res.writableFinished && !ex.cut) {
      ex.record.aborted = true;
      ex.record.abortedTime = ex.record.endTime;
    }
    leave.abort();
  });
}

function openExchange(mock: MockState, req: IncomingMessage, res: ServerResponse, record: RecordedRequest): Exchange {
  const target = record.url;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const leave = new AbortController();
  const ex: Exchange = {
    mock,
    req,
    res,
    method: record.method,
    path: mock.basePath === '' ? path : path.startsWith(`${mock.basePath}/`) ? path.slice(mock.basePath.length) : '',
    query: new URLSearchParams(mark === -1 ? '' : target.slice(mark + 1)),
    requestId: record.requestId,
    record,
    body: new RequestBody(req, record, mock.keepBodies),
    gone: leave.signal,
    json: undefined,
    script: {},
    cut: false,
  };
  followEnd(ex, leave);
  return ex;
}

/** The script in the request's header; a wrong one is refused by name, since a silent default would pass a test for nothing. */
function headerScript(ex: Exchange): Script | undefined {
  const header = ex.req.headers[SCRIPT_HEADER];
  if (typeof header !== 'string') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(header);
  } catch {
    throw new ApiError(400, `${SCRIPT_HEADER}: not JSON`);
  }
  const parsed = scriptSchema.safeParse(value);
  if (!parsed.success) throw new ApiError(400, `${SCRIPT_HEADER}: ${describeProblem(parsed.error)}`);
  return parsed.data;
}

/** What the body turned out to be, where a route reads JSON. */
type BodyProblem = 'too large' | 'not JSON' | undefined;

async function readJsonBody(ex: Exchange, limit: number): Promise<BodyProblem> {
  const bytes = await ex.body.collect(limit);
  if (bytes === undefined) return 'too large';
  try {
    ex.json = JSON.parse(bytes.toString('utf8'));
  } catch {
    return 'not JSON';
  }
  const model: unknown = (ex.json as { model?: unknown } | null)?.model;
  if (typeof model === 'string') ex.record.model = model;
  return undefined;
}

function errorAnswer(ex: Exchange, error: ApiError): Answer {
  return jsonAnswer(errorBody(error.type, error.message, ex.requestId), error.status);
}

function* fillerUnits(bytes: number): Generator<Unit> {
  for (const piece of filler(bytes)) yield { bytes: piece };
}

/** The answer that a script gives by itself, whatever the route; undefined where the route is to answer. */
function scriptedAnswer(ex: Exchange): Answer | undefined {
  const { body, bodyBase64, errorType, sizeBytes } = ex.script;
  const status = ex.script.status ?? (errorType === undefined ? undefined : statusOfType(errorType));
  if (body !== undefined || bodyBase64 !== undefined) {
    const bytes = body === undefined ? Buffer.from(bodyBase64 ?? '', 'base64') : Buffer.from(body);
    const contentType = ex.script.contentType ?? 'application/json';
    if (!contentType.startsWith('text/event-stream')) return bytesAnswer(bytes, contentType, status);
    return { status: status ?? 200, headers: { 'content-type': contentType }, units: splitEvents(bytes) };
  }
  if (status !== undefined && status >= 400) {
    const type = errorType ?? typeOfStatus(status);
    return errorAnswer(ex, new ApiError(status, ex.script.message ?? messageOfType(type), type));
  }
  if (status !== undefined && (status === 204 || status >= 300)) return { status, headers: {}, units: [] };
  // A message makes its own filler, inside its text.
  if (sizeBytes !== undefined && ex.path !== '/v1/messages') {
    const headers = { 'content-type': 'application/octet-stream', 'content-length': sizeBytes };
    return { status: status ?? 200, headers, units: fillerUnits(sizeBytes) };
  }
  return undefined;
}

async function answerOf(ex: Exchange, found: Found, problem: BodyProblem): Promise<Answer> {
  if (found.kind !== 'route' || !found.route.open) checkCaller(ex);
  const scripted = scriptedAnswer(ex);
  if (scripted !== undefined) return scripted;
  if (found.kind === 'wrong-method') throw new ApiError(405, 'Method Not Allowed');
  if (found.kind === 'unknown') throw new ApiError(404, `Not found: ${ex.path}`);
  if (problem === 'too large') throw new ApiError(413, 'Request exceeds the maximum size');
  if (problem === 'not JSON') throw new ApiError(400, 'The request body is not valid JSON');
  const answer = await found.route.handle(ex, found.id);
  return ex.script.status === undefined ? answer : { ...answer, status: ex.script.status };
}

/** Throws `ApiError` for what is to be answered with an error, `ClientGone` when there is nobody to answer. */
async function prepare(ex: Exchange): Promise<Answer> {
  const fromHeader = headerScript(ex);
  const found = findRoute(ex.method, ex.path);
  const problem =
    found.kind === 'route' && found.route.jsonLimit > 0 ? await readJsonBody(ex, found.route.jsonLimit) : undefined;
  ex.script =
    fromHeader ??
    ex.mock.scripts.take({
      path: ex.path,
      method: ex.method,
      model: ex.record.model,
      credential: credentialOf(ex.req.headers),
    }) ??
    {};
  if (ex.script.hang === true || ex.script.reset === true) await ex.body.drain();
  if (ex.script.hang === true) await waitForLeave(ex);
  if (ex.script.reset === true) await cutNow(ex, true);
  return answerOf(ex, found, problem);
}

/** Serves one request to its end. Never rejects. */
export async function serve(
  mock: MockState,
  req: IncomingMessage,
  res: ServerResponse,
  record: RecordedRequest,
): Promise<void> {
  const ex = openExchange(mock, req, res, record);
  try {
    let answer: Answer;
    try {
      answer = await prepare(ex);
    } catch (error) {
      if (error instanceof ClientGone) throw error;
      // A fault of the mock itself is told apart from a scripted 500 by its message.
      const known = error instanceof ApiError ? error : new ApiError(500, `mock-claude failed: ${String(error)}`);
      answer = errorAnswer(ex, known);
    }
    await ex.body.drain();
    await deliver(ex, answer);
  } catch (error) {
    if (error instanceof ClientGone) return;
    process.stderr.write(`mock-claude: ${record.method} ${record.url}: ${String(error)}\n`);
    mock.cutConnection(req, false);
  }
}

/** A new request's id. */
export function newRequestId(): string {
  return freshId('req');
}
