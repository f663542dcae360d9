--- The limits of a consumer: its tokens, its rate, its part of a scarce quota, and how many requests and streams it may
-- have open.

local consumer_limits = require('causeway.io.consumer_limits')
local refuse = require('causeway.phase.refuse')
local timestamp = require('causeway.core.timestamp')

local M = {}

-- Only these cost tokens that can be counted as they are answered.
local COSTS_TOKENS = { generate = true }
local CONCURRENCY_RETRY_MS, NO_SHARE_RETRY_MS = 1000, 60000

local function seconds_from_now(ms)
  return timestamp.format(math.ceil(ngx.now() + ms / 1000))
end

local function limited(request, reason, message, retry_ms, remaining, reset_ms, hopeless)
  local plan = consumer_limits.plan(request.consumer)
  return refuse.send(request, 429, reason, message, {
    ['retry-after'] = math.ceil(retry_ms / 1000),
    ['retry-after-ms'] = math.ceil(retry_ms),
    ['x-should-retry'] = hopeless and 'false' or 'true',
    -- The API counts by the minute.
    ['anthropic-ratelimit-requests-limit'] = math.floor(plan.rate * 60),
    ['anthropic-ratelimit-requests-remaining'] = remaining,
    ['anthropic-ratelimit-requests-reset'] = seconds_from_now(reset_ms),
  })
end

-- The next token is one, and those who wait for it may be many: told the same time, all but one come in vain, and the
-- SDKs try twice only (measured: 3 of 5 failed, spread out none). So they are spread until the bucket is empty.
local function spread(retry_ms, reset_ms)
  return retry_ms + math.random() * (reset_ms - retry_ms)
end

local function check_rate(request, plan)
  if plan.rate == 0 then
    local message = 'This key has no share of its rate in this region.'
    return limited(request, 'rate', message, NO_SHARE_RETRY_MS, 0, NO_SHARE_RETRY_MS, true)
  end
  local allowed, remaining, reset_ms, retry_ms, store_error = consumer_limits.take_rate(plan)
  if store_error then
    ngx.log(ngx.ERR, 'causeway: the rate of ', plan.id, ' cannot be counted: ', store_error)
  end
  if not allowed then
    local wait_ms = spread(retry_ms, reset_ms)
    return limited(request, 'rate', 'This key exceeds its rate of requests.', wait_ms, remaining, reset_ms)
  end
end

local function check_share(request)
  local allowed, remaining, reset_ms, retry_ms = consumer_limits.take_share(request)
  if allowed == false then
    local message = 'The quota of this gateway is running low, and this key has had its share of what is left.'
    return limited(request, 'scarce', message, spread(retry_ms, reset_ms), remaining, reset_ms)
  end
end

local function check_budget(request, plan)
  local state = consumer_limits.check_budget(plan)
  if state and state.warn then
    request.token_budget = state
  end
  if not state or not state.over then
    return
  end
  local kind = state.over
  local prefix = 'anthropic-ratelimit-' .. kind .. '-tokens-'
  local message = ('This key has used all %s tokens that it may use in a minute.'):format(kind)
  return refuse.send(request, 429, 'token_budget', message, {
    ['retry-after'] = math.ceil(state.reset_ms / 1000),
    ['retry-after-ms'] = math.ceil(state.reset_ms),
    [prefix .. 'limit'] = ('%.0f'):format(state[kind].limit),
    [prefix .. 'remaining'] = 0,
    [prefix .. 'reset'] = seconds_from_now(state.reset_ms),
  })
end

local function take_place(request, plan, kind, limit, message)
  local slot = consumer_limits.take_place(plan, kind, limit)
  if not slot then
    return limited(request, 'concurrency', message, CONCURRENCY_RETRY_MS, 0, CONCURRENCY_RETRY_MS)
  end
  request[kind .. '_slot'] = slot
end

--- Counts the request against its consumer's limits and takes one of its places. Where it may not pass, it ends here
-- with 429.
function M.take(request)
  local consumer = request.consumer
  local plan = consumer_limits.plan(consumer)
  if plan.budget and COSTS_TOKENS[request.class] then
    check_budget(request, plan)
  end
  check_rate(request, plan)
  check_share(request)
  local message = 'This key exceeds its number of concurrent requests.'
  take_place(request, plan, 'requests', consumer.concurrency, message)
end

--- Takes one of the consumer's places for streams. Where there is none, the request ends here with 429.
function M.take_stream(request)
  local consumer = request.consumer
  local message = 'This key exceeds its number of concurrent streams.'
  take_place(request, consumer_limits.plan(consumer), 'streams', consumer.maxStreams, message)
end

--- Tells the client how much is left of its tokens, once most of them are used.
-- @tparam table state what was found when the request came
-- @tparam table header ngx.header
function M.tell_budget(state, header)
  for _, kind in ipairs({ 'input', 'output' }) do
    local left = state[kind]
    if left then
      local prefix = 'x-causeway-token-budget-' .. kind .. '-'
      header[prefix .. 'limit'] = ('%.0f'):format(left.limit)
      header[prefix .. 'remaining'] = ('%.0f'):format(left.remaining)
    end
  end
end

return M
