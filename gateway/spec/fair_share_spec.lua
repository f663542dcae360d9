local fair_share = require 'causeway.core.fair_share'
local timestamp = require 'causeway.core.timestamp'
local model_dict = require 'support.model_dict'
local model_time = require 'support.model_time'

local function rounded(rates)
  local result = {}
  for id, rate in pairs(rates) do
    result[id] = math.floor(rate * 100 + 0.5) / 100
  end
  return result
end

describe('what an answer announces', function()
  local NOW = 1795430400
  local IN_20S = timestamp.format(NOW + 20)

  local function read(headers)
    return fair_share.read(function(kind, member) return headers[kind .. '-' .. member] end, 0.1, 60, NOW)
  end

  it('is scarce below a share of any limit, until it is whole again', function()
    assert.same({}, { read {} })
    assert.same({ 0.5 }, { read { ['requests-limit'] = '1000', ['requests-remaining'] = '500' } })
    local least, scarce = read {
      ['requests-limit'] = '600', ['requests-remaining'] = '59', ['requests-reset'] = IN_20S,
      ['tokens-limit'] = '100000', ['tokens-remaining'] = '90000', ['tokens-reset'] = IN_20S,
      ['input-tokens-limit'] = '60000', ['input-tokens-remaining'] = '0',
    }
    assert.equal(0, least)
    assert.same({ requests = 10, ['input-tokens'] = 1000 }, scarce.per_second)
    assert.equal(20, scarce.seconds)
  end)

  it('lasts from a second to the longest that is allowed, whatever the reset says', function()
    for reset, seconds in pairs {
      ['2020-01-01T00:00:00Z'] = 1, ['2099-01-01T00:00:00Z'] = 60, ['soon'] = 10,
      [timestamp.format(NOW + 7)] = 7,
    } do
      local _, scarce = read {
        ['tokens-limit'] = '10', ['tokens-remaining'] = '0', ['tokens-reset'] = reset,
      }
      assert.equal(seconds, scarce.seconds)
    end
  end)

  it('is no more than nonsense allows', function()
    for _, value in ipairs { 'x', '', '-5', '0' } do
      assert.same({}, { read { ['requests-limit'] = value, ['requests-remaining'] = '0' } })
    end
  end)

  it('counts tokens as requests', function()
    assert.equal(10, fair_share.requests({ requests = 10 }, {}))
    assert.equal(4, fair_share.requests({ requests = 10, ['input-tokens'] = 2000 }, { ['input-tokens'] = 500 }))
    assert.equal(2, fair_share.requests({ tokens = 2000 }, {}))
  end)
end)

describe('a split', function()
  it('gives guaranteed rates first', function()
    for _, case in ipairs {
      -- total, { id = { asks, reserved } }, rates
      { 10, { a = { 100, 8 }, b = { 100, 2 } }, { a = 8, b = 2 } },
      { 10, { a = { 100, 80 }, b = { 100, 20 } }, { a = 8, b = 2 } },
      { 10, { a = { 100, 6 }, b = { 100, 0 }, c = { 100, 0 } }, { a = 6, b = 2, c = 2 } },
      { 10, { a = { 100, 0 }, b = { 100, 0 } }, { a = 5, b = 5 } },
      -- What somebody does not need, others get.
      { 10, { a = { 1.2, 8 }, b = { 100, 2 } }, { a = 2, b = 8 } },
      { 10, { a = { 1.2, 8 }, b = { 100, 0 }, c = { 100, 0 } }, { a = 2, b = 4, c = 4 } },
      { 10, { a = { 1.2, 0 }, b = { 1.2, 0 } }, { a = 5, b = 5 } },
      { 10, { a = { 100, 4 }, b = { 1.2, 0 } }, { a = 8, b = 2 } },
      { 0, { a = { 100, 4 } }, { a = 0 } },
      { 10, { a = { 0, 0 } }, { a = 10 } },
    } do
      local consumers = {}
      for id, each in pairs(case[2]) do
        consumers[#consumers + 1] = { id = id, asks = each[1], reserved = each[2] }
      end
      assert.same(case[3], rounded(fair_share.split(case[1], consumers)))
    end
  end)

  it('gives all there is and nothing more, to any', function()
    math.randomseed(53)
    for _ = 1, 500 do
      local consumers, total = {}, math.random() * 100
      for index = 1, math.random(1, 12) do
        consumers[index] = {
          id = 'c' .. index,
          asks = math.random() < 0.2 and 0 or math.random() * 40,
          reserved = math.random() < 0.5 and 0 or math.random() * 20,
        }
      end
      local sum = 0
      for _, rate in pairs(fair_share.split(total, consumers)) do
        assert.is_true(rate >= 0)
        sum = sum + rate
      end
      assert.is_true(math.abs(sum - total) < 1e-6, sum .. ' of ' .. total)
    end
  end)
end)

describe('a scarce quota', function()
  local time, workers

  -- A node of as many workers; the quota is told to the first.
  local function start(count, nodes, reserved)
    time = model_time.new(1795430400000)
    workers = {}
    local store = model_dict.new(time)
    for index = 1, count do
      workers[index] = fair_share.new {
        store = store,
        now_ms = function() return time.ms end,
        nodes = function() return nodes end,
        reserved = function(id) return reserved[id] or 0 end,
      }
    end
    time:spawn(function()
      while true do
        for _, worker in ipairs(workers) do
          worker:tick()
        end
        time:sleep(250)
      end
    end)
  end

  local function offer(id, per_second, seconds)
    local result = { passed = 0, refused = 0 }
    time:spawn(function()
      local ends = time.ms + seconds * 1000
      while time.ms < ends do
        local worker = workers[math.random(#workers)]
        if not worker:is_scarce 'upstream' or worker:take('upstream', id) then
          result.passed = result.passed + 1
        else
          result.refused = result.refused + 1
        end
        time:sleep(-math.log(1 - math.random()) * 1000 / per_second)
      end
    end)
    return result
  end

  it('lets two consumers have 80 and 20 of a hundred', function()
    math.randomseed(59)
    start(2, 1, { a = 8, b = 2 })
    workers[1]:announce('upstream', 10, 60)
    time:run(time.ms + 300)
    -- Both ask for as much; first come first served would give them half each.
    local a, b = offer('a', 30, 20), offer('b', 30, 20)
    time:run(time.ms + 20000)
    assert.is_true(a.passed >= 160 * 0.97 and a.passed <= 160 + 10, a.passed)
    assert.is_true(b.passed >= 40 * 0.97 and b.passed <= 40 + 8, b.passed)
  end)

  it('is a node’s part of what was announced, and no limit once it is over', function()
    math.randomseed(61)
    start(2, 3, {})
    workers[1]:announce('upstream', 30, 5)
    time:run(time.ms + 300)
    local a = offer('a', 100, 4)
    time:run(time.ms + 4000)
    assert.is_true(a.passed >= 40 and a.passed <= 40 + 12, a.passed)
    time:run(time.ms + 1000)
    local after = offer('a', 100, 4)
    time:run(time.ms + 4000)
    assert.equal(0, after.refused)
  end)

  it('does not hold back who came late, nor leave anything to who has gone', function()
    math.randomseed(67)
    start(1, 1, {})
    workers[1]:announce('upstream', 20, 60)
    offer('a', 100, 30)
    time:run(time.ms + 5000)
    local b = offer('b', 100, 10)
    time:run(time.ms + 10000)
    assert.is_true(b.passed > 90 and b.passed < 120, b.passed)
    time:run(time.ms + 12000)
    local a = offer('c', 100, 10)
    time:run(time.ms + 10000)
    assert.is_true(a.passed > 90, a.passed)
  end)

  it('of another credential is no matter', function()
    start(1, 1, {})
    workers[1]:announce('other', 1, 60)
    local a = offer('a', 100, 2)
    time:run(time.ms + 2000)
    assert.equal(0, a.refused)
  end)
end)
