/** `GET /v1/models` and `GET /v1/models/{id}`. */
import { ApiError } from '../errors';
import { type Answer, type Exchange, jsonAnswer } from '../exchange';
import { pageOf } from '../paging';

/** Ids as the official SDK lists them (npm `@anthropic-ai/sdk` 1.12.0, type `Model`), newest first. */
const KNOWN_IDS = [
  'claude-fable-5-2',
  'claude-mythos-5-2',
  'claude-haiku-5-5',
  'claude-sonnet-5-5',
  'claude-fable-5-1',
  'claude-opus-5-5',
  'claude-mythos-5-1',
  'claude-sonnet-5',
  'claude-fable-5',
  'claude-mythos-5',
  'claude-opus-5',
  'claude-opus-4-8',
  'claude-opus-4-7',
  'claude-mythos-preview',
  'claude-opus-4-6',
  'claude-sonnet-4-6',
  'claude-haiku-4-5-20251001',
  'claude-opus-4-5-20251101',
  'claude-sonnet-4-5-20250929',
];

/** Invented ones, so that a list of the default page size has several pages. */
const INVENTED_IDS = Array.from({ length: 31 }, (_, i) => `claude-mock-${String(31 - i).padStart(2, '0')}`);

const YES = { supported: true };
const NO = { supported: false };

const CAPABILITIES = {
  batch: YES,
  citations: YES,
  code_execution: NO,
  context_management: {
    clear_thinking_20251015: null,
    clear_tool_uses_20250919: null,
    compact_20260112: null,
    supported: false,
  },
  effort: { high: YES, low: YES, max: NO, medium: YES, supported: true, xhigh: null },
  image_input: YES,
  pdf_input: YES,
  server_tools: { code_execution: NO, supported: false, web_search: NO },
  structured_outputs: YES,
  thinking: { supported: true, types: { adaptive: YES, between_tools: NO, disabled: YES, enabled: YES } },
};

/** A model as the list has it: the same at every start, so that caches can be compared. */
function modelInfo(id: string, index: number): { id: string } & Record<string, unknown> {
  const family = id.split('-')[1] ?? '';
  return {
    type: 'model',
    id,
    display_name: id
      .split('-')
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join(' '),
    created_at: new Date(Date.UTC(2026, 9, 1) - index * 7 * 86_400_000).toISOString().replace('.000Z', 'Z'),
    capabilities: CAPABILITIES,
    deprecated_at: null,
    lifecycle: 'active',
    line: family === 'mock' ? null : family,
    max_input_tokens: 200_000,
    max_tokens: 64_000,
    retires_at: null,
  };
}

const MODELS = [...KNOWN_IDS, ...INVENTED_IDS].map(modelInfo);

/** One page of models. */
export function listModels(ex: Exchange): Answer {
  return jsonAnswer(pageOf(MODELS, ex.query));
}

/** One model. */
export function getModel(_ex: Exchange, id: string): Answer {
  const model = MODELS.find((m) => m.id === id);
  if (model === undefined) throw new ApiError(404, `model: ${id}`);
  return jsonAnswer(model);
}
