local gcra = require 'causeway.core.gcra'

-- What ngx.shared gives, on a clock of the test's own. `before` is called before each operation.
-- Stores with the same entries are the same dictionary, seen by workers that each have a clock.
local function new_store(clock, before, entries)
  entries = entries or {}
  local store = { entries = entries }

  local function live(key)
    local entry = entries[key]
    if entry and clock.ms >= entry.expires then
      entries[key] = nil
      return nil
    end
    return entry
  end

  function store.get(_, key)
    before()
    local entry = live(key)
    return entry and entry.value
  end

  function store.set(_, key, value, ttl)
    before()
    entries[key] = { value = value, expires = clock.ms + ttl * 1000 }
    return true
  end

  function store.incr(_, key, value, init, init_ttl)
    before()
    local entry = live(key)
    if not entry then
      if not init then
        return nil, 'not found'
      end
      entry = { value = init, expires = clock.ms + init_ttl * 1000 }
      entries[key] = entry
    end
    entry.value = entry.value + value
    return entry.value
  end

  function store.expire(_, key, ttl)
    before()
    local entry = live(key)
    if not entry then
      return nil, 'not found'
    end
    entry.expires = clock.ms + ttl * 1000
    return true
  end

  return store
end

local function nothing() end

describe('gcra.check', function()
  local clock, store

  before_each(function()
    clock = { ms = 1795430000000 }
    store = new_store(clock, nothing)
  end)

  local function check(rate, burst)
    return gcra.check(store, 'k', rate, burst, clock.ms)
  end

  it('lets a burst and one more pass, then refuses and says until when', function()
    for index = 0, 10 do
      local allowed, remaining, reset, retry = check(5, 10)
      assert.same({ true, 10 - index, (index + 1) * 200, 0 }, { allowed, remaining, reset, retry })
    end
    assert.same({ false, 0, 2200, 200 }, { check(5, 10) })
    clock.ms = clock.ms + 199
    assert.same({ false, 0, 2001, 1 }, { check(5, 10) })
    clock.ms = clock.ms + 1
    assert.same({ true, 0, 2200, 0 }, { check(5, 10) })
    assert.is_false((check(5, 10)))
  end)

  it('works without a burst and with fractional rates', function()
    assert.same({ true, 0, 4000, 0 }, { check(0.25, 0) })
    assert.same({ false, 0, 4000, 3999 }, { check(0.25, 0) })
    clock.ms = clock.ms + 3998
    assert.is_false((check(0.25, 0)))
    clock.ms = clock.ms + 2
    assert.is_true((check(0.25, 0)))
  end)

  it('keeps keys apart', function()
    assert.is_true((gcra.check(store, 'a', 1, 0, clock.ms)))
    assert.is_true((gcra.check(store, 'b', 1, 0, clock.ms)))
    assert.is_false((gcra.check(store, 'a', 1, 0, clock.ms)))
  end)

  it('forgets a key once it is empty, and lets the first after an idle hour pass with a whole burst', function()
    for _ = 1, 12 do
      check(5, 10)
    end
    clock.ms = clock.ms + 3600000
    assert.is_nil(store:get 'k')
    assert.same({ true, 10, 200, 0 }, { check(5, 10) })
    -- Also where the store keeps keys for ever.
    store.entries.k.expires = math.huge
    clock.ms = clock.ms + 3600000
    assert.same({ true, 10, 200, 0 }, { check(5, 10) })
  end)

  it('is not stuck when the clock is set back', function()
    for _ = 1, 5 do
      check(5, 10)
    end
    clock.ms = clock.ms - 3600000
    local allowed, _, reset, retry = check(5, 10)
    assert.same({ false, 2200, 200 }, { allowed, reset, retry })
    clock.ms = clock.ms + 200
    assert.is_true((check(5, 10)))
    -- A few milliseconds are nothing.
    clock.ms = clock.ms + 60000
    assert.is_true((check(5, 10)))
    clock.ms = clock.ms - 5
    assert.same({ true, 8, 405, 0 }, { check(5, 10) })
  end)

  it('takes a tightened limit at once', function()
    for _ = 1, 101 do
      check(5, 100)
    end
    local allowed, _, reset = check(5, 10)
    assert.same({ false, 2200 }, { allowed, reset })
  end)

  it('holds its rate exactly over the long run', function()
    for _, case in ipairs {
      { rate = 5, burst = 10, seconds = 100 },
      { rate = 3, burst = 0, seconds = 100 },
      { rate = 0.7, burst = 2, seconds = 200 },
      { rate = 300, burst = 0, seconds = 20 },
      { rate = 999, burst = 1, seconds = 20 },
      { rate = 1000, burst = 50, seconds = 20 },
      { rate = 1 / 60, burst = 0, seconds = 600 },
    } do
      local rate, burst = case.rate, case.burst
      clock.ms = clock.ms + 86400000
      local accepted = 0
      for _ = 1, case.seconds * 1000 do
        if check(rate, burst) then
          accepted = accepted + 1
        end
        if check(rate, burst) then
          accepted = accepted + 1
        end
        clock.ms = clock.ms + 1
      end
      local message = ('%g/s burst %d: %d'):format(rate, burst, accepted)
      assert.is_true(accepted <= burst + 1 + rate * case.seconds, message)
      -- One part in two thousand is what the grid may cost at 1,000 a second.
      assert.is_true(accepted >= math.floor(rate * case.seconds * 0.9995), message)
    end
  end)

  it('holds its bound for any arrivals', function()
    math.randomseed(17)
    for _ = 1, 200 do
      local rate, burst = math.random() * 50 + 0.1, math.random(0, 20)
      clock.ms = clock.ms + 86400000
      local times = {}
      for _ = 1, 500 do
        clock.ms = clock.ms + (math.random() < 0.7 and 0 or math.random(0, 400))
        if check(rate, burst) then
          times[#times + 1] = clock.ms
        end
      end
      -- In every window, not only in the whole.
      for from = 1, #times, 7 do
        for to = from, #times, 11 do
          local bound = burst + 1 + rate * (times[to] - times[from] + 1) / 1000
          assert.is_true(to - from + 1 <= bound + 1e-6)
        end
      end
    end
  end)

  it('leaves no trace of what it refuses', function()
    for _ = 1, 11 do
      check(7, 10)
    end
    local before = store:get 'k'
    for _ = 1, 100000 do
      assert.is_false((check(7, 10)))
    end
    assert.equal(before, store:get 'k')
  end)

  it('passes and says so where the store fails', function()
    store.incr = function() return nil, 'no memory' end
    assert.same({ true, 0, 200, 0, 'no memory' }, { check(5, 10) })
  end)

  describe('between workers', function()
    -- Every store operation is a point at which another worker may run. A worker's clock is nginx's cached time: it
    -- stands still during a check, however long the worker is held up.
    local function run(entries, workers, rate, burst, ticks, busy)
      local accepted = 0
      local threads = {}
      for index = 1, workers do
        threads[index] = coroutine.create(function()
          local cached = {}
          local shared = new_store(cached, coroutine.yield, entries)
          while true do
            cached.ms = clock.ms
            if gcra.check(shared, 'k', rate, burst, cached.ms) then
              accepted = accepted + 1
            end
            coroutine.yield()
          end
        end)
      end
      for _ = 1, ticks do
        for _ = 1, busy do
          assert(coroutine.resume(threads[math.random(workers)]))
        end
        clock.ms = clock.ms + 1
      end
      return accepted
    end

    it('keeps the rate under saturation', function()
      math.randomseed(23)
      for _, case in ipairs {
        { rate = 5, burst = 10 }, { rate = 50, burst = 5 }, { rate = 200, burst = 0 }, { rate = 20, burst = 1 },
      } do
        clock.ms = clock.ms + 86400000
        local seconds = 20
        local accepted = run({}, 4, case.rate, case.burst, seconds * 1000, 20)
        local message = ('%g/s burst %d: %d'):format(case.rate, case.burst, accepted)
        assert.is_true(accepted <= case.burst + 1 + case.rate * seconds + 3, message)
        assert.is_true(accepted >= case.rate * seconds * 0.999, message)
      end
    end)

    it('lets at most one more a worker pass when an idle key is met by all at once', function()
      math.randomseed(29)
      for _ = 1, 300 do
        clock.ms = clock.ms + 86400000
        assert.is_true(run({}, 4, 5, 10, 1, 400) <= 11 + 3)
      end
      -- The same, with a key that is there but just out of date.
      for _ = 1, 300 do
        local outdated = { k = { value = clock.ms - 20, expires = math.huge } }
        local accepted = run(outdated, 4, 5, 10, 1, 500)
        assert.is_true(accepted <= 11 + 3, accepted)
        assert.is_true(accepted >= 10, accepted)
      end
    end)
  end)
end)
