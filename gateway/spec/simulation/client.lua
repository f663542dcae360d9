--- Requests of the simulation: what phase/cached and io/fetch do with the real cores, and the upstream behind them.

local cache_key = require 'causeway.core.cache_key'
local cache_request = require 'causeway.core.cache_request'
local proven = require 'causeway.io.proven'
local settings = require 'causeway.settings'
local sha256 = require 'causeway.io.sha256'
local stubs = require 'simulation.stubs'

local M = {}

local HEAD = { has_body = true, length = 100 }
local NO_BODY = { has_body = false }

--- What clients ask for: some questions that differ in one thing each.
function M.questions()
  local version = { ['anthropic-version'] = '2023-06-01' }
  local beta = { ['anthropic-version'] = '2023-06-01', ['anthropic-beta'] = 'b' }
  local function messages(text, headers)
    return {
      class = 'generate', method = 'POST', target = '/v1/messages', headers = headers,
      body = ('{"model":"m","messages":[{"role":"user","content":"%s"}]}'):format(text),
    }
  end
  return {
    { class = 'models', method = 'GET', target = '/v1/models', headers = version },
    { class = 'models', method = 'GET', target = '/v1/models?limit=5', headers = version },
    {
      class = 'count', method = 'POST', target = '/v1/messages/count_tokens', headers = version,
      body = '{"model":"m"}',
    },
    messages('one', version),
    messages('one', beta),
    messages('two', version),
  }
end

-- What the upstream says tells whose question it answers, to which question, when and for which call.
local function answer_text(world, question, consumer, padding)
  world.served = (world.served or 0) + 1
  return ('%s|%d|%d|%d|'):format(consumer, question.number, world.now, world.served) .. ('x'):rep(padding)
end

--- What an answer says of itself.
function M.read(body)
  local consumer, question, made, serial = body:match '^(%S-)|(%d+)|(%d+)|(%d+)|'
  return { consumer = consumer, question = tonumber(question), made = tonumber(made), serial = tonumber(serial) }
end

-- Asks the upstream, in a process. Returns the body and when it began to come, or nil and why there is none.
local function ask_upstream(world, question, consumer, traffic)
  world:sleep(world:between(5, traffic.latency_ms))
  if world.upstream_fails then
    world:sleep(world:chance(0.2) and traffic.hang_ms or 0)
    return nil, 'FAILED'
  elseif world.revoked[consumer] then
    proven.refuse(consumer)
    return nil, 'REFUSED'
  end
  proven.accept(consumer)
  local body = answer_text(world, question, consumer, world:chance(0.1) and world:between(0, 60000) or 20)
  local began = ngx.now() * 1000
  if question.class == 'generate' then
    world:sleep(world:between(0, traffic.stream_ms))
  end
  return body, began
end

-- Fetches for all who wait for this place.
local function fly(world, worker, ask, place, flight)
  local tiers = worker.cache.tiers
  local body, began = ask_upstream(world, ask.question, ask.consumer, world.traffic)
  if began == 'REFUSED' then
    flight.label = 'REFUSED'
    world:signal(flight)
  elseif body then
    flight.body, flight.label = body, 'MISS'
    world:signal(flight)
    tiers:store(place, {
      status = 200, headers = { { 'content-type', 'application/json' } }, body = body, stored_at = began,
      stream = false, consumer = place.consumer,
    })
  else
    local entry, age = tiers:stale(place)
    flight.body, flight.label, flight.age = entry and entry.body, entry and 'STALE' or 'FAILED', age
    world:signal(flight)
  end
  if worker.node.flights[place.key] == flight then
    worker.node.flights[place.key] = nil
  end
end

local function direct(world, ask)
  local body, problem = ask_upstream(world, ask.question, ask.consumer, world.traffic)
  return { label = body and 'BYPASS' or problem, body = body }
end

local function place_of(worker, ask)
  local epoch = worker.cache.epoch(ask.consumer)
  if not epoch then
    return nil
  end
  local question, credential = ask.question, settings.auth.mode == 'passthrough' and ask.consumer or nil
  local identity = cache_key.canonical {
    environment = settings.environment, consumer = ask.consumer, credential_hash = credential,
    method = question.method, target = question.target,
    headers = question.headers, body_sha256 = question.body and sha256.hex(question.body), epoch = epoch,
  }
  return { key = sha256.hex(identity), consumer = ask.consumer, epoch = epoch, credential = credential }
end

-- What a request is answered with.
local function run(world, worker, ask)
  local question = ask.question
  -- In passthrough nobody is known whom the upstream has not accepted lately.
  local known = settings.auth.mode == 'keys' or proven.is_accepted(ask.consumer)
  local consumer = known and { id = ask.consumer, cache = ask.policy } or nil
  local want = cache_request.wants(consumer, question.class, question.method, ask.header, settings.cache)
  ask.want = want
  if not want or cache_request.bypass_reason(question.class, question.body, question.body and HEAD or NO_BODY) then
    return direct(world, ask)
  end
  local place = place_of(worker, ask)
  if not place then
    return direct(world, ask)
  end
  local entry, tier, age = worker.cache.tiers:lookup(place, want)
  if entry then
    return { label = 'HIT', tier = tier, age = age, body = entry.body, key = place.key }
  end
  local flights = worker.node.flights
  local flight = flights[place.key]
  local joined = flight ~= nil
  if not flight then
    flight = { worker = worker }
    flights[place.key] = flight
    world:spawn(worker, function()
      fly(world, worker, ask, place, flight)
    end)
  end
  world:wait(flight)
  return { label = flight.label, body = flight.body, age = flight.age, joined = joined }
end

--- Sends a request to a worker, and has its answer judged.
-- @param ask  { question, consumer, header = x-causeway-cache or nil, policy = the consumer's or nil }
function M.send(world, worker, ask)
  world:spawn(worker, function()
    ask.sent = world.now
    local answer = run(world, worker, ask)
    world.judge:see(worker, ask, answer)
  end)
end

M.EPOCH_MS = stubs.EPOCH_MS

return M
