/** `/v1/messages/batches` and what is below it. */
import { z } from 'zod';
import { type Batch, batchObject, poll, resultLines } from '../batch-store';
import { ApiError, errorBody } from '../errors';
import { type Answer, type Exchange, jsonAnswer, type Unit } from '../exchange';
import { freshId } from '../ids';
import { messageObject, planMessage } from '../message-plan';
import { pageOf } from '../paging';
import { parseMessagesRequest } from '../request-schema';

const createSchema = z.looseObject({
  requests: z
    .array(z.looseObject({ custom_id: z.string().min(1).max(64), params: z.unknown() }))
    .min(1)
    .max(100_000),
});

function find(ex: Exchange, id: string): Batch {
  const batch = ex.mock.batches.get(id);
  if (batch === undefined) throw new ApiError(404, `batch ${id} not found`);
  return batch;
}

/** Scheme and authority for `results_url`: the mock's own, as the API gives its own. */
function baseUrl(ex: Exchange): string {
  return ex.mock.resultsBaseUrl ?? `${ex.mock.secure ? 'https' : 'http'}://${ex.req.headers.host ?? 'localhost'}`;
}

/** Runs one request of a batch: its message, or its error in the result. */
function resultOf(ex: Exchange, params: unknown): Batch['items'][number]['result'] {
  try {
    const request = parseMessagesRequest(params);
    const plan = planMessage(request, ex.script, ex.mock.name, ex.record.sha256);
    const tracker = ex.mock.usage.open(request.model);
    tracker.charge(plan.tokens);
    tracker.report(plan.tokens);
    return { type: 'succeeded', message: messageObject(plan) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { type: 'errored', error: errorBody(error.type, error.message, freshId('req')) };
  }
}

/** Makes a batch: ended at once, or after `batchPolls` GETs. */
export function createBatch(ex: Exchange): Answer {
  const parsed = createSchema.safeParse(ex.json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ApiError(400, `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const pollsLeft = ex.script.batchPolls ?? 0;
  const now = new Date();
  const batch: Batch = {
    id: freshId('msgbatch'),
    items: parsed.data.requests.map((r) => ({ customId: r.custom_id, result: resultOf(ex, r.params) })),
    createdAt: now,
    endedAt: pollsLeft === 0 ? now : undefined,
    cancelInitiatedAt: undefined,
    pollsLeft,
  };
  ex.mock.batches.add(batch);
  return jsonAnswer(batchObject(batch, baseUrl(ex)));
}

/** Lists batches, newest first. */
export function listBatches(ex: Exchange): Answer {
  return jsonAnswer(
    pageOf(
      ex.mock.batches.list().map((batch) => batchObject(batch, baseUrl(ex))),
      ex.query,
    ),
  );
}

/** Shows a batch, and brings it one poll nearer its end. */
export function getBatch(ex: Exchange, id: string): Answer {
  const batch = find(ex, id);
  poll(batch);
  return jsonAnswer(batchObject(batch, baseUrl(ex)));
}

/** Starts to cancel a batch that has not ended; it ends at the next GET. */
export function cancelBatch(ex: Exchange, id: string): Answer {
  const batch = find(ex, id);
  if (batch.endedAt === undefined) {
    batch.cancelInitiatedAt ??= new Date();
    batch.pollsLeft = 0;
  }
  return jsonAnswer(batchObject(batch, baseUrl(ex)));
}

/** Deletes a batch that has ended. */
export function deleteBatch(ex: Exchange, id: string): Answer {
  const batch = find(ex, id);
  if (batch.endedAt === undefined) throw new ApiError(400, `batch ${id} has not ended; cancel it first`);
  ex.mock.batches.delete(id);
  return jsonAnswer({ id, type: 'message_batch_deleted' });
}

function* lineUnits(batch: Batch): Generator<Unit> {
  for (const bytes of resultLines(batch)) yield { bytes };
}

/** Streams a batch's results, a JSON text a line. */
export function batchResults(ex: Exchange, id: string): Answer {
  const batch = find(ex, id);
  if (batch.endedAt === undefined) throw new ApiError(404, `results of batch ${id} are not available yet`);
  return { status: 200, headers: { 'content-type': 'application/x-jsonl' }, units: lineUnits(batch) };
}
