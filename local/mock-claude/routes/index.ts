/** The route table. */
import type { Answer, Exchange } from '../exchange';
import { batchResults, cancelBatch, createBatch, deleteBatch, getBatch, listBatches } from './batches';
import { deleteFile, downloadFile, getFile, listFiles, uploadFile } from './files';
import { countTokens, createMessage } from './messages';
import { getModel, listModels } from './models';
import { echo, probe } from './other';
import { streamSession } from './sessions';

const MEBIBYTE = 1024 * 1024;

/** One route. */
export interface Route {
  /** `*`: any. */
  method: string;
  pattern: RegExp;
  /**
   * Bytes of JSON the route reads, more being 413; 0: it reads no JSON.
   * Source: platform.claude.com, "Errors", request size limits.
   */
  jsonLimit: number;
  /** Needs no credential and no `anthropic-version`. */
  open: boolean;
  handle: (ex: Exchange, id: string) => Answer | Promise<Answer>;
}

function route(method: string, pattern: RegExp, handle: Route['handle'], more: Partial<Route> = {}): Route {
  return { method, pattern, jsonLimit: 0, open: false, handle, ...more };
}

const ROUTES: readonly Route[] = [
  route('POST', /^\/v1\/messages$/, createMessage, { jsonLimit: 32 * MEBIBYTE }),
  route('POST', /^\/v1\/messages\/count_tokens$/, countTokens, { jsonLimit: 32 * MEBIBYTE }),
  route('POST', /^\/v1\/messages\/batches$/, createBatch, { jsonLimit: 256 * MEBIBYTE }),
  route('GET', /^\/v1\/messages\/batches$/, listBatches),
  route('GET', /^\/v1\/messages\/batches\/([^/]+)$/, getBatch),
  route('DELETE', /^\/v1\/messages\/batches\/([^/]+)$/, deleteBatch),
  route('POST', /^\/v1\/messages\/batches\/([^/]+)\/cancel$/, cancelBatch),
  route('GET', /^\/v1\/messages\/batches\/([^/]+)\/results$/, batchResults),
  route('GET', /^\/v1\/models$/, listModels),
  route('GET', /^\/v1\/models\/([^/]+)$/, getModel),
  route('POST', /^\/v1\/files$/, uploadFile),
  route('GET', /^\/v1\/files$/, listFiles),
  route('GET', /^\/v1\/files\/([^/]+)$/, getFile),
  route('DELETE', /^\/v1\/files\/([^/]+)$/, deleteFile),
  route('GET', /^\/v1\/files\/([^/]+)\/content$/, downloadFile),
  route('GET', /^\/v1\/sessions\/([^/]+)\/(?:events|threads\/[^/]+)\/stream$/, streamSession),
  route('*', /^\/v1\/echo$/, echo, { open: true }),
  route('HEAD', /^\/(?:api\/hello)?$/, probe, { open: true }),
];

/** An id from the path; one that is not well encoded is taken as it stands, and will not be found. */
function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** What a request's method and path lead to. */
export type Found = { kind: 'route'; route: Route; id: string } | { kind: 'wrong-method' } | { kind: 'unknown' };

/** Finds the route; GET routes serve HEAD too. */
export function findRoute(method: string, path: string): Found {
  let known = false;
  for (const candidate of ROUTES) {
    const match = candidate.pattern.exec(path);
    if (match === null) continue;
    known = true;
    const serves = candidate.method === '*' || candidate.method === method;
    if (serves || (method === 'HEAD' && candidate.method === 'GET')) {
      return { kind: 'route', route: candidate, id: decoded(match[1] ?? '') };
    }
  }
  return known ? { kind: 'wrong-method' } : { kind: 'unknown' };
}
