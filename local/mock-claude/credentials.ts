/** What the API checks before it looks at a request. */
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from './errors';
import type { Exchange } from './exchange';

function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
}

function apiKeyOf(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['x-api-key'];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The request's credential, from either header; undefined if there is none. */
export function credentialOf(headers: IncomingHttpHeaders): string | undefined {
  return bearerOf(headers) ?? apiKeyOf(headers);
}

/** Throws the API's 401 or 400 for a request that may not come in. */
export function checkCaller(ex: Exchange): void {
  const { headers } = ex.req;
  const bearer = bearerOf(headers);
  const apiKey = apiKeyOf(headers);
  const credential = bearer ?? apiKey;
  if (credential === undefined) throw new ApiError(401, 'x-api-key header is required');
  if (bearer !== undefined && apiKey !== undefined && bearer !== apiKey) {
    throw new ApiError(401, 'authorization and x-api-key carry different credentials');
  }
  if (ex.mock.requireKeys !== undefined && !ex.mock.requireKeys.has(credential)) {
    throw new ApiError(401, bearer === undefined ? 'invalid x-api-key' : 'Invalid bearer token');
  }
  if (headers['anthropic-version'] === undefined || headers['anthropic-version'] === '') {
    throw new ApiError(400, 'anthropic-version: header is required');
  }
  if (ex.mock.requireWorkspaceId && headers['anthropic-workspace-id'] === undefined) {
    throw new ApiError(400, 'anthropic-workspace-id: header is required');
  }
}
