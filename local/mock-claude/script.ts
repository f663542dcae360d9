/**
 * What a script may ask of the mock: the schema behind the header `x-mock-script` and `PUT /__mock/script`.
 * Every object is strict: a misspelt field is an error that names it, never a test that passes for nothing.
 */
import { z } from 'zod';

/** Non-negative whole number. */
const count = z.int().min(0);
/** Milliseconds; a day at most, so that a slip of units does not hang a test run for ever. */
const ms = z.number().min(0).max(86_400_000);

const usageSchema = z.strictObject({
  /** `input_tokens`. @default a quarter of the bytes of system, messages and tools */
  input: count.optional(),
  /** `output_tokens`, cumulative, at the end. @default a quarter of the bytes of the content */
  output: count.optional(),
  /** `cache_read_input_tokens`. @default 0 */
  cacheRead: count.optional(),
  /** `cache_creation.ephemeral_5m_input_tokens`. @default 0 */
  cacheCreation5m: count.optional(),
  /** `cache_creation.ephemeral_1h_input_tokens`. @default 0 */
  cacheCreation1h: count.optional(),
  /** All zeros in `message_start`, the real numbers only in `message_delta`. @default false */
  zeroInStart: z.boolean().optional(),
});

const cutSchema = z
  .strictObject({
    /** Before the status line. */
    beforeHeaders: z.literal(true).optional(),
    /** After this many events (0: after the headers). A JSON body is one event. */
    afterEvents: count.optional(),
    /** In the middle of this event (1: the first). */
    midEvent: z.int().min(1).optional(),
    /** After this many bytes of the body. */
    afterBytes: count.optional(),
    /** TCP RST instead of a plain close. @default false */
    reset: z.boolean().optional(),
  })
  .refine(
    (cut) =>
      [cut.beforeHeaders, cut.afterEvents, cut.midEvent, cut.afterBytes].filter((v) => v !== undefined).length === 1,
    { error: 'say exactly one of beforeHeaders, afterEvents, midEvent, afterBytes' },
  );

/** The content blocks that are streamed by deltas. */
export const knownBlockSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text: z.string() }),
  z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string().optional() }),
  z.strictObject({ type: z.literal('tool_use'), name: z.string(), input: z.json(), id: z.string().optional() }),
]);

const contentBlockSchema = z.union([
  knownBlockSchema,
  // Any other block (redacted_thinking, server tools, future ones): sent whole in content_block_start.
  z.looseObject({ type: z.string().refine((type) => !['text', 'thinking', 'tool_use'].includes(type)) }),
]);

const insertSchema = z.union([
  z.strictObject({ after: count, event: z.string(), data: z.json() }),
  z.strictObject({ after: count, comment: z.string() }),
  z.strictObject({ after: count, raw: z.string() }),
]);

/** The script of one answer. Nothing set: the mock's ordinary answer. */
export const scriptSchema = z
  .strictObject({
    /** HTTP status; 400 and above answer an error in the API's shape unless `body` is given. */
    status: z.int().min(200).max(599).optional(),
    /** `error.type`. @default from `status` */
    errorType: z.string().optional(),
    /** `error.message`. @default from the type */
    message: z.string().optional(),
    /** Headers to set on the answer; a list repeats the header, `null` takes one away. */
    headers: z.record(z.string(), z.union([z.string(), z.array(z.string()), z.null()])).optional(),
    /** Wait before the headers, ms. @default 0 */
    delayMs: ms.optional(),
    /** Read the request, never answer. @default false */
    hang: z.boolean().optional(),
    /** Read the request, then TCP RST. @default false */
    reset: z.boolean().optional(),
    /** Close the connection early. */
    cut: cutSchema.optional(),
    /** Say nothing for `ms` after event `afterEvents` (default 1), with a ping each `pingEveryMs` if given. */
    silence: z
      .strictObject({ ms, afterEvents: count.default(1), pingEveryMs: z.number().min(1).max(86_400_000).optional() })
      .optional(),
    /** `event: error` in place of event `atEvent` (1: the first) of a stream of status 200, which then ends. */
    streamError: z
      .strictObject({
        atEvent: z.int().min(1).default(1),
        type: z.string().default('overloaded_error'),
        message: z.string().optional(),
      })
      .optional(),
    /** Write the body in pieces of `bytes`, `ms` apart. */
    drip: z.strictObject({ bytes: z.int().min(1), ms }).optional(),
    /** Size of the answer's body, bytes: exact for JSON, the least for SSE. Generated while it is sent. */
    sizeBytes: z.int().min(1).max(8_589_934_592).optional(),
    /** Number of text deltas. @default 5 */
    deltas: z.int().min(1).max(10_000_000).optional(),
    /** Between deltas, ms. @default 0 */
    deltaMs: ms.optional(),
    /** Token numbers. */
    usage: usageSchema.optional(),
    /** The answer's text. */
    text: z.string().optional(),
    /** The answer's content blocks, instead of those that follow from the request. */
    content: z.array(contentBlockSchema).optional(),
    /** @default `tool_use` if the content holds a tool use, else `end_turn` */
    stopReason: z.string().optional(),
    /** @default null */
    stopSequence: z.string().optional(),
    /** Number of pings, the first after the first `content_block_start`. @default 1 */
    pings: count.optional(),
    /** Unknown events, comment lines or raw bytes, each after so many of the mock's own events. */
    insert: z.array(insertSchema).optional(),
    /** The answer's body, as it is. With an SSE `contentType`, blank lines part it into events. */
    body: z.string().optional(),
    /** The answer's body as base64, for bytes that are no text. */
    bodyBase64: z.base64().optional(),
    /** Content type of `body` and `bodyBase64`. @default application/json */
    contentType: z.string().optional(),
    /** Batches: answers to GET before a new batch has ended. @default 0: it is created ended */
    batchPolls: count.optional(),
  })
  .refine((script) => script.body === undefined || script.bodyBase64 === undefined, {
    error: 'say body or bodyBase64, not both',
  });

/** A script as a test writes it. */
export type MockScript = z.input<typeof scriptSchema>;
/** A script after parsing, defaults filled in. */
export type Script = z.output<typeof scriptSchema>;
/** A content block of a script. */
export type ScriptBlock = z.output<typeof contentBlockSchema>;

/** A script for the requests that match; all of `match` must agree. */
export const ruleSchema = z.strictObject({
  match: z
    .strictObject({
      /** Path without the query; a trailing `*` matches any ending. */
      path: z.string().optional(),
      method: z.string().optional(),
      /** The body's `model`. */
      model: z.string().optional(),
      /** The bearer token or the x-api-key. */
      credential: z.string().optional(),
    })
    .optional(),
  /** How many requests it serves; absent: all (sticky). */
  times: z.int().min(1).optional(),
  script: scriptSchema,
});

/** A rule as a test writes it. */
export type MockRule = z.input<typeof ruleSchema>;
/** A rule after parsing. */
export type Rule = z.output<typeof ruleSchema>;

/** A zod error as one line: `cut.afterEvents: Too small…; drip: …`. */
export function describeProblem(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.map(String).join('.') || '(script)'}: ${issue.message}`).join('; ');
}
