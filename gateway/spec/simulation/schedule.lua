--- One random life of a few nodes: traffic, purges and everything that can fail, drawn from a seed.

local client = require 'simulation.client'
local judges = require 'simulation.judge'
local nodes = require 'simulation.node'
local registry = require 'simulation.registry'
local stubs = require 'simulation.stubs'
local valkeys = require 'simulation.valkey'
local worlds = require 'simulation.world'

local M = {}

local CONSUMERS = { 'a', 'b', 'c' }
local HEADERS = { 'max-age=1', 'max-age=5', 'max-age=3600', 'max-age=0', 'outage', 'no-store', 'max-age=8, outage' }
local LIFE_MS = 60000

-- Times to live and bounds in seconds. Small, so that a life of a minute sees them all pass.
local function draw_settings(world, needs)
  local proxy = world:pick { 0, 1, 3, 5 }
  local shared = proxy + world:pick { 0, 2, 10 }
  local outage = shared + world:pick { 0, 10, 30 }
  local poll = world:pick { 1, 2 }
  local has_valkey = world:chance(0.8)
  return {
    environment = 'test',
    upstreams = { { id = 'main', credential = 'main' } },
    consumer_defaults = { rate = 5, burst = 10, concurrency = 5, max_streams = 5 },
    auth = {
      mode = (world:chance(0.3) or needs.passthrough) and 'passthrough' or 'keys',
      poll_seconds = poll, revocation_seconds = poll + world:pick { 1, 4 },
    },
    registry_source = 'registry', credentials_source = 'credentials',
    valkey = has_valkey and { timeout_ms = 50 } or nil,
    cache = {
      enabled = true, count_tokens = world:chance(0.7),
      ttl = { proxy_seconds = proxy, shared_seconds = shared, outage_seconds = outage },
      node_bytes = 1048576, shared_bytes = world:pick { 200000, 5000000 },
      max_item_bytes = 50000, max_consumer_share = 0.4,
    },
  }
end

-- Something happens now and then, from `first` on.
local function now_and_then(world, least_ms, most_ms, call)
  local function again()
    call()
    world:after(world:between(least_ms, most_ms), again)
  end
  world:after(world:between(0, most_ms), again)
end

-- For a while, something is so.
local function for_a_while(world, least_ms, most_ms, begin, finish)
  begin()
  world:after(world:between(least_ms, most_ms), finish)
end

local function add_traffic(world, all, questions, busy)
  local policies = {}
  for _, consumer in ipairs(CONSUMERS) do
    policies[consumer] = world:pick {
      { mode = 'off' }, { mode = 'fresh' }, { mode = 'fresh', maxAgeSeconds = 4 }, { mode = 'outage' },
    }
  end
  local popular = world:pick(questions)
  local function one()
    local node = world:pick(all)
    local consumer = world:pick(CONSUMERS)
    if #node.workers > 0 then
      client.send(world, world:pick(node.workers), {
        question = world:chance(0.4) and popular or world:pick(questions),
        consumer = consumer, policy = policies[consumer],
        header = world:chance(0.4) and world:pick(HEADERS) or nil,
      })
    end
  end
  now_and_then(world, 0, busy and 80 or world:pick { 150, 400, 1000 }, one)
end

-- Credentials that the upstream does not take any more, in passthrough.
local function add_revocations(world)
  now_and_then(world, 5000, 30000, function()
    local consumer = world:pick(CONSUMERS)
    world.revoked[consumer] = world.revoked[consumer] or world.now
  end)
end

local function add_upstream_faults(world)
  now_and_then(world, 1000, 30000, function()
    for_a_while(world, 500, 20000, function()
      world.upstream_fails = true
    end, function()
      world.upstream_fails = false
    end)
  end)
end

local function add_valkey_faults(world, all)
  local valkey = world.valkey
  now_and_then(world, 500, 15000, function()
    local fault = world:pick { 'down', 'hung', 'partition', 'flush', 'lose', 'fail over', 'mix', 'tear' }
    if fault == 'down' or fault == 'hung' then
      for_a_while(world, 200, 10000, function()
        valkey.mode = fault
      end, function()
        valkey:recover()
      end)
    elseif fault == 'partition' then
      local node = world:pick(all)
      for_a_while(world, 200, 10000, function()
        valkey.partitioned[node] = true
      end, function()
        valkey.partitioned[node] = nil
      end)
    elseif fault == 'flush' then
      valkey:flush()
    elseif fault == 'lose' then
      valkey:lose_some(0.5)
    elseif fault == 'fail over' then
      valkey:fail_over(world:between(100, 10000))
    else
      local share = fault == 'mix' and 'mixes_up' or 'tears'
      for_a_while(world, 200, 5000, function()
        valkey[share] = 0.3
      end, function()
        valkey[share] = 0
      end)
    end
  end)
end

local function add_node_faults(world, all)
  now_and_then(world, 2000, 30000, function()
    local node = world:pick(all)
    local fault = world:pick { 'restart', 'worker', 'stay away' }
    if #node.workers == 0 then
      return
    elseif fault == 'restart' then
      node:restart()
    elseif fault == 'worker' then
      node:lose_worker(world:between(0, #node.workers - 1))
    else
      for_a_while(world, 500, 10000, function()
        node:stop()
      end, function()
        if #node.workers == 0 then
          node:start()
        end
      end)
    end
  end)
end

local function add_source_faults(world, all)
  now_and_then(world, 1000, 20000, function()
    local node = world:pick(all)
    for_a_while(world, 500, 20000, function()
      node.source_is_silent = true
    end, function()
      node.source_is_silent = false
    end)
  end)
end

local function add_clock_faults(world, all, most_ms)
  now_and_then(world, 1000, 20000, function()
    world:pick(all).skew_ms = world:between(-most_ms, most_ms)
  end)
end

--- Lives one life.
-- @param seed     whole number
-- @param options  nil, or { alter = function(worker), which breaks a rule in a worker, needs = what must be so in this
--   life, which otherwise is left to chance: `passthrough`, `busy` (traffic, and long answers), `upstream`, `source`
--   (their faults) }
-- @return the judge: `found` says what was wrong, nil where nothing was; `seen` counts what was seen
function M.run(seed, options)
  local alter, needs = options and options.alter, options and options.needs or {}
  local world = worlds.new(seed)
  stubs.enter(world)
  local settings = draw_settings(world, needs)
  stubs.configure(settings)
  local ttl, auth = settings.cache.ttl, settings.auth
  local has = {}
  for _, fault in ipairs { 'upstream', 'valkey', 'node', 'source', 'clock' } do
    has[fault] = world:chance(0.6) or needs[fault]
  end
  local skew_ms = has.clock and 2000 or 0
  local source = registry.new(world, CONSUMERS, 3000, 300)
  world.traffic = { latency_ms = 800, hang_ms = 4000, stream_ms = (world:chance(0.5) or needs.busy) and 5000 or 50 }
  world.revoked = {}
  world.valkey = valkeys.new(world)
  world.judge = judges.new(world, {
    shared_ms = ttl.shared_seconds * 1000, proxy_ms = ttl.proxy_seconds * 1000, outage_ms = ttl.outage_seconds * 1000,
    revocation_ms = auth.revocation_seconds * 1000, shared_tier = settings.valkey ~= nil,
    skew_ms = 2 * skew_ms, stream_ms = 10000, reply_ms = 10,
    calm = not has.source and not has.node, known_ms = auth.poll_seconds * 1000 + source.most_delay_ms,
    orderly = settings.valkey ~= nil and not has.valkey and not has.clock,
  })
  local all, questions = {}, client.questions()
  for number, question in ipairs(questions) do
    question.number = number
  end
  for id = 1, world:between(1, 3) do
    all[id] = nodes.new(world, {
      id = id, workers = world:between(1, 2), source = source, alter = alter,
      skew_ms = world:between(-skew_ms, skew_ms),
    })
  end
  add_traffic(world, all, questions, needs.busy)
  now_and_then(world, 3000, 30000, function()
    source:purge(world:chance(0.5) and world:pick(CONSUMERS) or nil)
  end)
  if auth.mode == 'passthrough' then
    add_revocations(world)
  end
  if has.upstream then
    add_upstream_faults(world)
  end
  if has.valkey then
    add_valkey_faults(world, all)
  end
  if has.node then
    add_node_faults(world, all)
  end
  if has.source then
    add_source_faults(world, all)
  end
  if has.clock then
    add_clock_faults(world, all, skew_ms)
  end
  for moment = 1000, LIFE_MS, 1000 do
    world:run(moment)
    if world.judge.found then
      break
    end
  end
  return world.judge
end

return M
