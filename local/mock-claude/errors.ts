/**
 * Errors in the shape of the Claude API: `{"type":"error","error":{"type","message"},"request_id"}`.
 * Source of the status → type table: platform.claude.com, "Errors".
 */

const TYPE_BY_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

const MESSAGE_BY_TYPE: Readonly<Record<string, string>> = {
  rate_limit_error: 'This request would exceed the rate limit of your organization.',
  api_error: 'Internal server error',
  timeout_error: 'Request timed out',
  overloaded_error: 'Overloaded',
};

/** The error type the API sends with a status; `invalid_request_error` for another 4xx, `api_error` for another 5xx. */
export function typeOfStatus(status: number): string {
  return TYPE_BY_STATUS[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

/** The status the API sends with an error type; 500 for a type that is not in its table. */
export function statusOfType(type: string): number {
  const found = Object.entries(TYPE_BY_STATUS).find(([, known]) => known === type);
  return found === undefined ? 500 : Number(found[0]);
}

/** The message for an error whose script gave none. */
export function messageOfType(type: string): string {
  return MESSAGE_BY_TYPE[type] ?? `Mock ${type}`;
}

/** The object that stands in an error's body, in an in-band `event: error` and in a batch's errored result. */
export interface ErrorBody {
  type: 'error';
  error: { type: string; message: string };
  request_id: string | null;
}

/** Builds an error's body. */
export function errorBody(type: string, message: string, requestId: string | null): ErrorBody {
  return { type: 'error', error: { type, message }, request_id: requestId };
}

/** Thrown by a route that refuses a request; the dispatcher answers with it. */
export class ApiError extends Error {
  /** The API's error type, e.g. `invalid_request_error`. */
  readonly type: string;

  constructor(
    /** HTTP status. */
    readonly status: number,
    message: string,
    type: string = typeOfStatus(status),
  ) {
    super(message);
    this.type = type;
  }
}
