local breaker = require 'causeway.core.breaker'
local breaker_models = require 'causeway.core.breaker_models'
local shared_dict = require 'tools.shared_dict'

local UPSTREAM, CLASS, MODEL = 'anthropic', 'generate', 'claude-sonnet-5-5'
local CLASSES = { anthropic = { 'generate', 'models' }, second = { 'generate' } }

local RULES = {
  window_ms = 30000, min_requests = 20, error_share = 0.5, min_consumers = 2,
  open_ms = 15000, probes = 2, close_after = 3,
}

local function has_models(class)
  return class == 'generate'
end

describe('breaker', function()
  local clock, store, changes, one, other

  local function now()
    return clock.ms
  end

  local function worker(rules)
    return breaker.new({
      store = store,
      clock = now,
      rules = rules or RULES,
      models = breaker_models.new(store, now, 32),
      on_change = function(change)
        changes[#changes + 1] = change
      end,
    })
  end

  before_each(function()
    clock = { ms = 1000000 }
    store = shared_dict.new({ clock = now })
    changes = {}
    one, other = worker(), worker()
  end)

  local function states()
    local words = {}
    for index, change in ipairs(changes) do
      words[index] = change.to
    end
    return table.concat(words, ' ')
  end

  local function fail(times, of, consumers)
    for i = 1, times do
      local by = i % 2 == 0 and one or other
      by:fail(UPSTREAM, CLASS, of or MODEL, 1, nil, 'team-' .. i % (consumers or 2), clock.ms)
    end
  end

  local function succeed(times, of)
    for i = 1, times do
      local by = i % 2 == 0 and one or other
      by:succeed(UPSTREAM, CLASS, of or MODEL, 1)
    end
  end

  local function admit()
    return one:admit(UPSTREAM, CLASS, MODEL)
  end

  describe('opens', function()
    it('at the failure that makes the share, the number and the consumers', function()
      succeed(10)
      fail(9)
      assert.equal('', states())
      assert.is_true(one:calm(UPSTREAM, CLASS))
      assert.is_true(admit())
      fail(1)
      assert.equal('open', states())
      local change = changes[1]
      assert.same({ 'anthropic', 'generate', MODEL, 10, 20, 2 }, {
        change.upstream, change.class, change.model, change.bad, change.total, change.consumers,
      })
      assert.is_false(one:calm(UPSTREAM, CLASS))
      local admitted, wait = admit()
      assert.is_false(admitted)
      assert.equal(15000, wait)
    end)

    it('never below the number of requests', function()
      fail(19)
      assert.equal('', states())
      fail(1)
      assert.equal('open', states())
    end)

    it('never below the share', function()
      succeed(100)
      fail(99)
      assert.equal('', states())
      fail(1)
      assert.equal('open', states())
    end)

    it('never for one consumer alone, however often it fails', function()
      fail(1000, MODEL, 1)
      assert.equal('', states())
      one:fail(UPSTREAM, CLASS, MODEL, 1, nil, 'another', clock.ms)
      assert.equal('open', states())
    end)

    it('for one consumer where one is enough', function()
      local alone = worker({
        window_ms = 30000, min_requests = 3, error_share = 1, min_consumers = 1,
        open_ms = 15000, probes = 1, close_after = 1,
      })
      for _ = 1, 3 do
        alone:fail(UPSTREAM, CLASS, MODEL, 1, nil, 'team-a', clock.ms)
      end
      assert.equal('open', states())
    end)

    it('by what lies within the window only', function()
      fail(15)
      clock.ms = clock.ms + 31000
      fail(15)
      assert.equal('', states())
      clock.ms = clock.ms + 20000
      fail(5)
      assert.equal('open', states())
    end)

    it('counts a request that stands for many as so many', function()
      one:succeed(UPSTREAM, CLASS, MODEL, 100)
      fail(99)
      assert.equal('', states())
      fail(1)
      assert.equal('open', states())
    end)

    it('once, whichever worker finds it', function()
      fail(60)
      assert.equal('open', states())
    end)
  end)

  it('leaves other models, route classes and upstreams alone', function()
    fail(20)
    assert.is_false((one:admit(UPSTREAM, CLASS, MODEL)))
    assert.is_true((one:admit(UPSTREAM, CLASS, 'claude-opus-5')))
    assert.is_true((one:admit(UPSTREAM, CLASS, nil)))
    assert.is_true((one:admit(UPSTREAM, 'models', breaker_models.NONE)))
    assert.is_true((one:admit('second', CLASS, MODEL)))
    assert.is_true(one:calm(UPSTREAM, 'models'))
    assert.is_true(one:calm('second', CLASS))
  end)

  describe('half-open', function()
    before_each(function()
      fail(20)
      clock.ms = clock.ms + 15000
      changes = {}
    end)

    it('lets so many probes through at a time, of a thousand that come in that moment', function()
      local admitted, refused = {}, 0
      for i = 1, 1000 do
        local ok, probe = (i % 2 == 0 and one or other):admit(UPSTREAM, CLASS, MODEL)
        if ok then
          admitted[#admitted + 1] = probe
        else
          refused = refused + 1
        end
      end
      assert.equal(2, #admitted)
      assert.equal(998, refused)
      assert.equal('half-open', states())
      assert.is_false(one:would_admit(UPSTREAM, CLASS, MODEL))
      one:succeed(UPSTREAM, CLASS, MODEL, 1, admitted[1])
      assert.is_true(one:would_admit(UPSTREAM, CLASS, MODEL))
      local third = 0
      for _ = 1, 1000 do
        third = third + ((admit()) and 1 or 0)
      end
      assert.equal(1, third)
    end)

    it('closes after so many successes in a row, and then counts from nothing', function()
      for _ = 1, 3 do
        local ok, probe = admit()
        assert.is_true(ok)
        other:succeed(UPSTREAM, CLASS, MODEL, 1, probe)
      end
      assert.equal('half-open closed', states())
      assert.is_true(admit())
      assert.is_nil((select(2, admit())))
      fail(19)
      assert.equal('half-open closed', states())
      fail(1)
      assert.equal('half-open closed open', states())
    end)

    it('opens again at one failed probe, and needs all successes again', function()
      local _, first = admit()
      local _, second = admit()
      one:succeed(UPSTREAM, CLASS, MODEL, 1, first)
      one:fail(UPSTREAM, CLASS, MODEL, 1, second, 'team-a', clock.ms)
      assert.equal('half-open open', states())
      assert.is_false((admit()))
      clock.ms = clock.ms + 14999
      assert.is_false((admit()))
      clock.ms = clock.ms + 1
      for _ = 1, 2 do
        local ok, probe = admit()
        assert.is_true(ok)
        one:succeed(UPSTREAM, CLASS, MODEL, 1, probe)
      end
      assert.equal('half-open open half-open', states())
    end)

    it('two probes that fail together open it once', function()
      local _, first = admit()
      local _, second = admit()
      one:fail(UPSTREAM, CLASS, MODEL, 1, first, 'team-a', clock.ms)
      other:fail(UPSTREAM, CLASS, MODEL, 1, second, 'team-b', clock.ms)
      assert.equal('half-open open', states())
    end)

    it('gives the slot of a probe that is never heard of to the next', function()
      admit()
      admit()
      assert.is_false((admit()))
      clock.ms = clock.ms + 15000
      assert.is_true((admit()))
      assert.is_true((admit()))
      assert.is_false((admit()))
    end)

    it('a probe that comes back late takes no slot from those that came after it', function()
      local _, hung = admit()
      admit()
      clock.ms = clock.ms + 15000
      admit()
      admit()
      one:release(hung)
      assert.is_false((admit()))
    end)

    it('a probe that decides nothing gives its slot back', function()
      for _ = 1, 10 do
        local ok, probe = admit()
        assert.is_true(ok)
        one:release(probe)
      end
      assert.equal('half-open', states())
    end)

    it('closes where no probe failed for a window, though none decided anything', function()
      local _, probe = admit()
      one:release(probe)
      clock.ms = clock.ms + 30000
      local _, hung = admit()
      local _, last = admit()
      one:release(last)
      assert.equal('half-open', states())
      one:release(hung)
      assert.equal('half-open closed', states())
      assert.equal('no probe failed', changes[2].why)
    end)

    it('takes no word of requests from before for a probe', function()
      fail(100)
      succeed(100)
      assert.equal('', states())
      assert.is_true((admit()))
    end)
  end)

  it('counts no failure of a request that was sent before it closed', function()
    local sent = clock.ms
    fail(20)
    clock.ms = clock.ms + 15000
    for _ = 1, 3 do
      local _, probe = admit()
      one:succeed(UPSTREAM, CLASS, MODEL, 1, probe)
    end
    clock.ms = clock.ms + 600000
    for i = 1, 100 do
      one:fail(UPSTREAM, CLASS, MODEL, 1, nil, 'team-' .. i, sent)
    end
    assert.equal('open half-open closed', states())
    fail(20)
    assert.equal('open half-open closed open', states())
  end)

  describe('a sweep', function()
    it('says how many are not closed, by upstream', function()
      fail(20)
      fail(20, 'claude-opus-5')
      for i = 1, 20 do
        one:fail(UPSTREAM, 'models', breaker_models.NONE, 1, nil, 'team-' .. i, clock.ms)
        one:fail(UPSTREAM, CLASS, 'not a model', 1, nil, 'team-' .. i, clock.ms)
      end
      assert.same({ anthropic = 4, second = 0 }, one:sweep(CLASSES, has_models))
    end)

    it('closes what nobody asks for a window after it might', function()
      fail(20)
      clock.ms = clock.ms + 44999
      assert.same({ anthropic = 1, second = 0 }, one:sweep(CLASSES, has_models))
      clock.ms = clock.ms + 1
      assert.same({ anthropic = 0, second = 0 }, other:sweep(CLASSES, has_models))
      assert.equal('open closed', states())
      assert.is_true(one:calm(UPSTREAM, CLASS))
    end)

    it('waits for a probe that hangs', function()
      fail(20)
      clock.ms = clock.ms + 40000
      admit()
      clock.ms = clock.ms + 44999
      assert.equal(1, one:sweep(CLASSES, has_models).anthropic)
      clock.ms = clock.ms + 1
      assert.equal(0, one:sweep(CLASSES, has_models).anthropic)
    end)

    it('makes a closed class calm again', function()
      fail(20)
      clock.ms = clock.ms + 15000
      for _ = 1, 3 do
        local _, probe = admit()
        one:succeed(UPSTREAM, CLASS, MODEL, 1, probe)
      end
      assert.is_false(one:calm(UPSTREAM, CLASS))
      one:sweep(CLASSES, has_models)
      assert.is_true(one:calm(UPSTREAM, CLASS))
    end)
  end)

  it('keeps little: a day of opening and closing leaves no more than some minutes of it', function()
    local function size()
      local count = 0
      for key in pairs(store.entries) do
        count = count + (store:live(key) and 1 or 0)
      end
      return count
    end
    local most = 0
    for _ = 1, 24 * 3600 / 16 do
      fail(20)
      clock.ms = clock.ms + 15000
      for _ = 1, 3 do
        local _, probe = admit()
        if probe then
          one:succeed(UPSTREAM, CLASS, MODEL, 1, probe)
        end
      end
      clock.ms = clock.ms + 1000
      most = math.max(most, size())
    end
    assert.is_true(most < 200, most .. ' entries')
  end)
end)

describe('the models that are told apart', function()
  local clock, store, models

  before_each(function()
    clock = { ms = 0 }
    local function now()
      return clock.ms
    end
    store = shared_dict.new({ clock = now })
    models = breaker_models.new(store, now, 3)
  end)

  it('are as many as there may be; the rest shares one breaker', function()
    assert.same({ 'a', 'b', 'c', '*', 'a', 'c' }, {
      models:name('a'), models:name('b'), models:name('c'), models:name('d'), models:name('a'), models:name('c'),
    })
    assert.same({ 'a', 'b', 'c' }, models:list())
    assert.same({ 'b', '*' }, { models:look_up('b'), models:look_up('d') })
  end)

  it('are not made known by being asked for', function()
    assert.same({ 'a', 'b', 'c', 'd' }, {
      models:look_up('a'), models:look_up('b'), models:look_up('c'), models:look_up('d'),
    })
    assert.same({}, models:list())
  end)

  it('are names of models only', function()
    for _, odd in ipairs({ '', 'two words', '-', 'a\nb', '*', ('x'):rep(129), 'ü' }) do
      assert.equal(odd == '-' and '-' or '*', models:name(odd))
    end
    assert.equal('*', models:name(nil))
    assert.same({}, models:list())
    assert.equal('anthropic.claude-opus-5:1/x@y_z', models:name('anthropic.claude-opus-5:1/x@y_z'))
  end)

  it('make room once nobody has used them for an hour', function()
    for _, name in ipairs({ 'a', 'b', 'c' }) do
      models:name(name)
    end
    for _ = 1, 40 do
      clock.ms = clock.ms + 100000
      models:name('a')
      models:name('b')
    end
    assert.equal('d', models:name('d'))
    assert.same({ 'a', 'b', 'd' }, models:list())
    assert.equal('*', models:name('c'))
  end)
end)
