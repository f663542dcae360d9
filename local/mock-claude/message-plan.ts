/** Decides what a message answers, before it is written as JSON or as a stream. */
import { createHash } from 'node:crypto';
import { freshId } from './ids';
import { estimateInputTokens, type MessagesRequest } from './request-schema';
import { sampleInput } from './sample-input';
import { knownBlockSchema, type Script, type ScriptBlock } from './script';
import type { TokenTotals } from './usage';

/** A content block with every field the API sends. */
export type PlannedBlock =
  | { type: 'text'; text: string; citations: null }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'tool_use'; id: string; name: string; input: unknown; caller: { type: 'direct' } }
  | { type: 'other'; block: Record<string, unknown> };

/** A message to be sent. */
export interface MessagePlan {
  id: string;
  model: string;
  blocks: PlannedBlock[];
  stopReason: string;
  stopSequence: string | null;
  /** Final numbers. */
  tokens: TokenTotals;
}

function signatureOf(thinking: string): string {
  return createHash('sha512').update(thinking).digest('base64');
}

function thinkingBlock(thinking: string, signature?: string): PlannedBlock {
  return { type: 'thinking', thinking, signature: signature ?? signatureOf(thinking) };
}

function toolBlock(name: string, input: unknown, id?: string): PlannedBlock {
  return { type: 'tool_use', id: id ?? freshId('toolu'), name, input, caller: { type: 'direct' } };
}

function scriptedBlock(block: ScriptBlock): PlannedBlock {
  // The schema's last member is open (`type: string`), so that TypeScript cannot tell the members apart by `type`: parse again.
  const known = knownBlockSchema.safeParse(block);
  if (!known.success) return { type: 'other', block };
  switch (known.data.type) {
    case 'text':
      return { type: 'text', text: known.data.text, citations: null };
    case 'thinking':
      return thinkingBlock(known.data.thinking, known.data.signature);
    case 'tool_use':
      return toolBlock(known.data.name, known.data.input, known.data.id);
  }
}

/** Text for `deltas` deltas, when a script asks for a number of them. */
function numberedText(deltas: number): string {
  return Array.from({ length: deltas }, (_, i) => `word${i} `).join('');
}

/** The answer that follows from the request: thinking if enabled, a tool use if one is demanded, else a short text. */
function defaultBlocks(request: MessagesRequest, script: Script, mockName: string, bodySha256: string): PlannedBlock[] {
  const blocks: PlannedBlock[] = [];
  if (request.thinking?.type === 'enabled' || request.thinking?.type === 'adaptive') {
    blocks.push(thinkingBlock('The request asks for an answer. A mock has one ready.'));
  }
  const choice = request.tool_choice;
  const tool = request.tools?.find((t) => choice?.name === undefined || t.name === choice.name);
  if (tool !== undefined && script.text === undefined && (choice?.type === 'any' || choice?.type === 'tool')) {
    blocks.push(toolBlock(tool.name ?? 'tool', sampleInput(tool.input_schema)));
    return blocks;
  }
  const text =
    script.text ??
    (script.deltas === undefined
      ? `This is the answer of ${mockName} to request ${bodySha256.slice(0, 12)}.`
      : numberedText(script.deltas));
  blocks.push({ type: 'text', text, citations: null });
  return blocks;
}

function estimateOutputTokens(blocks: readonly PlannedBlock[]): number {
  return Math.max(1, Math.ceil(Buffer.byteLength(JSON.stringify(blocks)) / 4));
}

/** Plans the answer to a valid request. */
export function planMessage(
  request: MessagesRequest,
  script: Script,
  mockName: string,
  bodySha256: string,
): MessagePlan {
  const blocks = script.content?.map(scriptedBlock) ?? defaultBlocks(request, script, mockName, bodySha256);
  const usage = script.usage ?? {};
  return {
    id: freshId('msg'),
    model: request.model,
    blocks,
    stopReason: script.stopReason ?? (blocks.some((block) => block.type === 'tool_use') ? 'tool_use' : 'end_turn'),
    stopSequence: script.stopSequence ?? null,
    tokens: {
      inputTokens: usage.input ?? estimateInputTokens(request),
      outputTokens:
        usage.output ??
        (script.sizeBytes === undefined ? estimateOutputTokens(blocks) : Math.ceil(script.sizeBytes / 4)),
      cacheReadInputTokens: usage.cacheRead ?? 0,
      cacheCreation5mInputTokens: usage.cacheCreation5m ?? 0,
      cacheCreation1hInputTokens: usage.cacheCreation1h ?? 0,
    },
  };
}

/** Tokens as the API's `usage` object. */
export function usageObject(tokens: TokenTotals): Record<string, unknown> {
  return {
    input_tokens: tokens.inputTokens,
    cache_creation_input_tokens: tokens.cacheCreation5mInputTokens + tokens.cacheCreation1hInputTokens,
    cache_read_input_tokens: tokens.cacheReadInputTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: tokens.cacheCreation5mInputTokens,
      ephemeral_1h_input_tokens: tokens.cacheCreation1hInputTokens,
    },
    output_tokens: tokens.outputTokens,
    output_tokens_details: null,
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: null,
    speed: null,
  };
}

/** A block as it stands in a JSON answer. */
export function wireBlock(block: PlannedBlock): unknown {
  return block.type === 'other' ? block.block : block;
}

/** The message as a JSON answer has it. */
export function messageObject(plan: MessagePlan): Record<string, unknown> {
  return {
    id: plan.id,
    type: 'message',
    role: 'assistant',
    model: plan.model,
    content: plan.blocks.map(wireBlock),
    container: null,
    diagnostics: null,
    stop_reason: plan.stopReason,
    stop_sequence: plan.stopSequence,
    stop_details: null,
    usage: usageObject(plan.tokens),
  };
}
