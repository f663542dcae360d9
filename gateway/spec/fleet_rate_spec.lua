local fleet_rate = require 'causeway.core.fleet_rate'
local model_dict = require 'support.model_dict'
local model_time = require 'support.model_time'
local model_valkey = require 'support.model_valkey'

local ROUND_TRIP_MS = 0.4

describe('the rate of a fleet', function()
  local time, valkey, nodes

  local function begin()
    math.randomseed(41)
    time = model_time.new(5000000)
    valkey = model_valkey.new(time)
    nodes = {}
  end

  before_each(begin)

  -- A node has workers, which share its dictionary; its clock is its own.
  local function start(count, workers)
    for index = 1, count do
      local skew = index * 12345.678
      local store = model_dict.new(time)
      local node = { workers = {}, store = store }
      for number = 1, workers or 2 do
        node.workers[number] = fleet_rate.new {
          store = store,
          clock = function() return time.ms + skew end,
          sleep = function(ms) time:sleep(ms) end,
          nodes = function() return count end,
          call = function(...)
            time:sleep(ROUND_TRIP_MS / 2)
            local reply, why = valkey:script(...)
            time:sleep(ROUND_TRIP_MS / 2)
            return reply, why
          end,
        }
      end
      nodes[index] = node
    end
    time:spawn(function()
      while true do
        for _, node in ipairs(nodes) do
          for _, worker in ipairs(node.workers) do
            time:spawn(function() worker:tick() end)
          end
        end
        time:sleep(250)
      end
    end)
  end

  local function plan(rate, burst)
    return fleet_rate.plan('team', '{team}:rate', rate, burst)
  end

  -- Sends requests, evenly or at random, and keeps when which were let through.
  local function offer(node, limit, per_second, seconds, random)
    local result = { accepted = 0, refused = 0, times = {} }
    time:spawn(function()
      local ends = time.ms + seconds * 1000
      while time.ms < ends do
        time:spawn(function()
          local workers = node.workers
          local allowed, _, reset, retry = workers[math.random(#workers)]:take(limit)
          if allowed then
            result.accepted = result.accepted + 1
            result.times[#result.times + 1] = time.ms
          else
            result.refused = result.refused + 1
            assert.is_true(retry > 0 and reset >= retry - 1e-6)
          end
        end)
        time:sleep(random and -math.log(1 - math.random()) * 1000 / per_second or 1000 / per_second)
      end
    end)
    return result
  end

  local function merged(results)
    local times = {}
    for _, result in ipairs(results) do
      for _, at in ipairs(result.times) do
        times[#times + 1] = at
      end
    end
    table.sort(times)
    return times
  end

  -- In every window: what the bucket holds and what drips into it, and what was leased a little before.
  local function assert_within(times, rate, burst, slack)
    for from = 1, #times, 3 do
      for to = from, #times, 5 do
        local bound = burst + 1 + rate * (times[to] - times[from]) / 1000 + slack
        if to - from + 1 > bound + 1e-6 then
          error(('%d within %d ms'):format(to - from + 1, times[to] - times[from]))
        end
      end
    end
  end

  it('is kept by three nodes that are asked ten times as much, unevenly, at few round trips', function()
    for _, case in ipairs {
      { rate = 30, burst = 30, calls = 0.2 }, { rate = 30, burst = 10, calls = 0.2 },
      { rate = 30, burst = 0, calls = 0.2 },
      { rate = 100, burst = 20, calls = 0.1 }, { rate = 1000, burst = 10, calls = 0.03, seconds = 6 },
      { rate = 12, burst = 5, calls = 0.35 },
      -- Each node asks for each slot: that is what exactness costs.
      { rate = 5, burst = 10, calls = 3.2 },
    } do
      begin()
      start(3)
      local limit = plan(case.rate, case.burst)
      local offered = case.rate * 10
      local seconds = case.seconds or 60
      local results = {
        offer(nodes[1], limit, offered * 0.9, seconds, true),
        offer(nodes[2], limit, offered * 0.05, seconds, true),
        offer(nodes[3], limit, offered * 0.05, seconds, true),
      }
      time:run(time.ms + seconds * 1000)
      local accepted = results[1].accepted + results[2].accepted + results[3].accepted
      local message = ('%d/s burst %d: %d accepted, %d calls'):format(case.rate, case.burst, accepted, valkey.calls)
      assert.is_true(accepted <= case.burst + 1 + case.rate * seconds, message)
      assert.is_true(accepted >= case.rate * seconds * 0.98, message)
      assert.is_true(valkey.calls < accepted * case.calls, message)
      if case.rate <= 100 then
        -- Slots are used at their time or later, never before: at most what one lease of each node has put off.
        assert_within(merged(results), case.rate, case.burst, 3 * limit.most)
      end
    end
  end)

  it('lets a slow consumer that keeps to it pass, wherever its requests go', function()
    start(3)
    local limit = plan(5, 10)
    local refused, passed = 0, 0
    time:spawn(function()
      for _ = 1, 30 do
        -- Its burst at once, over all nodes; then what has dripped into the bucket since.
        for _ = 1, 11 do
          local node = nodes[math.random(3)]
          if node.workers[math.random(2)]:take(limit) then
            passed = passed + 1
          else
            refused = refused + 1
          end
        end
        time:sleep(11 * 200)
      end
    end)
    time:run(time.ms + 70000)
    assert.same({ 330, 0 }, { passed, refused })
  end)

  it('lets a fast consumer that keeps to it pass, wherever its requests go', function()
    for _, case in ipairs { { rate = 30, burst = 30 }, { rate = 100, burst = 50 }, { rate = 2000, burst = 1000 } } do
      begin()
      start(3)
      local limit = plan(case.rate, case.burst)
      local results = {}
      for index, share in ipairs { 0.7, 0.15, 0.15 } do
        results[index] = offer(nodes[index], limit, case.rate * 0.9 * share, 20, true)
      end
      time:run(time.ms + 20000)
      local accepted, refused = 0, 0
      for _, result in ipairs(results) do
        accepted, refused = accepted + result.accepted, refused + result.refused
      end
      assert.equal(0, refused)
      assert.is_true(accepted > case.rate * 0.9 * 20 * 0.9)
      assert.is_true(valkey.calls < accepted * 0.75, valkey.calls .. ' calls for ' .. accepted)
    end
  end)

  it('costs a busy node that is far from its limit next to nothing', function()
    start(2)
    local limit = plan(100000, 100000)
    local result = offer(nodes[1], limit, 2000, 10, false)
    time:run(time.ms + 5000)
    local before, operations = valkey.calls, nodes[1].store.operations
    local accepted = result.accepted
    time:run(time.ms + 5000)
    assert.equal(0, result.refused)
    assert.is_true(valkey.calls - before < 60, valkey.calls - before)
    assert.is_true((nodes[1].store.operations - operations) / (result.accepted - accepted) < 2.2)
  end)

  it('gives back what a node no longer needs', function()
    start(2)
    local limit = plan(20, 200)
    -- Ten seconds at twice the rate: leases of several slots.
    offer(nodes[1], limit, 40, 5, false)
    time:run(time.ms + 5001)
    local held = nodes[1].store:get(limit.end_key) - nodes[1].store:get(limit.slot_key)
    assert.is_true(held > 0)
    local before = tonumber(valkey.entries['{team}:rate'].value)
    time:run(time.ms + 1600)
    local after = tonumber(valkey.entries['{team}:rate'].value)
    assert.is_true(math.abs(before - after - held * 1000) < 1, before - after)
    -- And it does not use it itself any more.
    assert.equal(nodes[1].store:get(limit.end_key), nodes[1].store:get(limit.slot_key))
  end)

  it('refuses by itself until it is worth asking', function()
    start(1)
    local limit = plan(5, 2)
    local worker = nodes[1].workers[1]
    time:spawn(function()
      for _ = 1, 3 do
        assert.is_true(worker:take(limit))
      end
      local allowed, remaining, reset, retry = worker:take(limit)
      assert.same({ false, 0 }, { allowed, remaining })
      assert.is_true(retry > 190 and retry <= 200 and reset > 590 and reset <= 600, retry .. ' ' .. reset)
      local calls = valkey.calls
      time:sleep(100)
      for _ = 1, 50 do
        local again, _, _, wait = worker:take(limit)
        assert.is_false(again)
        assert.is_true(math.abs(wait - (retry - 100)) < 1)
      end
      assert.equal(calls, valkey.calls)
      time:sleep(101)
      assert.is_true(worker:take(limit))
    end)
    time:run(time.ms + 2000)
  end)

  it('takes a tightened limit at once, and a bucket that is lost begins anew', function()
    start(1)
    local worker = nodes[1].workers[1]
    time:spawn(function()
      local wide = plan(5, 1000)
      for _ = 1, 900 do
        assert.is_true(worker:take(wide))
      end
      local allowed, _, reset = worker:take(plan(5, 10))
      assert.is_false(allowed)
      assert.is_true(reset <= 2200)
      valkey.entries = {}
      time:sleep(2300)
      assert.is_true(worker:take(plan(5, 10)))
    end)
    time:run(time.ms + 9000)
  end)

  it('says so where Valkey does not answer, and asks again at once', function()
    start(1)
    local worker = nodes[1].workers[1]
    time:spawn(function()
      for _, limit in ipairs { plan(5, 10), plan(50, 10) } do
        valkey.down = true
        assert.same({ nil, 'down' }, { worker:take(limit) })
        valkey.down = false
        assert.is_true(worker:take(limit))
      end
    end)
    time:run(time.ms + 1000)
  end)
end)
