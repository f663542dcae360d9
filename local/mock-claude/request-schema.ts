/** The parts of a Messages request that the mock reads; everything else passes unseen, as new fields must. */
import { z } from 'zod';
import { ApiError } from './errors';

const toolSchema = z.looseObject({ name: z.string().optional(), input_schema: z.unknown().optional() });

const countSchema = z.looseObject({
  model: z.string().min(1),
  messages: z.array(z.unknown()).min(1),
  system: z.unknown().optional(),
  tools: z.array(toolSchema).optional(),
});

const messagesSchema = countSchema.extend({
  max_tokens: z.int().min(0),
  stream: z.boolean().optional(),
  tool_choice: z.looseObject({ type: z.string(), name: z.string().optional() }).optional(),
  thinking: z.looseObject({ type: z.string() }).optional(),
});

/** What count_tokens needs. */
export type CountRequest = z.output<typeof countSchema>;
/** What messages needs. */
export type MessagesRequest = z.output<typeof messagesSchema>;

function parse<T extends { model: string }>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0];
    const missing = issue?.code === 'invalid_type' && issue.message.endsWith('undefined');
    throw new ApiError(
      400,
      `${issue?.path.map(String).join('.') ?? ''}: ${missing ? 'Field required' : (issue?.message ?? '')}`,
    );
  }
  if (!result.data.model.startsWith('claude-')) throw new ApiError(404, `model: ${result.data.model}`);
  return result.data;
}

/** Checks a Messages request; throws the API's 400 or 404. */
export function parseMessagesRequest(json: unknown): MessagesRequest {
  return parse(messagesSchema, json);
}

/** Checks a count_tokens request; throws the API's 400 or 404. */
export function parseCountRequest(json: unknown): CountRequest {
  return parse(countSchema, json);
}

/** Input tokens by rule of thumb: a quarter of the bytes of what the model would read. */
export function estimateInputTokens(request: CountRequest): number {
  return Math.ceil(Buffer.byteLength(JSON.stringify([request.system, request.messages, request.tools])) / 4);
}
