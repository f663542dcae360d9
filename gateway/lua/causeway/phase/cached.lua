--- Answers that need no upstream call of their own: a stored copy, or the answer to an identical request that is being
-- fetched. Runs in the access phase. A copy is answered from there at once; where a client may have to be waited for,
-- `phase/cached_answer` answers.

local cache = require('causeway.io.cache')
local cache_key = require('causeway.core.cache_key')
local cache_request = require('causeway.core.cache_request')
local clock = require('causeway.io.clock')
local documents = require('causeway.io.documents')
local fetch_request = require('causeway.io.fetch_request')
local flights = require('causeway.io.flights')
local policy = require('causeway.core.policy')
local refuse = require('causeway.phase.refuse')
local replay = require('causeway.phase.replay')
local request_body = require('causeway.io.request_body')
local request_head = require('causeway.io.request_head')
local requested = require('causeway.io.requested')
local semaphore = require('ngx.semaphore')
local settings = require('causeway.settings')
local sha256 = require('causeway.io.sha256')

local M = {}

-- How often a copy is looked for that another worker is about to store, and how long it is waited for in between.
local TRIES, PAUSE_SECONDS = 4, 0.005
-- A copy tells the second in which it came in.
local SECOND_MS = 1000
-- Up to here the sum of a body takes less than the walk that a copy saves; a longer one may be refused by its first
-- member.
local SHORT_BYTES = 65536

-- A body that nginx has in a file stands in this worker's memory only while its request looks for a copy or is sent,
-- and of one request at a time: at a hundred prompts of 30 MB, a worker would be out of it.
local LARGE_SECONDS = 30
local large = semaphore.new(1)

--- The cache was asked for, or is the class's own way, and is not used: the answer and the line say so.
-- @tparam table request
-- @tparam string reason one word
function M.bypass(request, reason)
  request.cache, request.cache_bypass, request.sought, request.headers = 'BYPASS', reason, nil, nil
end

local bypass = M.bypass

--- Takes a request out of the flight that it reads, where it reads one.
function M.leave(request)
  local reader = request.reader
  if reader then
    request.reader = nil
    reader.flight:leave(reader)
  end
end

-- Lets the next large body in.
function M.end_turn(request)
  if request.large then
    request.large = nil
    large:post(1)
  end
end

local function take_turn(request)
  local began = clock.monotonic_ms()
  request.large = large:wait(LARGE_SECONDS)
  request.received_ms = request.received_ms + clock.monotonic_ms() - began
  return request.large
end

-- Returns the body; or nil, and the reason for a bypass where it is not the body's own.
local function body_of(request, head)
  if request.class == 'models' or not policy.is_readable(request.class, head) then
    return nil
  end
  requested.receive(request)
  if ngx.req.get_body_file() and not take_turn(request) then
    return nil, 'busy'
  end
  return request_body.read(policy.MAX_SCANNED_BYTES)
end

-- Where the answer to this request is kept.
local function place_of(request, body)
  local consumer = request.consumer
  local epoch = cache.epoch(consumer.id)
  if not epoch then
    return nil
  end
  local identity = cache_key.canonical({
    environment = settings.environment,
    consumer = consumer.id,
    credential_hash = request.credential_hash,
    upstream_credential = consumer.upstreamCredential,
    method = request.head.method,
    target = request.head.target,
    -- By names in lower case: lines of one name stay in their order, however each is spelled.
    headers = request.headers,
    body_sha256 = body and sha256.hex_in_pieces(body, request_body.SCAN_OPTIONS),
    epoch = epoch,
  })
  return { key = sha256.hex(identity), consumer = consumer.id, epoch = epoch, credential = request.credential_hash }
end

-- Looks for a copy, in the node's own tier alone or in both: `request.copy` is set then.
local function look(request, own_only)
  local sought = request.sought
  sought.looked = ngx.now() * 1000
  local entry, tier, age = cache.tiers:lookup(sought.place, sought.want, own_only)
  if not entry then
    return false
  end
  request.copy = { state = 'HIT', entry = entry, age = age }
  request.cache, request.cache_tier = 'HIT', tier
  return true
end

-- Whether a copy has come in since the request looked for one in vain.
local function came_in_since(tiers, sought)
  local looked = sought.looked
  return function()
    local _, entered = tiers.l1:get(sought.place.key)
    return entered ~= nil and entered > looked - SECOND_MS and tiers:lookup(sought.place, sought.want) ~= nil
  end
end

--- Finds a copy for a request, or a flight that brings its answer: `request.copy` or `request.reader` is set then.
-- @tparam table request its `sought` says what for
-- @treturn boolean whether there is one; where not, the request must go its own way
local function find(request)
  local tiers, sought = cache.tiers, request.sought
  for _ = 1, TRIES do
    if look(request) then
      return true
    end
    local reader, shared = flights.enter(sought.job, tiers, came_in_since(tiers, sought))
    if reader then
      request.reader, request.cache, request.coalesced = reader, 'MISS', shared or nil
      return true
    elseif shared ~= 'again' then
      return false
    end
    ngx.sleep(PAUSE_SECONDS)
  end
  request.reader = flights.alone(sought.job, tiers)
  request.cache = 'MISS'
  return request.reader ~= nil
end

-- Finds a copy or a flight for a request whose answer may be stored. Returns the reason for a bypass where there is
-- none.
local function seek(request, want, head)
  local class = request.class
  local body, busy = body_of(request, head)
  if busy then
    return busy
  end
  local reason = cache_request.head_reason(class, body, head)
  if reason then
    return reason
  end
  local place = (not body or #body <= SHORT_BYTES) and place_of(request, body)
  if place then
    request.sought = { place = place, want = want }
    -- Its own tier has it only if this node has checked this very body.
    if look(request, true) then
      return nil
    end
  end
  local body_reason, _, model = cache_request.body_reason(class, body, request_body.SCAN_OPTIONS)
  request.model = request.model or model
  if body_reason then
    return body_reason
  end
  place = place or place_of(request, body)
  if not place or not fetch_request.is_plain(request.head.target) then
    return 'unready'
  end
  local job = fetch_request.new(request, place, body)
  request.sought = { place = place, want = want, job = job }
  if not find(request) then
    return 'no_flight'
  end
  -- The fetch has it now; the client may have to be waited for for long.
  job.body = nil
end

--- Looks again for a request whose flight brought nothing.
-- @tparam table request
-- @treturn boolean as of `find`
function M.find_again(request)
  local job = request.sought.job
  if request.class ~= 'models' then
    if ngx.req.get_body_file() and not take_turn(request) then
      return false
    end
    job.body = request_body.read(policy.MAX_SCANNED_BYTES)
  end
  local found = (job.body or request.class == 'models') and find(request)
  job.body = nil
  M.end_turn(request)
  return found
end

--- Answers from the cache where the request may be, and returns where not.
-- @tparam table request context
-- @tparam table var ngx.var
function M.run(request, var)
  local class, method = request.class, request.head.method
  if not cache.tiers or cache_request.METHODS[class] ~= method or request.route_class ~= class then
    return
  end
  -- The variable is quicker, but takes `X_Causeway_Cache` for it.
  local headers = var.http_x_causeway_cache and ngx.req.get_headers(0)
  local header = headers and headers['x-causeway-cache']
  local want, problem = cache_request.wants(request.consumer, class, method, header, settings.cache)
  if problem then
    return refuse.send(request, 400, 'cache_header', problem)
  elseif not want then
    return header and bypass(request, 'no_store')
  elseif not documents.purges_confirmed() then
    -- Neither a copy nor an answer that others began to fetch: either may be from before a purge not known here.
    return bypass(request, 'unconfirmed')
  end
  request.headers = headers or ngx.req.get_headers(0)
  local reason = seek(request, want, request_head.read(var, request.headers))
  M.end_turn(request)
  if reason then
    return bypass(request, reason)
  end
  request.passed = clock.monotonic_ms()
  if request.copy then
    var.causeway_upstream = ''
    return replay.send(request, request.copy)
  end
  return ngx.exec('@cached')
end

return M
