/** Message batches, in memory. */

/** One request of a batch, as far as its result needs it. */
export interface BatchItem {
  customId: string;
  /** The result's `message` or `error`, built when the batch was created. */
  result: { type: 'succeeded'; message: unknown } | { type: 'errored'; error: unknown };
}

/** A batch. */
export interface Batch {
  id: string;
  items: BatchItem[];
  createdAt: Date;
  endedAt: Date | undefined;
  cancelInitiatedAt: Date | undefined;
  /** GETs still answered `in_progress`. */
  pollsLeft: number;
}

/** Batches that are kept; the oldest goes when another is made. */
const KEPT_BATCHES = 200;

/** The batches of one mock, newest first. */
export class BatchStore {
  private batches: Batch[] = [];

  add(batch: Batch): void {
    this.batches.unshift(batch);
    this.batches.splice(KEPT_BATCHES);
  }

  get(id: string): Batch | undefined {
    return this.batches.find((batch) => batch.id === id);
  }

  list(): readonly Batch[] {
    return this.batches;
  }

  delete(id: string): void {
    this.batches = this.batches.filter((batch) => batch.id !== id);
  }
}

/** Counts a GET: ends the batch when its polls are used up. */
export function poll(batch: Batch): void {
  if (batch.endedAt !== undefined) return;
  if (batch.pollsLeft > 0) batch.pollsLeft -= 1;
  else batch.endedAt = new Date();
}

/** Number of items with a result of this type; all of a cancelled batch are `canceled`. */
function countResults(batch: Batch, type: 'succeeded' | 'errored'): number {
  if (batch.endedAt === undefined || batch.cancelInitiatedAt !== undefined) return 0;
  return batch.items.filter((item) => item.result.type === type).length;
}

/** The batch as the API shows it. */
export function batchObject(batch: Batch, baseUrl: string): { id: string } & Record<string, unknown> {
  const ended = batch.endedAt !== undefined;
  const cancelled = batch.cancelInitiatedAt !== undefined;
  return {
    id: batch.id,
    type: 'message_batch',
    processing_status: ended ? 'ended' : cancelled ? 'canceling' : 'in_progress',
    request_counts: {
      processing: ended ? 0 : batch.items.length,
      succeeded: countResults(batch, 'succeeded'),
      errored: countResults(batch, 'errored'),
      canceled: ended && cancelled ? batch.items.length : 0,
      expired: 0,
    },
    created_at: batch.createdAt.toISOString(),
    expires_at: new Date(batch.createdAt.getTime() + 86_400_000).toISOString(),
    ended_at: batch.endedAt?.toISOString() ?? null,
    archived_at: null,
    cancel_initiated_at: batch.cancelInitiatedAt?.toISOString() ?? null,
    results_url: ended ? `${baseUrl}/v1/messages/batches/${batch.id}/results` : null,
  };
}

/** The batch's result lines, one JSON text each with its line end. */
export function* resultLines(batch: Batch): Generator<Buffer> {
  for (const item of batch.items) {
    const result = batch.cancelInitiatedAt === undefined ? item.result : { type: 'canceled' };
    yield Buffer.from(`${JSON.stringify({ custom_id: item.customId, result })}\n`);
  }
}
