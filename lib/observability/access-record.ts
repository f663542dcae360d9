/** The type of a property's value; `integer` and `number` are never negative, `string` is never empty. */
export type PropertyType = 'string' | 'integer' | 'number' | 'boolean';

/** One property of a line that is neither metric nor dimension. */
export interface Property {
  readonly name: string;
  readonly type: PropertyType;
  /** Whether every line of its kind has it; what is not required is left out where it does not apply. */
  readonly required?: boolean;
  readonly meaning: string;
}

/**
 * The access record: what stands on a request's line beside its metrics and dimensions, for searches in the logs. It
 * holds no credential, no prompt, no answer, no query string and no header but those named here.
 */
export const ACCESS_RECORD = [
  {
    name: 'requestId',
    type: 'string',
    required: true,
    meaning: 'Own id, sent to the client as request-id on own answers.',
  },
  { name: 'upstreamRequestId', type: 'string', meaning: 'request-id of the upstream’s answer.' },
  { name: 'consumer', type: 'string', meaning: 'Id of the consumer; none before authentication.' },
  { name: 'clientAddress', type: 'string', meaning: 'Address of the client, as trusted hops say.' },
  { name: 'method', type: 'string', meaning: 'Method; none where the request line could not be read.' },
  { name: 'path', type: 'string', meaning: 'Path without the query.' },
  { name: 'protocol', type: 'string', meaning: 'HTTP version of the client, such as HTTP/2.0.' },
  { name: 'model', type: 'string', meaning: 'Model that answered, or was asked for where nothing answered.' },
  { name: 'stream', type: 'boolean', meaning: 'Whether the answer was an event stream.' },
  {
    name: 'cache',
    type: 'string',
    meaning: 'HIT, MISS, STALE or BYPASS, as x-causeway-cache told the client; none where nothing is cached.',
  },
  { name: 'cacheTier', type: 'string', meaning: 'Where a HIT came from: l1, the node’s memory, or l2, Valkey.' },
  { name: 'cacheBypass', type: 'string', meaning: 'Why the request went past the cache.' },
  { name: 'cached', type: 'boolean', meaning: 'Whether the answer is a copy, which costs no tokens.' },
  {
    name: 'coalesced',
    type: 'boolean',
    meaning: 'Whether it shared the answer to another request, on whose fetch line the upstream’s figures are.',
  },
  {
    name: 'status',
    type: 'integer',
    required: true,
    meaning: 'Status that the client was given; 499 where it left before.',
  },
  { name: 'upstreamAddress', type: 'string', meaning: 'Address and port of the upstream that was asked last.' },
  { name: 'upstreamStatus', type: 'integer', meaning: 'Status of that upstream’s answer.' },
  { name: 'attempts', type: 'integer', meaning: 'How many upstreams were asked, where it was more than one.' },
  {
    name: 'breaker',
    type: 'string',
    meaning: '`open`: an upstream was left out because its breaker was; `probe`: this request was a probe.',
  },
  {
    name: 'startTime',
    type: 'string',
    required: true,
    meaning: 'When the request’s first byte arrived, RFC 3339 in UTC.',
  },
  { name: 'usageEstimated', type: 'boolean', meaning: 'Whether the tokens are an estimate.' },
  {
    name: 'inBandError',
    type: 'string',
    meaning: 'Type of the error event inside a stream, such as overloaded_error.',
  },
  {
    name: 'aborted',
    type: 'boolean',
    meaning: 'Whether the client left before the answer’s end; of a fetch, whether nobody was left.',
  },
  { name: 'refusal', type: 'string', meaning: 'Why Causeway itself refused the request.' },
  { name: 'userAgent', type: 'string', meaning: 'user-agent of the client, cut to a bounded length.' },
  { name: 'claudeCodeSessionId', type: 'string', meaning: 'x-claude-code-session-id of the client.' },
  { name: 'claudeCodeAgentId', type: 'string', meaning: 'x-claude-code-agent-id of the client.' },
  { name: 'claudeCodeParentAgentId', type: 'string', meaning: 'x-claude-code-parent-agent-id of the client.' },
] as const satisfies readonly Property[];

/** What stands on the line of an attempt that another one followed, beside its metrics and dimensions. */
export const ATTEMPT_RECORD = [
  {
    name: 'requestId',
    type: 'string',
    required: true,
    meaning: 'Own id of the request, which stands on its own line too.',
  },
  {
    name: 'upstreamStatus',
    type: 'integer',
    required: true,
    meaning: 'Status of the upstream’s answer, or nginx’s in its place.',
  },
  { name: 'upstreamAddress', type: 'string', meaning: 'Address and port of the upstream that was asked.' },
  { name: 'upstreamRequestId', type: 'string', meaning: 'request-id of the upstream’s answer.' },
  { name: 'model', type: 'string', meaning: 'Model that was asked for.' },
] as const satisfies readonly Property[];

const FETCH_PROPERTIES: ReadonlySet<string> = new Set([
  ...['requestId', 'upstreamRequestId', 'consumer', 'method', 'path', 'model', 'stream', 'upstreamAddress'],
  ...['upstreamStatus', 'startTime', 'usageEstimated', 'inBandError', 'aborted', 'refusal', 'breaker', 'attempts'],
]);

/**
 * The record of a fetch: an upstream call for all who wait for its answer. It stands for no request of a client, and so
 * has nothing that a client saw; `requestId` is that of the request that began it.
 */
export const FETCH_RECORD = [
  { name: 'fetch', type: 'boolean', required: true, meaning: 'That the line is a fetch’s, and no request’s.' },
  ...ACCESS_RECORD.filter(({ name }) => FETCH_PROPERTIES.has(name)),
] satisfies readonly Property[];

/** What may stand on a timer's line beside its metrics and dimensions. */
export const NODE_RECORD = [
  { name: 'worker', type: 'integer', meaning: 'Number of the worker that the line is about, from 0.' },
] as const satisfies readonly Property[];
