-- What the shared dictionary and the clock are to nginx: two documents are two workers of one node.

local shared = {}
local now_ms = 0
local reads = {}
local said = {}

local stubs = {
  ['causeway.io.clock'] = {
    monotonic_ms = function()
      return now_ms
    end,
  },
  ['causeway.io.log'] = {
    once = function(_, message)
      said[#said + 1] = message
    end,
  },
  ['causeway.io.source'] = {
    read = function()
      return table.remove(reads, 1)()
    end,
  },
}

local dictionary = {
  get = function(_, key)
    return shared[key]
  end,
  set = function(_, key, value)
    shared[key] = value
    return true
  end,
}
dictionary.safe_set = dictionary.set

describe('a document', function()
  local document, outer

  setup(function()
    outer = rawget(_G, 'ngx')
    rawset(_G, 'ngx', { shared = { causeway_documents = dictionary } })
    for name, stub in pairs(stubs) do
      package.loaded[name] = stub
    end
    document = require 'causeway.io.document'
  end)

  teardown(function()
    rawset(_G, 'ngx', outer)
    for name in pairs(stubs) do
      package.loaded[name] = nil
    end
    package.loaded['causeway.io.document'] = nil
  end)

  before_each(function()
    shared, now_ms, reads, said = {}, 1000, {}, {}
  end)

  local function parse(text)
    if text:sub(1, 4) ~= 'good' then
      return nil, 'not good'
    end
    return { text = text }
  end

  local function worker(absent)
    return document.new('registry', '/registry.json', parse, absent)
  end

  -- What the next look finds: a text, or nothing for a reason. It takes so many milliseconds.
  local function refresh(doc, text, err, missing, takes_ms)
    reads[#reads + 1] = function()
      now_ms = now_ms + (takes_ms or 0)
      return text, err, missing
    end
    return doc:refresh()
  end

  it('is confirmed at each look that finds what it has, as of when the look began', function()
    local doc = worker()
    assert.is_nil(doc:age_seconds())
    assert.is_true(refresh(doc, 'good', nil, nil, 500))
    assert.equal(0.5, doc:age_seconds())
    now_ms = now_ms + 2000
    assert.equal(2.5, doc:age_seconds())
    refresh(doc, 'good')
    assert.equal(0, doc:age_seconds())
  end)

  it('is confirmed in each worker by that worker alone', function()
    local one, other = worker(), worker()
    refresh(one, 'good 1')
    refresh(other, 'good 1')
    now_ms = now_ms + 3000
    refresh(one, 'good 2')
    assert.same({ 0, 3 }, { one:age_seconds(), other:age_seconds() })
    refresh(other, 'good 2')
    assert.equal(0, other:age_seconds())
    assert.equal('good 2', other.value.text)
  end)

  it('is not confirmed while its source is silent, broken or gone', function()
    local doc = worker()
    refresh(doc, 'good')
    for _, bad in ipairs { { nil, 'timeout' }, { 'bad' }, { 'bad' }, { nil, 'No such file', true } } do
      now_ms = now_ms + 1000
      assert.is_true(refresh(doc, unpack(bad, 1, 3)))
      assert.equal('good', doc.value.text)
    end
    assert.equal(4, doc:age_seconds())
    assert.same({
      'registry refused: timeout; the last good one serves on',
      'registry refused: not good; the last good one serves on',
      'registry refused: No such file; the last good one serves on',
    }, said)
    refresh(doc, 'good')
    assert.equal(0, doc:age_seconds())
  end)

  it('is as confirmed in a worker that starts as it was in the others', function()
    refresh(worker(), 'good')
    now_ms = now_ms + 7000
    local fresh = worker()
    assert.is_true(refresh(fresh, nil, 'timeout'))
    assert.same({ 'good', 7 }, { fresh.value.text, fresh:age_seconds() })
  end)

  it('does not take an older look over a later one that came back sooner', function()
    local doc = worker()
    reads[1] = function()
      -- While this one waits, another one begins and ends.
      now_ms = now_ms + 10
      reads[1] = function()
        return 'good, new'
      end
      doc:refresh()
      now_ms = now_ms + 10
      return 'good, old'
    end
    doc:refresh()
    assert.equal('good, new', doc.value.text)
    assert.equal(0.01, doc:age_seconds())
  end)

  describe('that may be absent', function()
    local NOTHING = { text = 'nothing' }

    it('is what its absence means, and confirmed, without a complaint', function()
      local doc = worker(NOTHING)
      for _ = 1, 2 do
        now_ms = now_ms + 1000
        assert.is_true(refresh(doc, nil, 'No such file', true))
        assert.same({ NOTHING, 0 }, { doc.value, doc:age_seconds() })
      end
      assert.same({ {}, 0 }, { said, doc.refused })
      refresh(doc, 'good')
      assert.equal('good', doc.value.text)
    end)

    it('is not forgotten once it has been there, by no worker', function()
      local doc = worker(NOTHING)
      refresh(doc, 'good')
      now_ms = now_ms + 1000
      refresh(doc, nil, 'No such file', true)
      assert.same({ 'good', 1, 1 }, { doc.value.text, doc:age_seconds(), doc.refused })
      local fresh = worker(NOTHING)
      refresh(fresh, nil, 'No such file', true)
      assert.same({ 'good', 1, 1 }, { fresh.value.text, fresh:age_seconds(), fresh.refused })
      -- One that found nothing before the others found something.
      shared = {}
      local early = worker(NOTHING)
      refresh(early, nil, 'No such file', true)
      refresh(doc, 'good, new')
      refresh(early, nil, 'No such file', true)
      assert.equal('good, new', early.value.text)
    end)

    it('is not taken to be absent by a source that does not answer', function()
      local doc = worker(NOTHING)
      assert.is_false(refresh(doc, nil, 'connection refused'))
      assert.is_nil(doc:age_seconds())
      assert.same({ 'registry refused: connection refused' }, said)
    end)

    it('is reported where it is broken', function()
      local doc = worker(NOTHING)
      refresh(doc, nil, 'No such file', true)
      now_ms = now_ms + 1000
      refresh(doc, 'bad')
      assert.same({ NOTHING, 1, 1 }, { doc.value, doc:age_seconds(), doc.refused })
      assert.same({ 'registry refused: not good; the last good one serves on' }, said)
    end)
  end)
end)
