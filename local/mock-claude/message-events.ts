/** A message as the API streams it. */
import type { Unit } from './exchange';
import { filler } from './filler';
import { messageObject, type MessagePlan, type PlannedBlock, usageObject, wireBlock } from './message-plan';
import type { Script } from './script';
import { sseEvent } from './sse';
import { noTokens, type TokenTotals, type UsageTracker } from './usage';

/** Text deltas of an answer whose script does not say. */
const DEFAULT_DELTAS = 5;
/** Pieces of a tool's input and of thinking. */
const PIECES = 4;
/** Output tokens that message_start reports: the API sends a small number, not zero. */
const FIRST_OUTPUT_TOKENS = 1;

/** Parts a text into `pieces` of nearly equal length, never inside a character. */
function split(text: string, pieces: number): string[] {
  const characters = Array.from(text);
  const number = Math.max(1, Math.min(pieces, characters.length));
  return Array.from({ length: number }, (_, i) =>
    characters
      .slice(Math.floor((i * characters.length) / number), Math.floor(((i + 1) * characters.length) / number))
      .join(''),
  );
}

/** How a block opens, and its deltas. */
function opened(block: PlannedBlock, script: Script): { start: unknown; deltas: Record<string, unknown>[] } {
  switch (block.type) {
    case 'text':
      return {
        start: { type: 'text', text: '', citations: null },
        deltas: split(block.text, script.deltas ?? DEFAULT_DELTAS).map((text) => ({ type: 'text_delta', text })),
      };
    case 'thinking':
      return {
        start: { type: 'thinking', thinking: '', signature: '' },
        deltas: [
          ...split(block.thinking, PIECES).map((thinking) => ({ type: 'thinking_delta', thinking })),
          { type: 'signature_delta', signature: block.signature },
        ],
      };
    case 'tool_use':
      return {
        start: { ...block, input: {} },
        // The API's first piece is empty.
        deltas: ['', ...split(JSON.stringify(block.input), PIECES)].map((partial_json) => ({
          type: 'input_json_delta',
          partial_json,
        })),
      };
    case 'other':
      return { start: wireBlock(block), deltas: [] };
  }
}

/** The deltas of all blocks; a huge answer has one text block, made while it is sent. */
interface StreamBlock {
  start: unknown;
  deltas: Iterable<Record<string, unknown>>;
}

function* hugeDeltas(bytes: number): Generator<Record<string, unknown>> {
  for (const piece of filler(bytes)) yield { type: 'text_delta', text: piece.toString('latin1') };
}

function streamBlocks(plan: MessagePlan, script: Script): { blocks: StreamBlock[]; deltaCount: number } {
  if (script.sizeBytes !== undefined) {
    const deltaCount = Math.ceil(script.sizeBytes / 65_536);
    const start = { type: 'text', text: '', citations: null };
    return { blocks: [{ start, deltas: hugeDeltas(script.sizeBytes) }], deltaCount };
  }
  const blocks = plan.blocks.map((block) => opened(block, script));
  return { blocks, deltaCount: blocks.reduce((sum, block) => sum + block.deltas.length, 0) };
}

/** The events of one message, in the API's order; `tracker` learns what each cost and told as it goes out. */
export function* messageEvents(plan: MessagePlan, script: Script, tracker: UsageTracker): Generator<Unit> {
  const { blocks, deltaCount } = streamBlocks(plan, script);
  const first: TokenTotals = { ...plan.tokens, outputTokens: Math.min(FIRST_OUTPUT_TOKENS, plan.tokens.outputTokens) };
  const told = script.usage?.zeroInStart === true ? noTokens() : first;
  const message = {
    ...messageObject(plan),
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: usageObject(told),
  };
  yield {
    bytes: sseEvent('message_start', { type: 'message_start', message }),
    sent: () => {
      tracker.charge(first);
      tracker.report(told);
    },
  };

  const pingsWanted = script.pings ?? 1;
  let pings = 0;
  const ping = (): Unit => {
    pings += 1;
    return { bytes: sseEvent('ping', { type: 'ping' }) };
  };
  let deltasDone = 0;
  for (const [index, block] of blocks.entries()) {
    const start = { type: 'content_block_start', index, content_block: block.start };
    yield { bytes: sseEvent('content_block_start', start) };
    for (const delta of block.deltas) {
      if (pings < pingsWanted) yield ping();
      deltasDone += 1;
      const share = Math.floor((plan.tokens.outputTokens * deltasDone) / deltaCount);
      yield {
        bytes: sseEvent('content_block_delta', { type: 'content_block_delta', index, delta }),
        delayMs: deltasDone === 1 ? 0 : (script.deltaMs ?? 0),
        sent: () => {
          tracker.charge({ ...plan.tokens, outputTokens: Math.max(first.outputTokens, share) });
        },
      };
    }
    yield { bytes: sseEvent('content_block_stop', { type: 'content_block_stop', index }) };
  }
  while (pings < pingsWanted) yield ping();
  const delta = { stop_reason: plan.stopReason, stop_sequence: plan.stopSequence, stop_details: null, container: null };
  yield {
    bytes: sseEvent('message_delta', { type: 'message_delta', delta, usage: deltaUsage(plan.tokens) }),
    sent: () => {
      tracker.charge(plan.tokens);
      tracker.report(plan.tokens);
    },
  };
  yield { bytes: sseEvent('message_stop', { type: 'message_stop' }) };
}

/** The cumulative numbers of message_delta. */
function deltaUsage(tokens: TokenTotals): Record<string, unknown> {
  return {
    input_tokens: tokens.inputTokens,
    cache_creation_input_tokens: tokens.cacheCreation5mInputTokens + tokens.cacheCreation1hInputTokens,
    cache_read_input_tokens: tokens.cacheReadInputTokens,
    output_tokens: tokens.outputTokens,
    output_tokens_details: null,
    server_tool_use: null,
  };
}
