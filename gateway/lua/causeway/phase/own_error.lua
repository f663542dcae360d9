--- Answers in the API's error shape where nginx itself refused a request or found no upstream.

local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local refuse = require('causeway.phase.refuse')

local M = {}

-- nginx's status -> status for the client, reason for the log, message
local ANSWERS = {
  [400] = { 400, 'bad_request', 'The request is not valid HTTP.' },
  [403] = { 403, 'forbidden', 'This request is not allowed.' },
  [404] = { 404, 'no_route', 'There is no such route.' },
  [405] = { 405, 'method', 'This method is not allowed.' },
  [408] = { 408, 'client_slow', 'The request did not arrive in time.' },
  [413] = { 413, 'body_too_large', 'The request exceeds the maximum allowed number of bytes.' },
  [411] = { 411, 'length_required', 'The request needs a content-length.' },
  [414] = { 414, 'uri_too_long', 'The request line is too long.' },
  [421] = { 421, 'misdirected', 'The request was sent to the wrong server.' },
  [429] = {
    429,
    'address_limited',
    'Too many requests without a valid credential from this address.',
    { ['retry-after'] = 1 },
  },
  [494] = { 431, 'headers_too_large', 'The request headers are too large.' },
  [497] = { 400, 'http_to_https', 'Plain HTTP was sent to an HTTPS port.' },
  [500] = { 500, 'internal', 'Causeway failed on this request.' },
  [501] = { 501, 'not_implemented', 'The request uses a transfer coding that is not supported.' },
  [502] = { 502, 'upstream_unreachable', 'The upstream could not be reached or broke the connection.' },
  [503] = { 503, 'unavailable', 'Causeway cannot serve this request now.' },
  [504] = { 504, 'upstream_timeout', 'The upstream did not answer in time.' },
}

function M.run()
  -- The location's last segment: nginx's own status, which `ngx.status` no longer tells for the private ones.
  local status = tonumber(ngx.var.uri:match('%d+$'))
  local answer = ANSWERS[status] or { ngx.status, 'status_' .. status, 'The request was refused.' }
  -- What nginx refused by itself never reached the access phase.
  local request = context.get() or context.begin(clock.monotonic_ms())
  return refuse.send(request, answer[1], answer[2], answer[3], answer[4])
end

return M
