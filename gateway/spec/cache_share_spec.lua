local cache_pieces = require 'causeway.core.cache_pieces'
local cache_share = require 'causeway.core.cache_share'
local cache_sweep = require 'causeway.core.cache_sweep'
local shared_dict = require 'tools.shared_dict'

local MIB = 1048576
local OUTAGE_SECONDS = 86400

describe('cache_share', function()
  local clock, dicts, share

  -- What nginx's slab gives for a node: a power of two below half a page, else whole pages.
  local function slab(key, value)
    local bytes = 68 + (key and #key or 0) + (type(value) == 'string' and #value or 8)
    if bytes > 2048 then
      return math.ceil(bytes / 4096) * 4096
    end
    local given = 8
    while given < bytes do
      given = given * 2
    end
    return given
  end

  local function new_dicts(before)
    local function now() return clock.ms end
    return {
      values = shared_dict.new { clock = now, before = before, capacity = MIB, charge = slab },
      index = shared_dict.new { clock = now, before = before, capacity = MIB / 8 + MIB, charge = slab },
      shares = shared_dict.new { clock = now, before = before },
    }
  end

  local function new_share(on)
    return cache_share.new {
      values = on.values, index = on.index, shares = on.shares,
      node_bytes = MIB, max_consumer_share = 0.25, clock = function() return clock.ms end,
    }
  end

  before_each(function()
    clock = { ms = 1795430000000 }
    dicts = new_dicts()
    share = new_share(dicts)
  end)

  local function key_of(name)
    return ('%s-%064d'):format(name, 0):sub(1, 64)
  end

  local function put(consumer, name, size, ttl, epoch, through)
    local place = { key = key_of(consumer .. '.' .. name), consumer = consumer, epoch = epoch or 'e' }
    return (through or share):set(place, ('x'):rep(size), clock.ms, ttl or OUTAGE_SECONDS)
  end

  local function has(consumer, name)
    return (share:get(key_of(consumer .. '.' .. name))) ~= nil
  end

  -- What consumers are charged with is what their copies take; each stands in line once; nothing else is there.
  local function check_accounts()
    local held, total, nodes = {}, 0, 0
    for key, entry in pairs(dicts.values.entries) do
      nodes = nodes + 1
      if #key == 64 then
        local consumer, bytes = key:match '^(.-)%.', cache_pieces.read(dicts.values, key)
        local charge, _, count = share.ledger:charge_of(key)
        if clock.ms < entry.expires then
          assert.equal(cache_pieces.charge(#bytes), charge)
        end
        held[consumer] = (held[consumer] or 0) + charge
        nodes = nodes - 1 - count
      end
    end
    assert.equal(0, nodes)
    for name, entry in pairs(dicts.shares.entries) do
      if name ~= '#total' then
        assert.equal(held[name] or 0, entry.value, name)
        total = total + entry.value
      end
    end
    for consumer in pairs(held) do
      assert.truthy(dicts.shares.entries[consumer], consumer)
    end
    assert.equal(total, share:held())
    local stands = {}
    for name, entry in pairs(dicts.index.entries) do
      assert.is_nil(name:match '^l', 'a lock is left behind')
      if name:sub(1, 1) == 'q' then
        for _, record in ipairs(entry.value) do
          local key = record:match '^%S+'
          stands[key] = (stands[key] or 0) + 1
        end
      end
    end
    for key in pairs(dicts.values.entries) do
      assert.equal(#key == 64 and 1 or nil, stands[key], key)
    end
    assert.equal(0, dicts.values.evicted)
    assert.equal(0, dicts.index.evicted)
  end

  it('keeps a copy and says when it came in', function()
    clock.ms = clock.ms + 999
    assert.is_true(put('a', '1', 100))
    assert.same({ ('x'):rep(100), 1795430000000 }, { share:get(key_of 'a.1') })
    assert.is_nil(share:get(key_of 'a.2'))
    assert.equal(2048, share:held 'a')
    assert.equal(2048, share:held())
    assert.equal(0, share:held 'b')
    clock.ms = clock.ms + OUTAGE_SECONDS * 1000
    assert.is_nil(share:get(key_of 'a.1'))
  end)

  it('charges at least what the slab gives away', function()
    for _, size in ipairs { 0, 1, 1916, 1917, 3963, 3964, 3965, 3999, 4000, 7944, 7945, 100000, 200000 } do
      dicts = new_dicts()
      share = new_share(dicts)
      assert.is_true(put('a', 'x', size))
      assert.is_true(dicts.values.used <= share:held 'a', size)
      assert.is_true(dicts.values.used > share:held 'a' - 4096, size)
      assert.equal(size, #share:get(key_of 'a.x'))
      check_accounts()
    end
  end)

  it('gives back what it was given, in pieces too, and never two copies mixed', function()
    local random = {}
    for index = 1, 150000 do
      random[index] = string.char(index * 7919 % 251)
    end
    local text = table.concat(random)
    for _, size in ipairs { 3964, 3965, 3940, 3941, 7944, 7945, 150000 } do
      local place = { key = key_of 'a.x', consumer = 'a', epoch = 'e' }
      assert.is_true(share:set(place, text:sub(-size), clock.ms, 60))
      assert.equal(text:sub(-size), (share:get(place.key)))
    end
    -- One that reads while it is replaced.
    local place = { key = key_of 'a.x', consumer = 'a', epoch = 'e' }
    local reader = coroutine.create(function()
      return share:get(place.key)
    end)
    dicts.values.before = function()
      if coroutine.running() == reader then
        coroutine.yield()
      end
    end
    for _ = 1, 20 do
      assert(coroutine.resume(reader))
    end
    assert.is_true(share:set(place, ('y'):rep(150000), clock.ms, 60))
    local _, found
    while coroutine.status(reader) ~= 'dead' do
      _, found = assert(coroutine.resume(reader))
    end
    assert.is_nil(found)
    dicts.values.before = function() end
    assert.equal(('y'):rep(150000), (share:get(place.key)))
    check_accounts()
  end)

  it('lets a consumer that writes without end evict its own oldest only', function()
    for index = 1, 10 do
      assert.is_true(put('quiet', tostring(index), 3000))
    end
    for index = 1, 2000 do
      assert.is_true(put('greedy', tostring(index), 3000))
      assert.is_true(share:held 'greedy' <= 0.95 * MIB * 0.25)
    end
    for index = 1, 10 do
      assert.is_true(has('quiet', tostring(index)))
    end
    assert.is_true(has('greedy', '2000'))
    assert.is_false(has('greedy', '1900'))
    check_accounts()
  end)

  it('has the one that holds most give way where all together are too many', function()
    for index = 1, 55 do
      for _, consumer in ipairs { 'a', 'b', 'c' } do
        assert.is_true(put(consumer, tostring(index), 3000))
      end
    end
    for index = 1, 20 do
      assert.is_true(put('small', tostring(index), 3000))
    end
    -- 0.9 MiB is 230 copies: 55 of each of three and 20 leave 45 for one who comes late and takes more and more.
    for index = 1, 500 do
      assert.is_true(put('late', tostring(index), 3000))
      assert.is_true(share:held() <= 0.95 * MIB)
    end
    for index = 1, 20 do
      assert.is_true(has('small', tostring(index)))
    end
    -- An equal part each of what the small one leaves: nobody who has less loses any.
    for _, consumer in ipairs { 'a', 'b', 'c', 'late' } do
      assert.is_true(share:held(consumer) >= (0.95 * MIB - 20 * 4096) / 4 - 8192, consumer)
    end
    check_accounts()
  end)

  it('takes nothing from anybody who holds less than an equal part, whatever the others write', function()
    for seed = 1, 30 do
      math.randomseed(seed)
      dicts = new_dicts()
      share = new_share(dicts)
      local consumers = {}
      for index = 1, math.random(2, 12) do
        consumers[index] = { id = 'c' .. index, weight = math.random() ^ 3, largest = math.random(300, 60000) }
      end
      local function copies_of_others(writer)
        local found = {}
        for key in pairs(dicts.values.entries) do
          local owner = #key == 64 and key:match '^(.-)%.'
          if owner and owner ~= writer then
            found[key] = owner
          end
        end
        return found
      end
      for step = 1, 300 do
        local writer
        repeat
          writer = consumers[math.random(#consumers)]
        until math.random() < writer.weight
        local before, held, holding = copies_of_others(writer.id), {}, 1
        for _, each in ipairs(consumers) do
          held[each.id] = share:held(each.id)
          holding = holding + (each ~= writer and held[each.id] > 0 and 1 or 0)
        end
        put(writer.id, tostring(step), math.random(writer.largest))
        for key, owner in pairs(before) do
          if not dicts.values.entries[key] then
            assert.is_true(held[owner] >= 0.95 * MIB / holding, seed)
          end
        end
        clock.ms = clock.ms + math.random(2000)
      end
      check_accounts()
    end
  end)

  it('refuses what is larger than a share, and takes what is as large', function()
    assert.same({ nil, 'too_large' }, { put('a', 'big', 250000) })
    for index = 1, 50 do
      put('a', tostring(index), 3000)
    end
    assert.is_true(put('a', 'fits', 240000))
    assert.is_true(has('a', 'fits'))
    assert.is_false(has('a', '50'))
    check_accounts()
  end)

  it('accounts a copy that is replaced once, whatever its sizes', function()
    for _, size in ipairs { 100, 3000, 20000, 100, 9000, 9000 } do
      assert.is_true(put('a', 'same', size))
      assert.equal(cache_pieces.charge(size), share:held 'a')
      check_accounts()
    end
  end)

  it('passes over a copy that was replaced since, once', function()
    for index = 1, 60 do
      put('a', tostring(index), 3000)
      clock.ms = clock.ms + 1000
    end
    clock.ms = clock.ms + 5000
    put('a', '1', 3000)
    put('a', '61', 3000)
    assert.is_true(has('a', '1'))
    assert.is_false(has('a', '2'))
    for index = 62, 121 do
      put('a', tostring(index), 3000)
    end
    assert.is_false(has('a', '1'))
    check_accounts()
  end)

  it('evicts the writer\'s own where the dictionary has no piece that is large enough', function()
    for index = 1, 10 do
      put('a', tostring(index), 3000)
      put('b', tostring(index), 3000)
    end
    -- As if the rest were scattered.
    dicts.values.capacity = dicts.values.used
    assert.is_true(put('a', 'new', 3000))
    assert.is_false(has('a', '1'))
    assert.same({ nil, 'no memory' }, { put('c', 'new', 3000) })
    assert.same({ nil, 'no memory' }, { put('b', 'large', 100000) })
    for index = 2, 10 do
      assert.is_true(has('a', tostring(index)))
    end
    assert.equal(0, share:held 'c')
    check_accounts()
  end)

  it('has a key stand in line once, also when a newer copy of it found no room', function()
    put('a', '1', 3000)
    dicts.values.capacity = dicts.values.used
    for _ = 1, 3 do
      assert.same({ nil, 'no memory' }, { put('a', '1', 6000) })
      assert.is_false(has('a', '1'))
      assert.equal(0, share:held 'a')
      assert.equal(1, share.ledger:copies 'a')
      assert.is_true(put('a', '1', 3000))
      check_accounts()
    end
    assert.same({ nil, 'no memory' }, { put('a', '1', 6000) })
    -- Its turn has come: nothing is there, and it is forgotten.
    assert.is_true(put('a', '2', 3000))
    assert.is_true(put('a', '3', 3000))
    assert.same({ false, false, true }, { has('a', '1'), has('a', '2'), has('a', '3') })
    assert.equal(1, share.ledger:copies 'a')
    check_accounts()
  end)

  it('keeps nothing where the accounts have no room', function()
    for _, name in ipairs { 'index', 'shares' } do
      dicts[name].capacity, dicts[name].charge = 0, function() return 1 end
      assert.same({ nil, 'no memory' }, { put('a', '1', 100) })
      dicts[name].capacity = math.huge
      assert.equal(0, share:held())
      check_accounts()
    end
    -- Room for the lock and the charge, but not for the place in line.
    dicts.index.charge = function() return 1 end
    dicts.index.used, dicts.index.capacity = 0, 2
    dicts.index.rpush = function() return nil, 'no memory' end
    assert.same({ nil, 'no memory' }, { put('a', '1', 100) })
    assert.is_false(has('a', '1'))
    check_accounts()
  end)

  it('leaves a copy alone that another worker is just keeping', function()
    dicts.index:safe_add('l' .. key_of('a.1'):sub(1, 32), true, 10)
    assert.same({ nil, 'busy' }, { put('a', '1', 100) })
    -- One that died is not waited for longer than this.
    clock.ms = clock.ms + 10000
    assert.is_true(put('a', '1', 100))
  end)

  describe('swept', function()
    local epochs, sweep

    before_each(function()
      epochs = {}
      sweep = cache_sweep.new(share.ledger, function(consumer) return epochs[consumer] or 'e' end)
    end)

    it('gives back what has expired', function()
      put('a', '1', 3000, 10)
      put('a', '2', 3000, 20)
      put('b', '1', 3000, 20)
      clock.ms = clock.ms + 10000
      sweep:run()
      assert.equal(4096, share:held 'a')
      clock.ms = clock.ms + 10000
      sweep:run()
      assert.equal(0, share:held())
      assert.same({}, dicts.values.entries)
      check_accounts()
      -- Nor do empty accounts stay.
      sweep:run()
      clock.ms = clock.ms + 60000
      assert.same({}, share.ledger:consumers())
    end)

    it('gives back what was purged, of that consumer', function()
      for index = 1, 40 do
        put('a', tostring(index), 3000)
        put('b', tostring(index), 3000)
      end
      epochs.a = 'later'
      sweep:run()
      assert.equal(0, share:held 'a')
      assert.equal(40 * 4096, share:held 'b')
      put('a', 'new', 3000, nil, 'later')
      sweep:run()
      assert.is_true(has('a', 'new'))
      check_accounts()
    end)

    it('drops what stands behind a copy that is kept alive', function()
      for index = 1, 20 do
        put('a', tostring(index), 3000, 100)
      end
      for _ = 1, 3 do
        clock.ms = clock.ms + 60000
        put('a', '1', 3000, 100)
        sweep:run()
      end
      assert.equal(1, share.ledger:copies 'a')
      assert.is_true(has('a', '1'))
      assert.equal(4096, share:held 'a')
      check_accounts()
    end)

    it('takes nothing for a leftover while nobody knows what was purged', function()
      put('a', '1', 3000)
      cache_sweep.new(share.ledger, function() return nil end):run()
      assert.is_true(has('a', '1'))
    end)

    it('settles the account that a dead worker left behind', function()
      dicts.shares:safe_add('a', 5000)
      dicts.shares:safe_add('#total', 5000)
      sweep:run()
      assert.equal(5000, share:held 'a')
      sweep:run()
      assert.equal(0, share:held 'a')
      assert.equal(0, share:held())
    end)

    it('does a piece at a time', function()
      for index = 1, 100 do
        put('a', tostring(index), 100)
      end
      epochs.a = 'later'
      sweep:run()
      assert.equal(36 * 2048, share:held 'a')
      sweep:run()
      assert.equal(0, share:held 'a')
    end)
  end)

  describe('between workers', function()
    -- Every operation of the dictionary is a point at which another worker may run.
    local function run(seed, workers, steps, consumers)
      math.randomseed(seed)
      dicts = new_dicts(function()
        if coroutine.running() then
          coroutine.yield()
        end
      end)
      share = new_share(dicts)
      local threads, stored, busy = {}, 0, 0
      for index = 1, workers do
        local own = new_share(dicts)
        local sweep = cache_sweep.new(own.ledger, function() return 'e' end)
        threads[index] = coroutine.create(function()
          while true do
            if index == 1 and math.random() < 0.02 then
              sweep:run()
            end
            local consumer = consumers[math.random(#consumers)]
            local size = math.random() < 0.1 and math.random(50000) or math.random(4000)
            local ttl = math.random() < 0.2 and 5 or 600
            local ok, problem = put(consumer, tostring(math.random(40)), size, ttl, nil, own)
            stored = stored + (ok and 1 or 0)
            busy = busy + (problem == 'busy' and 1 or 0)
            assert(ok or problem == 'busy' or problem == 'share_full', problem)
            coroutine.yield 'done'
          end
        end)
      end
      for _ = 1, steps do
        local _, err = assert(coroutine.resume(threads[math.random(workers)]))
        assert(err == nil or err == 'done', err)
        if math.random() < 0.01 then
          clock.ms = clock.ms + math.random(200)
        end
      end
      -- Each finishes what it is at.
      for _, thread in ipairs(threads) do
        local _, state
        repeat
          _, state = assert(coroutine.resume(thread))
        until state == 'done'
      end
      return stored, busy
    end

    it('keeps its books', function()
      for seed = 1, 20 do
        local stored, busy = run(seed, 4, 20000, { 'a', 'b', 'c', 'd', 'e', 'f', 'g' })
        assert.is_true(stored > 300, stored)
        assert.is_true(busy < stored / 2, busy)
        dicts.values.before, dicts.index.before, dicts.shares.before = nil, nil, nil
        for _, dict in pairs(dicts) do
          dict.before = function() end
        end
        -- What has expired is on the books until it is swept; then all is as if one worker had done it.
        check_accounts()
        assert.is_true(share:held() <= 0.95 * MIB)
        for _, consumer in ipairs(share.ledger:consumers()) do
          assert.is_true(share:held(consumer) <= 0.95 * MIB * 0.25)
        end
      end
    end)
  end)
end)
