import type { Incoming } from './client';
import { dataOf, eventsOf } from './sse';

/** Tokens as the answers reported them. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
}

/** No tokens. */
export function noUsage(): Usage {
  return { inputTokens: 0, outputTokens: 0 };
}

/** Adds what an answer reports, if it does. */
export function addUsage(sum: Usage, { headers, body }: Incoming): void {
  const type = headers['content-type'] ?? '';
  if (type.startsWith('application/json')) {
    const usage = parsed(body.toString())?.usage;
    sum.inputTokens += usage?.input_tokens ?? 0;
    sum.outputTokens += usage?.output_tokens ?? 0;
  } else if (type.startsWith('text/event-stream')) {
    // The start says the input, the last delta the sum of the output.
    const usages = eventsOf(body).map((event) => {
      const value = parsed(dataOf(event));
      return value?.message?.usage ?? value?.usage;
    });
    sum.inputTokens += Math.max(0, ...usages.map((usage) => usage?.input_tokens ?? 0));
    sum.outputTokens += Math.max(0, ...usages.map((usage) => usage?.output_tokens ?? 0));
  }
}

interface Reported {
  readonly usage?: { readonly input_tokens?: number; readonly output_tokens?: number };
  readonly message?: Reported;
}

function parsed(text: string): Reported | undefined {
  try {
    // Only numbers that are there are read, and an answer that lies about its shape is found by a check.
    return (JSON.parse(text) as Reported | null) ?? undefined;
  } catch {
    return undefined;
  }
}
