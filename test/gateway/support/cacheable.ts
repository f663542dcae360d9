import { messageBody, type HeaderLines, type Sending } from './exchange';

/** A route whose answers can be stored. */
export interface Cacheable {
  readonly what: string;
  readonly routeClass: 'models' | 'count' | 'generate';
  readonly stream: boolean;
  /** A request to it: the same for the same name, another for another. */
  readonly sending: (name: string, more?: Sending) => Sending;
}

/**
 * How long the upstream waits before it answers those who are to ask at once, in ms: longer than any of them is held up
 * on a machine that others use too. What is too large to be held can be shared only until its first bytes have come.
 */
export const GATHER_MS = 2000;

/** Asks for a stored answer, where nothing else is said. */
const ASKS: HeaderLines = [['x-causeway-cache', 'max-age=60']];
/** Stands on every request, as it tells answers apart. */
const TYPE: HeaderLines = [['content-type', 'application/json']];

const post =
  (target: string, body: Record<string, unknown>, asks: HeaderLines = []) =>
  (name: string, more: Sending = {}): Sending => {
    const given = more.headers ?? [];
    const asked = given.some(([header]) => header === 'x-causeway-cache');
    return {
      target,
      body: messageBody({ ...body, messages: [{ role: 'user', content: name }] }),
      ...more,
      headers: [...TYPE, ...(asked ? [] : asks), ...given],
    };
  };

/** All of them: what is cached by itself, and what is where it is asked for. */
export const CACHEABLE: readonly Cacheable[] = [
  {
    what: 'a list of models',
    routeClass: 'models',
    stream: false,
    sending: (name, more = {}) => ({
      method: 'GET',
      target: `/v1/models?limit=3&name=${encodeURIComponent(name)}`,
      ...more,
      headers: [...TYPE, ...(more.headers ?? [])],
    }),
  },
  { what: 'counted tokens', routeClass: 'count', stream: false, sending: post('/v1/messages/count_tokens', {}) },
  { what: 'a message', routeClass: 'generate', stream: false, sending: post('/v1/messages', {}, ASKS) },
  {
    what: 'a streamed message',
    routeClass: 'generate',
    stream: true,
    sending: post('/v1/messages', { stream: true }, ASKS),
  },
];

/** Asks the cache for something else than by default. */
export function asking(words: string): { headers: HeaderLines } {
  return { headers: [['x-causeway-cache', words]] };
}
