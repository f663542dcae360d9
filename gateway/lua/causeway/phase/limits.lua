--- The limits of a consumer: its rate, and how many requests and streams it may have open.

local gcra = require('causeway.core.gcra')
local inflight = require('causeway.io.inflight')
local refuse = require('causeway.phase.refuse')
local timestamp = require('causeway.core.timestamp')

local M = {}

local function limited(request, reason, message, retry_ms, remaining, reset_ms)
  local consumer = request.consumer
  return refuse.send(request, 429, reason, message, {
    ['retry-after'] = math.ceil(retry_ms / 1000),
    ['retry-after-ms'] = math.ceil(retry_ms),
    ['x-should-retry'] = 'true',
    -- The API counts by the minute.
    ['anthropic-ratelimit-requests-limit'] = math.floor(consumer.rate * 60),
    ['anthropic-ratelimit-requests-remaining'] = remaining,
    ['anthropic-ratelimit-requests-reset'] = timestamp.format(math.ceil(ngx.now() + reset_ms / 1000)),
  })
end

local CONCURRENCY_RETRY_MS = 1000

local function check_rate(request)
  local consumer = request.consumer
  local allowed, remaining, reset_ms, retry_ms, store_error =
    gcra.check(ngx.shared.causeway_limits, consumer.id, consumer.rate, consumer.burst, ngx.now() * 1000)
  if store_error then
    ngx.log(ngx.ERR, 'causeway: the rate of ', consumer.id, ' cannot be counted: ', store_error)
  end
  if not allowed then
    -- The next token is one, and those who wait for it may be many: told the same time, all but one come in vain, and
    -- the SDKs try twice only (measured: 3 of 5 failed, spread out none). So they are spread until the bucket is empty.
    local wait_ms = retry_ms + math.random() * (reset_ms - retry_ms)
    return limited(request, 'rate', 'This key exceeds its rate of requests.', wait_ms, remaining, reset_ms)
  end
end

local function take_place(request, kind, limit, message)
  local consumer = request.consumer
  if not inflight.take(kind, consumer.id, limit) then
    return limited(request, 'concurrency', message, CONCURRENCY_RETRY_MS, 0, CONCURRENCY_RETRY_MS)
  end
  request[kind .. '_taken'] = true
end

--- Counts the request against its consumer's rate and takes one of its places. Where there is none, the request ends
-- here with 429.
function M.take(request)
  check_rate(request)
  take_place(request, 'requests', request.consumer.concurrency, 'This key exceeds its number of concurrent requests.')
end

--- Takes one of the consumer's places for streams. Where there is none, the request ends here with 429.
function M.take_stream(request)
  take_place(request, 'streams', request.consumer.maxStreams, 'This key exceeds its number of concurrent streams.')
end

return M
