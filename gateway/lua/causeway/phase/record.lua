--- What the line of a request says: metrics, and the access record beside them. What is a metric or a dimension stands
-- there once, under that name.
--
-- Lines are made some at a time (io/lines), after their requests have ended: nothing here may ask nginx for anything.
-- What is needed of it was put into the context by then (phase/log).

local consumer_limits = require('causeway.io.consumer_limits')
local emf = require('causeway.core.emf')
local failover = require('causeway.core.failover')
local kept = require('causeway.core.kept')
local metrics_catalogue = require('causeway.core.metrics')
local settings = require('causeway.settings')
local verdict = require('causeway.phase.verdict')

local byte, find, sub = string.byte, string.find, string.sub

local M = {}

-- The status with which nginx says that the client left before the answer.
local CLIENT_LEFT = 499

local function above_zero(number)
  return number and number > 0 and number or nil
end

local function present(text)
  if text and text ~= '' then
    return text
  end
end

-- The last model that was looked at.
local looked_at = { model = nil, dimension = nil }

-- CloudWatch drops a metric whose dimension holds anything but plain text, and says so nowhere.
local function as_dimension(model)
  if looked_at.model ~= model then
    looked_at.model, looked_at.dimension = model, model and model:find('^[%w][%w%._:/@-]*$') and model or nil
  end
  return looked_at.dimension
end

local function path_of(uri)
  local query = uri and uri:find('?', 1, true)
  return present(query and uri:sub(1, query - 1) or uri)
end

-- The last second, and the last millisecond of it, that were written out: under load, many requests begin in one.
local written = { second = 0, text = '', exact = 0, exact_text = '' }
local MILLISECONDS = {}
for index = 0, 999 do
  MILLISECONDS[index] = ('.%03dZ'):format(index)
end

local function rfc3339(seconds)
  if written.exact ~= seconds then
    local whole = math.floor(seconds)
    if written.second ~= whole then
      written.second, written.text = whole, os.date('!%Y-%m-%dT%H:%M:%S', whole)
    end
    written.exact = seconds
    -- Whole milliseconds, of which a float of seconds may fall short by a little.
    written.exact_text = written.text .. MILLISECONDS[math.floor((seconds - whole) * 1000 + 0.5)]
  end
  return written.exact_text
end

-- What nginx knows of the request at its end, asked for at once: http/facts.conf puts it together, a line each. First
-- numbers, then what is the same for many requests, then what is another for each client, or each request.
local LINE_END, DOT, ZERO, NINE = 0x0A, 0x2E, 0x30, 0x39
-- Of the request that is looked at: one at a time, for nothing here waits. Times are in milliseconds.
local facts, facts_text = {
  request_ms = nil, request_bytes = nil, response_bytes = nil, connect_ms = nil, header_ms = nil, upstream_ms = nil,
  common = nil, upstream_request_id = nil, user_agent = nil,
}, nil

local function milliseconds(seconds)
  return seconds and math.floor(seconds * 1000 + 0.5)
end

-- nginx writes one value a try, such as `-, 0.012` or `0.001 : 0.020`. The last try may have none.
local function numbers_at(text, at)
  local line_end = find(text, '\n', at, true)
  local line = sub(text, at, line_end - 1)
  local sum
  for number in line:gmatch('[%d%.]+') do
    sum = (sum or 0) + milliseconds(number)
  end
  return milliseconds(tonumber(failover.last(line))), line_end + 1, sum
end

-- The number at a position, such as `1432`, or of milliseconds where it is written as seconds, such as `0.012`: nginx
-- writes three decimals. Read by hand: a string for each would cost ten times as much.
-- @treturn ?number nil where there is none; that of the last try where there were several
-- @treturn number the position of what follows
-- @treturn ?number the sum over all tries
local function number_at(text, at)
  local from, value = at, 0
  while true do
    local code = byte(text, at)
    if code >= ZERO and code <= NINE then
      value = value * 10 + code - ZERO
    elseif code == LINE_END then
      if at == from then
        return nil, at + 1, nil
      end
      return value, at + 1, value
    elseif code ~= DOT then
      return numbers_at(text, from)
    end
    at = at + 1
  end
end

-- What is the same for many requests, read once.
local COMMON = { 'completion', 'remote_addr', 'server_protocol', 'upstream_status', 'upstream_addr' }
-- nginx takes a protocol of 16 KB: a version may have any number of zeros.
local commons = kept.new(1024, 256)

local function read_common(text)
  local values, index = {}, 0
  for value in (text .. '\n'):gmatch('([^\n]*)\n') do
    index = index + 1
    values[COMMON[index]] = value
  end
  return kept.keep(commons, text, {
    completed = values.completion == 'OK',
    remote_addr = present(values.remote_addr),
    server_protocol = present(values.server_protocol),
    upstream_status = tonumber(failover.last(values.upstream_status)),
    upstream_addr = failover.last(values.upstream_addr),
    -- What the lines of such requests have in common, by what else they have (shared_of).
    shared = {},
  })
end

local function read_facts(text)
  if facts_text == text then
    return
  end
  facts_text = text
  local at, _
  facts.request_ms, at = number_at(text, 1)
  facts.request_bytes, at = number_at(text, at)
  facts.response_bytes, at = number_at(text, at)
  facts.connect_ms, at = number_at(text, at)
  facts.header_ms, at = number_at(text, at)
  _, at, facts.upstream_ms = number_at(text, at)
  local from, line_end = at, at - 1
  for _ = 1, #COMMON do
    line_end = find(text, '\n', line_end + 1, true)
  end
  local known = sub(text, from, line_end - 1)
  facts.common = commons.values[known] or read_common(known)
  from, line_end = line_end + 1, find(text, '\n', line_end + 1, true)
  facts.upstream_request_id = present(sub(text, from, line_end - 1))
  facts.user_agent = present(sub(text, line_end + 1))
end

-- Whether the client left before the end of an answer that had begun: nginx logs the answer's own status then.
local function left_midway(request, status)
  if status == CLIENT_LEFT then
    return true
  end
  return not facts.common.completed and request.passed ~= nil and request.refusal == nil and not request.cut
end

-- Time in Causeway itself: all time, less what the upstream took and what the client took to send its body.
local function gateway_ms(request, upstream_ms)
  local spent = request.ended - request.started - (request.received_ms or 0) - (request.waited_ms or 0)
  if request.balanced then
    spent = spent - (request.balanced - (request.passed or request.started))
    if upstream_ms then
      spent = spent - upstream_ms
    end
  end
  -- To the microsecond: what is beyond it is noise, and takes longer to write.
  return math.floor(math.max(0, spent) * 1000 + 0.5) / 1000
end

--- Finds out how the last attempt of a request went, and tells the breaker and the consumer's limits, once.
-- @tparam table request its `status` and `facts` are known
function M.conclude(request)
  if request.concluded then
    return
  end
  request.concluded = true
  if not request.balanced then
    if request.probe then
      verdict.settle(request)
    end
    return
  end
  read_facts(request.facts)
  local aborted = left_midway(request, request.status)
  local reader = request.usage
  local usage = reader and reader:finish(aborted or not request.whole, request.unframed)
  request.used = usage
  request.upstream_status = facts.common.upstream_status
  request.broken_off = verdict.settle(request, request.upstream_status, aborted, usage) or nil
  if usage then
    consumer_limits.count_usage(request, usage)
  end
end

-- Of the record that is being filled.
local metrics, properties

local function add_usage(usage)
  metrics.InputTokens = usage.input
  metrics.OutputTokens = usage.output
  -- Most requests touch no cache: none is left out, as everywhere, and the line is a tenth shorter.
  metrics.CacheReadInputTokens = above_zero(usage.cache_read)
  metrics.CacheWrite5mInputTokens = above_zero(usage.cache_write_5m)
  metrics.CacheWrite1hInputTokens = above_zero(usage.cache_write_1h)
  if usage.estimated then
    metrics.EstimatedUsage = 1
    properties.usageEstimated = true
  end
  if usage.in_band_error then
    metrics.InBandErrors = 1
    properties.inBandError = usage.in_band_error
    if usage.in_band_error == 'overloaded_error' then
      metrics.UpstreamOverloads = 1
    end
  end
end

local function add_upstream(request)
  local status = request.upstream_status
  properties.attempts = (request.attempts or 1) > 1 and request.attempts or nil
  properties.upstreamRequestId = facts.upstream_request_id
  -- A connection of the pool took no time to connect, and says nothing of how long one takes.
  metrics.UpstreamConnectTime = above_zero(facts.connect_ms)
  metrics.TimeToFirstByte = facts.header_ms
  if request.stream then
    metrics.StreamTimeToFirstByte = metrics.TimeToFirstByte
  end
  if not status then
    return
  end
  if status >= 500 then
    metrics.UpstreamErrors5xx = 1
  end
  if status == 529 then
    metrics.UpstreamOverloads = 1
  elseif status == 429 then
    metrics.UpstreamRateLimited = 1
  end
end

local CACHE_METRICS = { HIT = 'CacheHits', MISS = 'CacheMisses', STALE = 'CacheStale', BYPASS = 'CacheBypasses' }

-- What the cache did for the request. Where no upstream was asked for it alone, none of its figures stand on its line:
-- those of an answer that was fetched are on the fetch's own.
local function add_cache(request)
  local state = request.cache
  metrics[CACHE_METRICS[state]] = 1
  properties.cache = state
  properties.cacheTier = request.cache_tier
  properties.cacheBypass = request.cache_bypass
  if request.balanced then
    return
  end
  if request.coalesced then
    metrics.CoalescedRequests = 1
    properties.coalesced = true
  end
  properties.upstreamRequestId = request.answer_id
  if state == 'HIT' or state == 'STALE' then
    properties.cached = true
    if request.class == 'generate' then
      metrics.InputTokens, metrics.OutputTokens = 0, 0
    end
  end
end

-- What the client saw.
local function add_client_side(request, status, aborted)
  properties.userAgent = facts.user_agent
  local claude = request.claude_code
  if claude then
    properties.claudeCodeSessionId = present(claude.session_id)
    properties.claudeCodeAgentId = present(claude.agent_id)
    properties.claudeCodeParentAgentId = present(claude.parent_agent_id)
  end
  metrics.Requests = 1
  -- Also none is said: an alarm that takes releases back must not find the metric missing.
  metrics.InternalErrors = request.refusal == 'internal' and 1 or 0
  metrics.Latency = facts.request_ms
  metrics.GatewayLatency = gateway_ms(request, facts.upstream_ms)
  metrics.RequestBytes = facts.request_bytes
  metrics.ResponseBytes = facts.response_bytes
  if aborted then
    metrics.ClientAborts = 1
  elseif status >= 500 then
    metrics.Errors5xx = 1
  elseif status >= 400 then
    metrics.Errors4xx = 1
  end
  if request.refusal then
    metrics.Refusals = 1
    if status == 429 then
      metrics.RateLimited = 1
    end
    if request.refusal == 'scarce' then
      metrics.ScarcityRefusals = 1
    end
  end
  if request.cache then
    add_cache(request)
  end
end

-- The model that the answer names, and the one that the line does.
local function models_of(request)
  local class, usage = request.route_class, request.used
  local answered = request.balanced and usage and usage.model or nil
  if answered or request.balanced and (usage or class == 'generate' or class == 'count')
    or not request.balanced and request.cache
  then
    return answered, present(answered or request.model or request.asked_model)
  end
end

-- An unproven credential makes no dimension: anybody could make as many as they like.
local function has_dimension(request, status)
  return not request.unproven or status < 400
end

local function make_shared(request, status, aborted, answered_model, model)
  local client, upstream = not request.fetch, request.balanced
  local known, stream = facts.common, nil
  if upstream or client and request.cache then
    stream = request.stream or false
  end
  return emf.share(metrics_catalogue, {
    Environment = settings.environment,
    Region = settings.region,
    RouteClass = request.route_class,
    Consumer = has_dimension(request, status) and request.consumer_id or nil,
    consumer = request.consumer_id,
    method = request.head.method,
    clientAddress = client and known.remote_addr or nil,
    protocol = client and known.server_protocol or nil,
    status = client and (aborted and CLIENT_LEFT or status) or nil,
    Upstream = upstream and request.upstream or nil,
    upstreamAddress = upstream and known.upstream_addr or nil,
    upstreamStatus = upstream and request.upstream_status or nil,
    Model = as_dimension(answered_model),
    model = model,
    stream = stream,
  })
end

-- Of all of them together: a method may be any word, an address or a protocol have many spellings.
local MAX_SHARED, MAX_SHARED_BYTES = 1024, 256
local shared_count = 0

-- What the request's line has in common with those of many others. Of requests whose facts have that in common, there
-- are few kinds.
local function shared_of(request, status, aborted)
  local answered_model, model = models_of(request)
  local kinds = facts.common.shared
  local kind = (request.consumer_id or '') .. '\n' .. (request.route_class or '') .. '\n' .. (request.upstream or '')
    .. '\n' .. (request.head.method or '') .. '\n' .. (model or '') .. '\n' .. status
    .. (answered_model and 'm' or '') .. (aborted and 'a' or '') .. (request.balanced and 'b' or '')
    .. (request.stream and 's' or '') .. (request.fetch and 'f' or '') .. (request.unproven and 'u' or '')
    .. (request.cache and 'c' or '')
  local shared = kinds[kind]
  if shared then
    return shared
  end
  shared = make_shared(request, status, aborted, answered_model, model)
  if #kind <= MAX_SHARED_BYTES then
    if shared_count >= MAX_SHARED then
      kept.clear(commons)
      shared_count = 0
    end
    kinds[kind], shared_count = shared, shared_count + 1
  end
  return shared
end

--- Fills the record of a request that has ended.
-- @tparam table request
-- @tparam table into_metrics empty
-- @tparam table into_properties empty
-- @treturn table|nil what the line has in common with others (`emf.share`); nil where there is nothing to say
function M.fill(request, into_metrics, into_properties)
  M.conclude(request)
  metrics, properties = into_metrics, into_properties
  read_facts(request.facts)
  local status = request.status
  local aborted = left_midway(request, status)
  properties.requestId = request.id
  -- As it was sent, without the query: decoded, an encoded question mark would look like one.
  properties.path = path_of(request.head.target)
  properties.startTime = rfc3339(request.began_at)
  properties.aborted = aborted or nil
  properties.refusal = request.refusal
  if request.fetch then
    properties.fetch = true
  else
    add_client_side(request, status, aborted)
  end
  if request.left_out or request.probe then
    properties.breaker = request.probe and 'probe' or 'open'
    metrics.BreakerRejections = request.refusal == 'breaker_open' and 1 or nil
  end
  if request.balanced then
    add_upstream(request)
    if request.broken_off then
      metrics.UpstreamStreamsBroken = 1
    end
    if request.used then
      add_usage(request.used)
    end
  end
  -- A fetch that ended before any upstream was asked has nothing to say; the clients' lines say why.
  return (not request.fetch or next(metrics) ~= nil) and shared_of(request, status, aborted) or nil
end

return M
