local fleet_places = require 'causeway.core.fleet_places'
local model_dict = require 'support.model_dict'
local model_time = require 'support.model_time'
local model_valkey = require 'support.model_valkey'

local ROUND_TRIP_MS = 0.4
local SLOT = 'requests:team'
local KEYS = { '{fleet}:nodes', '{fleet}:' .. SLOT, '{fleet}:wants:' .. SLOT, '{fleet}:wanted' }
-- A node that says nothing for this long is dead.
local DEAD_MS = 6000

describe('the places of a fleet', function()
  local time, valkey, nodes, in_use, most

  before_each(function()
    math.randomseed(43)
    time = model_time.new(5000000)
    valkey = model_valkey.new(time)
    nodes, in_use, most = {}, 0, 0
  end)

  local function beat(node)
    valkey:made(KEYS[1]).value[node.name] = time.ms + DEAD_MS
  end

  local function start_node(index, count)
    local node = { name = 'node-' .. index, workers = {}, store = model_dict.new(time), used = {}, lives = true }
    local function worker()
      local place = fleet_places.place(SLOT, KEYS)
      local places = fleet_places.new {
        store = node.store,
        count = {
          enter = function(slot)
            node.used[slot] = (node.used[slot] or 0) + 1
            return node.used[slot]
          end,
          leave = function(slot) node.used[slot] = node.used[slot] - 1 end,
          get = function(slot) return node.used[slot] or 0 end,
        },
        clock = function() return time.ms + index * 777 end,
        sleep = function(ms) time:sleep(ms) end,
        node = function() return node.name end,
        nodes = function() return count end,
        lost = function() node.lost = true end,
        call = function(...)
          time:sleep(ROUND_TRIP_MS / 2)
          local reply, why = valkey:script(...)
          time:sleep(ROUND_TRIP_MS / 2)
          return reply, why
        end,
      }
      node.workers[#node.workers + 1] = { places = places, place = place }
    end
    worker()
    worker()
    -- What io/fleet does: says that it lives, ticks, and hears what is wanted.
    time:spawn(function()
      while node.lives do
        beat(node)
        time:sleep(2000)
      end
    end)
    for _, each in ipairs(node.workers) do
      time:spawn(function()
        while node.lives do
          each.places:tick()
          time:sleep(250)
        end
      end, math.random(250))
    end
    time:spawn(function()
      local heard = 0
      while node.lives do
        local stream = valkey:entry(KEYS[4])
        if stream and #stream.value > heard then
          heard = #stream.value
          local first = node.workers[1]
          time:spawn(function() first.places:hand_over({ first.place }) end)
        end
        time:sleep(1)
      end
    end)
    nodes[index] = node
    return node
  end

  local function start(count)
    for index = 1, count do
      start_node(index, count)
    end
    time:run(time.ms + 10)
  end

  -- One request, which holds its place for a while. Calls back with how it went.
  local function request(node, limit, hold_ms, done)
    time:spawn(function()
      local worker = node.workers[math.random(2)]
      local taken, why = worker.places:take(worker.place, limit)
      done(taken, why)
      if taken and node.lives then
        in_use = in_use + 1
        most = math.max(most, in_use)
        time:sleep(hold_ms)
        if node.lives then
          in_use = in_use - 1
          node.used[SLOT] = node.used[SLOT] - 1
        end
      end
    end)
  end

  local function counter()
    local result = { taken = 0, refused = 0, failed = 0 }
    return result, function(taken)
      local name = taken and 'taken' or taken == false and 'refused' or 'failed'
      result[name] = result[name] + 1
    end
  end

  it('are all given, and not one more, wherever requests come', function()
    for limit = 1, 12 do
      time = model_time.new(5000000)
      valkey = model_valkey.new(time)
      nodes, in_use, most = {}, 0, 0
      start(3)
      local result, done = counter()
      for index = 1, limit + 3 do
        request(nodes[index % 10 == 0 and 2 or index % 7 == 0 and 3 or 1], limit, 5000, done)
      end
      time:run(time.ms + 1000)
      assert.same({ taken = limit, refused = 3, failed = 0 }, result, limit)
      assert.equal(limit, most)
    end
  end)

  it('are enough for many that come at once where nobody was', function()
    start(2)
    local result, done = counter()
    for _ = 1, 300 do
      request(nodes[1], 1000, 1000, done)
    end
    time:run(time.ms + 100)
    assert.same({ taken = 300, refused = 0, failed = 0 }, result)
    -- A flood that there are no places for does not wait as a whole.
    local flood, done_too = counter()
    for _ = 1, 5000 do
      request(nodes[2], 1000, 1000, done_too)
    end
    time:run(time.ms + 100)
    assert.equal(700, flood.taken)
    time:run(time.ms + 10)
    local late, done_last = counter()
    for _ = 1, 5000 do
      request(nodes[2], 1000, 1000, done_last)
    end
    time:run(time.ms + 10)
    assert.is_true(late.refused > 4800, late.refused)
  end)

  it('are found at once where another node does not need them any more', function()
    start(3)
    local first, done = counter()
    for _ = 1, 10 do
      request(nodes[1], 10, 300, done)
    end
    time:run(time.ms + 310)
    assert.equal(10, first.taken)
    local second, done_too = counter()
    for _ = 1, 10 do
      request(nodes[2], 10, 300, done_too)
    end
    time:run(time.ms + 120)
    assert.equal(10, second.taken)
    assert.equal(10, most)
  end)

  it('are never exceeded and well used under a storm, and all free after it', function()
    for _, limit in ipairs { 3, 20, 60 } do
      time = model_time.new(5000000)
      valkey = model_valkey.new(time)
      nodes, in_use, most = {}, 0, 0
      start(3)
      local result, done = counter()
      local sum, samples = 0, 0
      -- Four times as many as there are places for.
      local pause = 100 / (limit * 4)
      time:spawn(function()
        for _ = 1, 10000 / pause do
          local draw = math.random()
          request(nodes[draw < 0.9 and 1 or draw < 0.95 and 2 or 3], limit, 50 + math.random(100), done)
          sum, samples = sum + in_use, samples + 1
          time:sleep(-math.log(1 - math.random()) * pause)
        end
      end)
      time:run(time.ms + 10000)
      assert.equal(limit, most)
      assert.is_true(sum / samples > limit * 0.85, ('%g of %d used'):format(sum / samples, limit))
      assert.equal(0, result.failed)
      time:run(time.ms + 4000)
      assert.equal(0, in_use)
      assert.same({}, valkey:made(KEYS[2]).value)
      for _, node in ipairs(nodes) do
        assert.is_nil(node.lost)
        for _, worker in ipairs(node.workers) do
          assert.equal(0, worker.place.waiting)
          assert.is_nil(next(worker.places.watched))
        end
      end
    end
  end)

  it('cost no round trip where the limit is far away', function()
    start(3)
    local result, done = counter()
    time:spawn(function()
      for _ = 1, 20000 do
        request(nodes[math.random(3)], 100, 5 + math.random(20), done)
        time:sleep(1)
      end
    end)
    time:run(time.ms + 5000)
    local before = valkey.calls
    time:run(time.ms + 15100)
    assert.same({ taken = 20000, refused = 0, failed = 0 }, result)
    assert.is_true(valkey.calls - before < 20, valkey.calls - before)
  end)

  it('are refused at once after a first wait, and cost little while they are', function()
    start(2)
    local _, held = counter()
    for _ = 1, 5 do
      request(nodes[1], 5, 60000, held)
    end
    time:run(time.ms + 2000)
    -- Whoever has them all does not ask.
    local calls, began = valkey.calls, time.ms
    local waited = {}
    request(nodes[1], 5, 10, function(taken) waited[1] = { taken, time.ms - began } end)
    time:run(time.ms + 1)
    assert.same({ false, 0 }, waited[1])
    assert.equal(calls, valkey.calls)
    request(nodes[2], 5, 10, function(taken) waited[2] = { taken, time.ms - began } end)
    time:run(time.ms + 400)
    assert.is_false(waited[2][1])
    assert.is_true(waited[2][2] > 200 and waited[2][2] <= 320, waited[2][2])
    local result, done = counter()
    calls = valkey.calls
    local longest = 0
    time:spawn(function()
      for _ = 1, 1000 do
        local at = time.ms
        request(nodes[2], 5, 10, function(taken)
          longest = math.max(longest, time.ms - at)
          done(taken)
        end)
        time:sleep(1)
      end
    end)
    time:run(time.ms + 1100)
    assert.equal(1000, result.refused)
    assert.is_true(longest < 5, longest)
    assert.is_true(valkey.calls - calls < 120, valkey.calls - calls)
  end)

  it('of a node that died are free once it counts as dead', function()
    start(3)
    local _, held = counter()
    for _ = 1, 8 do
      request(nodes[1], 10, 600000, held)
    end
    time:run(time.ms + 3000)
    nodes[1].lives = false
    in_use = 0
    local function ask()
      local result, done = counter()
      for _ = 1, 12 do
        request(nodes[2], 10, 400, done)
      end
      time:run(time.ms + 800)
      return result.taken
    end
    assert.equal(2, ask())
    time:run(time.ms + DEAD_MS)
    assert.equal(10, ask())
  end)

  it('are told anew by a node that has a new name', function()
    start(2)
    local result, done = counter()
    for _ = 1, 6 do
      request(nodes[1], 10, 60000, done)
    end
    time:run(time.ms + 1000)
    assert.equal(6, result.taken)
    -- Valkey has lost everything.
    valkey.entries = {}
    local first = nodes[1]
    time:spawn(function()
      first.name = 'node-1.2'
      beat(nodes[1])
      beat(nodes[2])
      assert.is_true(first.workers[1].places:rejoin({ first.workers[1].place }))
    end)
    time:run(time.ms + 100)
    local second, done_too = counter()
    for _ = 1, 10 do
      request(nodes[2], 10, 60000, done_too)
    end
    time:run(time.ms + 1000)
    assert.same({ taken = 4, refused = 6, failed = 0 }, second)
  end)

  it('are nobody’s matter where Valkey does not answer, which is told', function()
    start(2)
    valkey.down = true
    local result, done = counter()
    request(nodes[1], 10, 1000, done)
    time:run(time.ms + 100)
    assert.same({ taken = 0, refused = 0, failed = 1 }, result)
    assert.is_true(nodes[1].lost)
    assert.equal(0, nodes[1].used[SLOT])
  end)
end)
