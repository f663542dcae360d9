local cache_books = require 'causeway.core.cache_books'
local script_host = require 'tools.script_host'

local KEYS = { '{b}order', '{b}facts', '{b}totals' }
local SHARE, LIMIT = 10000, 30000
local HOUR = 3600000

describe('cache_books', function()
  local now, host

  before_each(function()
    now = 1795430000000
    host = script_host.new(function() return now end)
  end)

  local function enter(consumer, key, size, ttl)
    return host:run(cache_books.ENTER.source, KEYS, { consumer, key, size, ttl or HOUR, SHARE, LIMIT })
  end

  local function held(consumer)
    for _, one in ipairs(host.sets['{b}totals'] or {}) do
      if one.member == consumer then
        return one.score
      end
    end
    return 0
  end

  -- All three books say the same.
  local function check()
    local totals, count, all = {}, 0, 0
    for key, fact in pairs(host.hashes['{b}facts']) do
      if key ~= '#' then
        local size, _, consumer = fact:match '^(%d+) (%d+) (.*)$'
        totals[consumer] = (totals[consumer] or 0) + tonumber(size)
        count, all = count + 1, all + tonumber(size)
      end
    end
    assert.equal(count, #host.sets['{b}order'])
    assert.equal(all, tonumber(host.hashes['{b}facts']['#']))
    for _, one in ipairs(host.sets['{b}totals']) do
      assert.equal(totals[one.member], one.score)
      totals[one.member] = nil
    end
    assert.is_nil(next(totals))
  end

  it('has a consumer that is over its share give up its own oldest', function()
    for index = 1, 10 do
      assert.same({}, enter('a', 'a' .. index, 1000))
      assert.same({}, enter('b', 'b' .. index, 500))
      now = now + 1
    end
    assert.same({ 'a1' }, enter('a', 'a11', 1000))
    assert.same({ 'a2', 'a3', 'a4' }, enter('a', 'a12', 2500))
    assert.equal(9500, held 'a')
    assert.equal(5000, held 'b')
    check()
  end)

  it('has the one that holds most give way where all together are too many', function()
    for index = 1, 10 do
      for _, consumer in ipairs { 'a', 'b' } do
        enter(consumer, consumer .. index, 1000)
      end
      enter('c', 'c' .. index, 700)
      now = now + 1
    end
    assert.same({}, enter('d', 'd1', 3000))
    assert.same({ 'b1' }, enter('d', 'd2', 1000))
    assert.same({ 'a1' }, enter('d', 'd3', 1000))
    check()
    -- d takes from those that hold most, itself at last, and from nobody who has less.
    for index = 4, 50 do
      for _, key in ipairs(enter('d', 'd' .. index, 1000)) do
        assert.is_falsy(key:find '^c')
      end
      now = now + 1
    end
    assert.equal(7000, held 'c')
    assert.is_true(held 'd' >= 7000 and held 'd' <= 8000)
    check()
  end)

  it('enters a copy that is replaced once, and takes it for new', function()
    for index = 1, 10 do
      enter('a', 'a' .. index, 1000)
      now = now + 1
    end
    assert.same({}, enter('a', 'a1', 500))
    assert.equal(9500, held 'a')
    assert.same({ 'a2' }, enter('a', 'a11', 1000))
    check()
  end)

  it('forgets what has expired', function()
    for index = 1, 5 do
      enter('a', 'a' .. index, 1000, 10000)
      now = now + 1
    end
    now = now + 10001
    assert.same({ 'a1', 'a2', 'a3', 'a4', 'a5' }, enter('a', 'a6', 1000))
    assert.equal(1000, held 'a')
    check()
  end)

  it('refuses what is larger than a share', function()
    enter('a', 'a1', 1000)
    assert.same({ 'a1', 'big' }, enter('a', 'big', SHARE + 1))
    assert.equal(0, held 'a')
    check()
  end)

  it('keeps consumers apart whose names begin alike', function()
    enter('a', 'x', 6000)
    enter('a-b', 'y', 6000)
    enter('ab', 'z', 6000)
    now = now + 1
    assert.same({ 'x' }, enter('a', 'w', 6000))
    check()
  end)

  it('begins anew where a part of the books is gone', function()
    for _, lost in ipairs { 'order', 'facts', 'totals' } do
      for index = 1, 5 do
        enter('a', 'a' .. index, 1000)
      end
      host.sets['{b}' .. lost], host.hashes['{b}' .. lost] = nil, nil
      assert.same({}, enter('a', 'a6', 9000))
      assert.equal(9000, held 'a')
      check()
    end
  end)
end)
