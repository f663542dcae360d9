import { EDGE_KEY_HEADER } from '../nginx/edge-key';

/**
 * What CloudFront runs on each request before it looks into its cache. It is a program of its own, in the language of
 * CloudFront Functions 2.0.
 *
 * - Only `GET` and `HEAD` of `/v1/models` and of one model below it go on; all else is answered here, as the API would.
 *   Paths are compared as sent: what is encoded, doubled or made of dots could be another path to nginx.
 * - `anthropic-*` headers are an open list, and a cache policy takes ten names: the function digests all of them into
 *   one, and replaces whatever a client sent under its name. With them goes whatever else the gateway tells answers apart
 *   by (gateway/lua/causeway/core/cache_key.lua).
 * - Whoever says by `x-causeway-cache` how old an answer may be asks the gateway, which knows: no two such requests have
 *   one key. CloudFront itself keeps an answer for its least TTL even where that says `no-store`. So do headers that
 *   another server might take for the method or the path.
 */
export const EDGE_FUNCTION_CODE = `
const crypto = require('crypto');

const PATH = /^\\/v1\\/models(\\/[A-Za-z0-9_:@-][A-Za-z0-9._:@-]*)?$/;
const RELEVANT = /^(anthropic-.*|accept|content-type|content-encoding)$/;
const OWN = /^(x-causeway-cache|x-http-method|x-http-method-override|x-method-override|x-original-url|x-rewrite-url)$/;

function handler(event) {
  const request = event.request;
  if ((request.method !== 'GET' && request.method !== 'HEAD') || !PATH.test(request.uri)) {
    return notFound(event.context.requestId);
  }
  const names = Object.keys(request.headers);
  const own = names.some((name) => OWN.test(name)) ? event.context.requestId : '';
  request.headers['${EDGE_KEY_HEADER}'] = { value: digest(request.headers, names, own) };
  return request;
}

function digest(headers, names, own) {
  const relevant = names
    .filter((name) => RELEVANT.test(name))
    .sort()
    .map((name) => [name, headers[name].multiValue ? headers[name].multiValue.map((one) => one.value) : [headers[name].value]]);
  return crypto.createHash('sha256').update(JSON.stringify([relevant, own])).digest('hex');
}

function notFound(requestId) {
  return {
    statusCode: 404,
    statusDescription: 'Not Found',
    headers: {
      'content-type': { value: 'application/json' },
      'cache-control': { value: 'no-store' },
      'request-id': { value: requestId },
    },
    body: {
      encoding: 'text',
      data: JSON.stringify({
        type: 'error',
        error: { type: 'not_found_error', message: 'Only GET /v1/models is served here; use the gateway for the rest.' },
        request_id: requestId,
      }),
    },
  };
}
`.trimStart();
