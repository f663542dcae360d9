local cache = require 'causeway.core.cache'
local cache_entry = require 'causeway.core.cache_entry'

local START = 1795430000000

describe('cache', function()
  local now, l1, l2, epochs, confirmed, tiers, stored

  local function new_l1()
    local kept = {}
    return {
      kept = kept,
      sets = 0,
      get = function(_, key)
        local one = kept[key]
        if one and now < one.expires then
          return one.bytes, one.entered
        end
        return nil
      end,
      set = function(self, place, bytes, entered, ttl)
        self.sets = self.sets + 1
        kept[place.key] = { bytes = bytes, entered = entered, expires = now + ttl * 1000 }
        return true
      end,
    }
  end

  local function new_l2()
    local kept = {}
    return {
      kept = kept,
      gets = 0,
      get = function(self, place)
        self.gets = self.gets + 1
        if self.while_asked then
          self.while_asked()
        end
        if self.down then
          return nil, 'down'
        end
        local one = kept[place.key]
        return one and now < one.expires and one.bytes or nil
      end,
      set = function(self, place, bytes, ttl)
        if self.down then
          return nil, 'down'
        end
        kept[place.key] = { bytes = bytes, expires = now + ttl * 1000 }
        return true
      end,
    }
  end

  local function new(shared, node_tier)
    return cache.new {
      l1 = node_tier or l1, l2 = shared, clock = function() return now end,
      ttl = { proxy_seconds = 60, shared_seconds = 300, outage_seconds = 3600 }, max_item_bytes = 1000,
      epoch = function(consumer) return epochs[consumer] end, confirmed = function() return confirmed end,
    }
  end

  before_each(function()
    now, l1, l2, epochs, confirmed = START, new_l1(), new_l2(), { a = 'e1', b = 'e1' }, true
    tiers = new(l2)
    stored = { key = 'k', consumer = 'a', epoch = 'e1' }
  end)

  local function entry(body, at, consumer)
    return {
      status = 200, headers = {}, body = body or 'one', stored_at = at or now, stream = false,
      consumer = consumer or 'a',
    }
  end

  local function after(seconds)
    now = START + seconds * 1000
  end

  local FRESH = { mode = 'fresh', max_age = 300 }

  local function look(want, of, place)
    local found, tier, age = (of or tiers):lookup(place or stored, want or FRESH)
    return found and { found.body, tier, age }
  end

  it('serves the node\'s copy, then what the shared tier has, then nothing', function()
    assert.is_nil(look())
    tiers:store(stored, entry())
    after(59.9)
    assert.same({ 'one', 'l1', 59.9 }, look())
    assert.equal(1, l2.gets)
    after(60)
    assert.same({ 'one', 'l2', 60 }, look())
    after(119)
    assert.same({ 'one', 'l1', 119 }, look())
    after(299.999)
    assert.same({ 'one', 'l2', 299.999 }, look())
    after(300)
    assert.is_nil(look())
  end)

  it('serves no older than the request allows', function()
    tiers:store(stored, entry())
    after(10)
    assert.is_nil(look { mode = 'fresh', max_age = 10 })
    assert.same({ 'one', 'l1', 10 }, look { mode = 'fresh', max_age = 11 })
    now = START
    assert.is_nil(look { mode = 'fresh', max_age = 0 })
    -- Another node has a newer one by then.
    after(50)
    new(l2, new_l1()):store(stored, entry 'two')
    assert.same({ 'two', 'l2', 0 }, look { mode = 'fresh', max_age = 10 })
    assert.same({ 'two', 'l1', 0 }, look())
  end)

  it('holds on to no copy that another node has replaced for longer than its own tier\'s time', function()
    tiers:store(stored, entry())
    after(5)
    new(l2, new_l1()):store(stored, entry 'two')
    after(59)
    assert.same({ 'one', 'l1', 59 }, look())
    after(60)
    assert.same({ 'two', 'l2', 55 }, look())
  end)

  it('never goes back to an older copy', function()
    after(100)
    tiers:store(stored, entry 'new')
    l2.kept.k = { bytes = cache_entry.encode(entry('old', START), 'k'), expires = math.huge }
    after(161)
    assert.same({ 'new', 'l2', 61 }, look())
    after(170)
    assert.same({ 'new', 'l1', 70 }, look())
  end)

  it('asks for a new answer where the shared tier does not vouch for the old one', function()
    tiers:store(stored, entry())
    for _, fault in ipairs { function() l2.kept.k = nil end, function() l2.down = true end } do
      fault()
      after(59)
      assert.same({ 'one', 'l1', 59 }, look())
      after(61)
      assert.is_nil(look())
    end
    -- In an outage it is better than nothing.
    assert.equal('one', tiers:stale(stored).body)
  end)

  it('does without a shared tier, for the time of its own', function()
    tiers = new(nil)
    tiers:store(stored, entry())
    after(59.9)
    assert.same({ 'one', 'l1', 59.9 }, look())
    after(60)
    assert.is_nil(look())
    assert.same({ 'one', 60 }, { tiers:stale(stored).body, select(2, tiers:stale(stored)) })
  end)

  it('keeps copies for an outage alone', function()
    tiers:store(stored, entry())
    assert.is_nil(look { mode = 'outage', max_age = 300 })
    after(3599)
    assert.same({ 'one', 3599 }, { tiers:stale(stored).body, select(2, tiers:stale(stored)) })
    after(3600)
    assert.is_nil(tiers:stale(stored))
  end)

  it('serves the newer copy in an outage, and asks the shared tier for it once in a while only', function()
    tiers:store(stored, entry())
    after(100)
    new(l2, new_l1()):store(stored, entry 'two')
    assert.equal('two', tiers:stale(stored).body)
    local gets, sets = l2.gets, l1.sets
    for _ = 1, 10 do
      assert.equal('two', tiers:stale(stored).body)
    end
    assert.same({ gets, sets }, { l2.gets, l1.sets })
    after(161)
    assert.equal('two', tiers:stale(stored).body)
    assert.equal(gets + 1, l2.gets)
  end)

  it('serves nobody else\'s copy', function()
    tiers:store(stored, entry())
    for _, of in ipairs { tiers, new(l2, new_l1()) } do
      assert.is_nil(look(FRESH, of, { key = 'k', consumer = 'b', epoch = 'e1' }))
      assert.is_nil(of:stale { key = 'k', consumer = 'b', epoch = 'e1' })
    end
    assert.has_error(function() tiers:store(stored, entry('x', now, 'b')) end)
  end)

  it('serves no answer that a tier gives for another key', function()
    tiers:store(stored, entry())
    local other = { key = 'other', consumer = 'a', epoch = 'e1' }
    l2.kept.other, l1.kept.other = l2.kept.k, l1.kept.k
    assert.is_nil(look(FRESH, tiers, other))
    assert.is_nil(tiers:stale(other))
  end)

  it('serves nothing to a request from before a purge, nor keeps its answer', function()
    tiers:store(stored, entry())
    epochs.a = 'e2'
    assert.is_nil(look())
    assert.is_nil(tiers:stale(stored))
    assert.same({ false, 'purged', 'purged' }, { tiers:store(stored, entry 'two') })
    -- Also where the purge comes while the shared tier is asked.
    epochs.a = 'e1'
    after(61)
    l2.while_asked = function() epochs.a = 'e2' end
    assert.is_nil(look())
    epochs.a = 'e1'
    after(130)
    assert.is_nil(tiers:stale(stored))
  end)

  it('serves nothing while it is not known what was purged', function()
    tiers:store(stored, entry())
    confirmed = false
    assert.is_nil(look())
    assert.is_nil(tiers:stale(stored))
    confirmed = true
    assert.truthy(look())
    after(61)
    l2.while_asked = function() confirmed = false end
    assert.is_nil(look())
  end)

  it('serves nothing for a credential that the upstream has not accepted lately', function()
    local accepted = true
    tiers = cache.new {
      l1 = l1, l2 = l2, clock = function() return now end,
      ttl = { proxy_seconds = 60, shared_seconds = 300, outage_seconds = 3600 }, max_item_bytes = 1000,
      epoch = function(consumer) return epochs[consumer] end, confirmed = function() return true end,
      accepted = function(hash) return hash == 'good' and accepted end,
    }
    stored.credential = 'good'
    tiers:store(stored, entry())
    assert.truthy(look())
    assert.is_nil(look(FRESH, tiers, { key = 'k', consumer = 'a', epoch = 'e1', credential = 'other' }))
    accepted = false
    assert.is_nil(look())
    assert.is_nil(tiers:stale(stored))
  end)

  it('counts the time that the shared tier takes', function()
    tiers:store(stored, entry())
    after(299.98)
    l2.while_asked = function() after(300) end
    assert.is_nil(look())
    after(3599.99)
    l2.while_asked = function() after(3600) end
    assert.is_nil(tiers:stale(stored))
  end)

  it('keeps no answer that is too large or too old', function()
    assert.same({ false, 'too_large', 'too_large' }, { tiers:store(stored, entry(('x'):rep(1000))) })
    assert.same({ false, 'too_old', 'too_old' }, { tiers:store(stored, entry('x', now - 3600000)) })
    assert.is_nil(next(l1.kept))
    l2.down = true
    assert.same({ true, nil, 'down' }, { tiers:store(stored, entry()) })
    l1.set = function() return nil, 'busy' end
    assert.same({ false, 'busy', 'down' }, { tiers:store(stored, entry()) })
    l2.down = false
    assert.same({ true, 'busy' }, { tiers:store(stored, entry()) })
  end)

  it('bears clocks that differ a little, and believes no others', function()
    l2.kept.k = { bytes = cache_entry.encode(entry('ahead', START + 4000), 'k'), expires = math.huge }
    assert.same({ 'ahead', 'l2', 0 }, look())
    l1.kept.k = nil
    l2.kept.k = { bytes = cache_entry.encode(entry('far ahead', START + 6000), 'k'), expires = math.huge }
    assert.is_nil(look())
    assert.is_nil(tiers:stale(stored))
    -- Set back while a copy is here.
    l2.kept.k = nil
    after(1000)
    tiers:store(stored, entry('x', START - 10000))
    l2.kept.k = nil
    now = START
    assert.is_nil(look())
  end)

  it('reads a copy that is asked for again once, and lets go of it when it is told to forget', function()
    local function read()
      return (tiers:lookup(stored, FRESH))
    end
    tiers:store(stored, entry())
    local seen = setmetatable({ read() }, { __mode = 'v' })
    collectgarbage()
    assert.is_true(rawequal(seen[1], read()))
    tiers:forget()
    collectgarbage()
    assert.is_nil(seen[1])
  end)

  it('takes what is no entry for none', function()
    for _, bytes in ipairs { '', 'rubbish', cache_entry.encode(entry(), 'k'):sub(1, -2) } do
      l2.kept.k = { bytes = bytes, expires = math.huge }
      l1.kept.k = { bytes = bytes, entered = START, expires = math.huge }
      assert.is_nil(look())
      assert.is_nil(tiers:stale(stored))
    end
  end)
end)
