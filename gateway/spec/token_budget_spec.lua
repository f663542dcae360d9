local model_dict = require 'support.model_dict'
local model_time = require 'support.model_time'
local model_valkey = require 'support.model_valkey'
local token_budget = require 'causeway.core.token_budget'

describe('a token budget', function()
  local time, valkey

  before_each(function()
    math.randomseed(47)
    -- Ten seconds into a minute.
    time = model_time.new(1795430400000 + 10000)
    valkey = model_valkey.new(time)
  end)

  local function start(count, skew)
    local nodes = {}
    for index = 1, count do
      local offset = -(skew or 0) * index
      local node = { workers = {}, shared = true }
      local store = model_dict.new(time)
      local known = 0
      for number = 1, 2 do
        node.workers[number] = token_budget.new {
          store = store,
          now = function() return time.ms + offset + known end,
          set_now = function(ms) known = ms - time.ms - offset end,
          node = function() return 'node-' .. index end,
          nodes = function() return count end,
          call = function(...)
            time:sleep(0.2)
            local reply, why = valkey:script(...)
            time:sleep(0.2)
            return reply, why
          end,
        }
      end
      node.tick = function()
        for _, worker in ipairs(node.workers) do
          worker:tick()
        end
      end
      nodes[index] = node
    end
    time:spawn(function()
      while true do
        for _, node in ipairs(nodes) do
          time:spawn(node.tick)
        end
        time:sleep(250)
      end
    end)
    return nodes
  end

  local function plan(input, output)
    return token_budget.plan('team', '{team}:tokens', { inputPerMinute = input, outputPerMinute = output })
  end

  -- One request: whether it was let in; it costs so much after so long.
  local function request(node, limit, input, output, ms)
    local state = node.workers[math.random(2)]:check(limit, node.shared)
    if state.over then
      return false, state
    end
    time:sleep(ms or 1)
    local worker = node.workers[math.random(2)]
    if worker:count(limit, input, output) and node.shared then
      time:spawn(function() worker:sync(limit) end)
    end
    return true, state
  end

  it('ends within one request of each node, however fast they come', function()
    for _, pause in ipairs { 0, 1, 30, 300 } do
      time = model_time.new(1795430400000 + 10000)
      valkey = model_valkey.new(time)
      local nodes, limit, passed = start(3), plan(10000, nil), 0
      for _, node in ipairs(nodes) do
        time:spawn(function()
          for _ = 1, 400 do
            if request(node, limit, 97, 1, 1) then
              passed = passed + 1
            end
            time:sleep(pause)
          end
        end)
      end
      time:run(time.ms + 40000)
      local used = passed * 97
      assert.is_true(used >= 10000 and used <= 10000 + 3 * 97, pause .. ': ' .. used)
    end
  end)

  it('costs few round trips while much is left', function()
    local nodes, limit = start(3), plan(1e9, 1e9)
    for _, node in ipairs(nodes) do
      time:spawn(function()
        for _ = 1, 10000 do
          assert.is_true((request(node, limit, 100, 100, 0)))
          time:sleep(1)
        end
      end)
    end
    time:run(time.ms + 10000)
    -- Each worker tells what it counted, four times a second.
    assert.is_true(valkey.calls < 3 * 2 * 4 * 10 * 1.2, valkey.calls)
  end)

  it('begins anew with the minute, and says when that is', function()
    local nodes, limit = start(2), plan(nil, 500)
    time:spawn(function()
      assert.is_true((request(nodes[1], limit, 1e9, 300)))
      time:sleep(1)
      local _, state = request(nodes[2], limit, 0, 300)
      assert.same({ limit = 500, remaining = 200 }, state.output)
      assert.is_false(state.warn)
      assert.is_nil(state.input)
      -- What others use is known within as long.
      time:sleep(310)
      local allowed, over = request(nodes[1], limit, 0, 0)
      assert.is_false(allowed)
      assert.equal('output', over.over)
      assert.same({ limit = 500, remaining = 0 }, over.output)
      assert.is_true(over.reset_ms > 49600 and over.reset_ms <= 49700)
      local calls = valkey.calls
      for _ = 1, 100 do
        assert.is_false((request(nodes[1], limit, 0, 0)))
      end
      assert.equal(calls, valkey.calls)
      time:sleep(50000)
      local fresh
      allowed, fresh = request(nodes[1], limit, 0, 0)
      assert.is_true(allowed)
      assert.equal(500, fresh.output.remaining)
    end)
    time:run(time.ms + 60000)
  end)

  it('warns from four fifths on', function()
    local nodes, limit = start(1), plan(1000, 1000)
    time:spawn(function()
      assert.is_false(select(2, request(nodes[1], limit, 799, 0)).warn)
      assert.is_false(select(2, request(nodes[1], limit, 1, 0)).warn)
      local _, state = request(nodes[1], limit, 0, 0)
      assert.is_true(state.warn)
      assert.same({ limit = 1000, remaining = 200 }, state.input)
      assert.same({ limit = 1000, remaining = 1000 }, state.output)
    end)
    time:run(time.ms + 1000)
  end)

  it('is a node’s share without Valkey, and the whole again with it', function()
    local nodes, limit = start(2), plan(1000, nil)
    time:spawn(function()
      valkey.down = true
      assert.is_true((request(nodes[1], limit, 490, 0)))
      assert.is_true((request(nodes[1], limit, 10, 0)))
      local allowed, state = request(nodes[1], limit, 10, 0)
      assert.is_false(allowed)
      assert.same({ limit = 500, remaining = 0 }, state.input)
      valkey.down = false
      allowed, state = request(nodes[1], limit, 100, 0)
      assert.is_true(allowed)
      assert.same({ limit = 1000, remaining = 500 }, state.input)
      time:sleep(600)
      allowed, state = request(nodes[2], limit, 10, 0)
      assert.is_true(allowed)
      assert.same({ limit = 1000, remaining = 400 }, state.input)
    end)
    time:run(time.ms + 2000)
  end)

  it('survives a Valkey that forgot, and clocks that differ', function()
    local nodes, limit = start(2, 40000), plan(1000, nil)
    time:spawn(function()
      assert.is_true((request(nodes[1], limit, 600, 0)))
      time:sleep(1)
      assert.is_true((request(nodes[2], limit, 300, 0)))
      time:sleep(310)
      assert.equal(100, select(2, request(nodes[1], limit, 50, 0)).input.remaining)
      valkey.entries = {}
      time:sleep(300)
      request(nodes[1], limit, 0, 0)
      time:sleep(300)
      request(nodes[2], limit, 0, 0)
      time:sleep(600)
      for _, node in ipairs(nodes) do
        local _, state = request(node, limit, 0, 0)
        assert.equal(50, state.input.remaining)
      end
    end)
    time:run(time.ms + 10000)
  end)
end)
