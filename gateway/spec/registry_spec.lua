-- Messages are compared whole, so lines are as long as they.
-- luacheck: no max line length

local cjson = require 'cjson.safe'
local registry = require 'causeway.core.registry'
local timestamp = require 'causeway.core.timestamp'

local HASH_A, HASH_B, HASH_C = ('a1'):rep(32), ('b2'):rep(32), ('c3'):rep(32)
local NOW = 1795430000 -- 2026-11-23

local function key(hash, id, not_after)
  return { sha256 = hash, id = id, notAfter = not_after }
end

local function digest(hash)
  return (hash:gsub('..', function(digits) return string.char(tonumber(digits, 16)) end))
end

local function document(...)
  return cjson.encode { version = 1, consumers = { ... } }
end

local function consumer(more)
  local made = { id = 'team-a', keys = { key(HASH_A, 'k1') } }
  for name, value in pairs(more or {}) do
    made[name] = value
  end
  return made
end

describe('registry.parse', function()
  it('reads a whole document', function()
    local parsed = assert(registry.parse(document({
      id = 'team-a',
      keys = { key(HASH_A, 'k1'), key(HASH_B:upper(), 'k2', '2026-12-01T00:00:00Z') },
      rate = 0.5, burst = 0, concurrency = 50, maxStreams = 20, maxBodyBytes = 1048576,
      models = { 'claude-*', 'other' }, routes = { 'generate', 'count' },
      tokenBudget = { inputPerMinute = 1000, outputPerMinute = 100 },
      cache = { mode = 'outage', maxAgeSeconds = 60 }, upstreamCredential = 'second', disabled = false,
    }, consumer { id = 'team-b', keys = { key(HASH_C, 'k1') } })))
    assert.equal(2, parsed:count())
    local found, id = parsed:find(digest(HASH_B), NOW)
    assert.same({ 'team-a', 'k2' }, { found.id, id })
    assert.same({ 0.5, 0, 50, 20, 1048576, 'second', 'outage', 60, 1000, 100 }, {
      found.rate, found.burst, found.concurrency, found.maxStreams, found.maxBodyBytes, found.upstreamCredential,
      found.cache.mode, found.cache.maxAgeSeconds, found.tokenBudget.inputPerMinute, found.tokenBudget.outputPerMinute,
    })
    assert.equal(1796083200, found.keys[2].notAfter)
    assert.equal(found, parsed:get 'team-a')
    assert.equal('team-b', parsed:find(digest(HASH_C), NOW).id)
  end)

  it('fills in defaults, under either spelling', function()
    local defaults = { rate = 5, burst = 10, concurrency = 100, max_streams = 7, maxBodyBytes = 9 }
    local found = assert(registry.parse(document(consumer { burst = 1, cache = { maxAgeSeconds = 5 } }), defaults)):get 'team-a'
    assert.same({ 5, 1, 100, 7, 9, 'off', false },
      { found.rate, found.burst, found.concurrency, found.maxStreams, found.maxBodyBytes, found.cache.mode, found.disabled })
    assert.equal('off', assert(registry.parse(document(consumer()))):get('team-a').cache.mode)
    local _, message = registry.parse(document(), { max_streams = 0 })
    assert.equal('defaults: maxStreams is 0: must be a whole number from 1 to 100000', message)
  end)

  it('takes a registry without consumers', function()
    assert.equal(0, assert(registry.parse '{"version":1,"consumers":[]}'):count())
  end)

  it('names what is wrong and what is allowed', function()
    local cases = {
      ['consumer "team-a": rate is 0: must be a number above 0 and at most 100000'] = { rate = 0 },
      ['consumer "team-a": rate is "5": must be a number above 0 and at most 100000'] = { rate = '5' },
      ['consumer "team-a": burst is 1.5: must be a whole number from 0 to 100000'] = { burst = 1.5 },
      ['consumer "team-a": concurrency is 0: must be a whole number from 1 to 100000'] = { concurrency = 0 },
      ['consumer "team-a": maxStreams is null: must be a whole number from 1 to 100000'] = { maxStreams = cjson.null },
      ['consumer "team-a": maxBodyBytes is -1: must be a whole number from 1 to 1073741824'] = { maxBodyBytes = -1 },
      ['consumer "team-a": models is "claude-*": must be a list of model names, each of which may end with *'] =
        { models = 'claude-*' },
      ['consumer "team-a": models[2] is "*-x": must be a list of model names, each of which may end with *'] =
        { models = { 'a', '*-x' } },
      ['consumer "team-a": routes[1] is "chat": must be a list of generate, count, batches, models, files, other, admin'] =
        { routes = { 'chat' } },
      ['consumer "team-a": tokenBudget is a list or an object: must be an object with inputPerMinute, outputPerMinute'] =
        { tokenBudget = { 5 } },
      ['consumer "team-a": tokenBudget.inputPerMinute is 0: must be a whole number from 1 to 1000000000000'] =
        { tokenBudget = { inputPerMinute = 0 } },
      ['consumer "team-a": cache.mode is "on": must be "off", "fresh" or "outage"'] = { cache = { mode = 'on' } },
      ['consumer "team-a": cache.ttl is 5: no such member; must be an object with mode, maxAgeSeconds'] = { cache = { ttl = 5 } },
      ['consumer "team-a": disabled is "no": must be true or false'] = { disabled = 'no' },
      ['consumer "team-a": "rates" is no member of a consumer'] = { rates = 5 },
      ['consumers[1]: id is "Team A": must be 1 to 63 of a-z, 0-9 and -, not beginning with -'] = { id = 'Team A' },
      ['consumers[1]: id is "-a": must be 1 to 63 of a-z, 0-9 and -, not beginning with -'] = { id = '-a' },
      ['consumer "team-a": keys must be a list of at least one key'] = { keys = {} },
      ['consumer "team-a": keys[1].sha256: must be the key\'s SHA-256 in 64 hexadecimal digits (the value is not shown)'] =
        { keys = { { sha256 = 'cw_plain_secret', id = 'k1' } } },
      ['consumer "team-a": keys[1].id: must be 1 to 63 of a-z, 0-9 and -, not beginning with - (the value is not shown)'] =
        { keys = { { sha256 = HASH_A } } },
      ['consumer "team-a": keys[1].notAfter: must be a time in UTC such as 2026-12-01T00:00:00Z (the value is not shown)'] =
        { keys = { key(HASH_A, 'k1', '2026-12-01') } },
      ['consumer "team-a": keys[2].id: another key of this consumer has the same id'] =
        { keys = { key(HASH_A, 'k1'), key(HASH_B, 'k1') } },
      ['consumer "team-a": keys[2].sha256: the same key is given to consumer "team-a" as "k1"'] =
        { keys = { key(HASH_A, 'k1'), key(HASH_A:upper(), 'k2') } },
    }
    for message, more in pairs(cases) do
      local parsed, problem = registry.parse(document(consumer(more)))
      assert.is_nil(parsed)
      assert.equal(message, problem)
    end
    for problem, text in pairs {
      ['the registry: version is 2: must be 1'] = '{"version":2,"consumers":[]}',
      ['the registry: version is null: must be 1'] = '{"consumers":[]}',
      ['the registry: consumers is null: must be a list'] = '{"version":1}',
      ['the registry: "comment" is no member; there are version, consumers and purges'] = '{"version":1,"consumers":[],"comment":1}',
      ['the registry must be an object with version and consumers'] = '[1]',
      ['consumers[1] must be an object with id and keys'] = '{"version":1,"consumers":[1]}',
      ['consumers[1]: id is null: must be 1 to 63 of a-z, 0-9 and -, not beginning with -'] = '{"version":1,"consumers":[{}]}',
    } do
      assert.equal(problem, (select(2, registry.parse(text))))
    end
    assert.is_truthy(select(2, registry.parse '{"version":1'):find('the registry is not valid JSON', 1, true))
  end)

  it('refuses ids and keys that are there twice', function()
    local _, message = registry.parse(document(consumer(), consumer { keys = { key(HASH_B, 'k1') } }))
    assert.equal('consumer "team-a" is there twice', message)
    _, message = registry.parse(document(consumer(), consumer { id = 'team-b' }))
    assert.equal('consumer "team-b": keys[1].sha256: the same key is given to consumer "team-a" as "k1"', message)
  end)

  it('shows no secret, wherever it was pasted', function()
    local secret = 'SK-ANT-very-secret-0123456789'
    for _, more in ipairs {
      { upstreamCredential = secret }, { keys = { key(secret, 'k1') } }, { keys = { key(HASH_A, secret) } },
      { keys = { key(HASH_A, 'k1', secret) } }, { keys = { secret } }, { keys = secret },
    } do
      local _, message = registry.parse(document(consumer(more)))
      assert.is_string(message)
      assert.is_nil(message:find('secret', 1, true), message)
      assert.is_nil(message:find(HASH_A, 1, true), message)
    end
  end)
end)

describe('registry:find', function()
  it('says why it does not find', function()
    local parsed = assert(registry.parse(document(
      consumer { keys = { key(HASH_A, 'k1', '2026-11-23T00:00:00Z') } },
      consumer { id = 'team-b', disabled = true, keys = { key(HASH_B, 'k1') } })))
    local ends = timestamp.parse '2026-11-23T00:00:00Z'
    assert.equal('team-a', parsed:find(digest(HASH_A), ends).id)
    assert.same({ n = 2, nil, 'expired' }, { n = 2, parsed:find(digest(HASH_A), ends + 1) })
    assert.same({ n = 2, nil, 'disabled' }, { n = 2, parsed:find(digest(HASH_B), NOW) })
    assert.same({ n = 2, nil, 'unknown' }, { n = 2, parsed:find(digest(HASH_C), NOW) })
  end)
end)

describe('registry:epoch', function()
  local WORD, OTHER = '2026-11-23T18:00:00.000Z-1a2b3c4d', '2026-11-24T00:00:00.999Z-00000000'

  local function purged(purges)
    return registry.parse(cjson.encode { version = 1, consumers = { consumer() }, purges = purges })
  end

  it('gives the words of the last purges, of consumers that are registered and of others', function()
    local parsed = assert(purged { all = WORD, consumers = { ['team-a'] = OTHER, ['credential-0123456789abcdef'] = WORD } })
    assert.same({ WORD, OTHER }, { parsed:epoch 'team-a' })
    assert.same({ WORD, WORD }, { parsed:epoch 'credential-0123456789abcdef' })
    assert.same({ WORD, '' }, { parsed:epoch 'team-b' })
    assert.same({ '', '' }, { assert(registry.parse(document(consumer()))):epoch 'team-a' })
    assert.same({ '', WORD }, { assert(purged { consumers = { ['team-a'] = WORD } }):epoch 'team-a' })
  end)

  it('does not take what is no word', function()
    for problem, purges in pairs {
      ['the registry: purges is null: must be an object with all, consumers'] = cjson.null,
      ['the registry: purges.every is "x": no such member; there are all, consumers'] = { every = 'x' },
      ['the registry: purges.all is "now": must be the word of a purge, such as 2026-11-23T18:00:00.000Z-1a2b3c4d'] = { all = 'now' },
      ['the registry: purges.consumers is "all": must be an object of words by consumer'] = { consumers = 'all' },
      ['the registry: purges.consumers.a is true: must be the word of a purge, such as 2026-11-23T18:00:00.000Z-1a2b3c4d'] =
        { consumers = { a = true } },
      ['the registry: purges.consumers.Team is "' .. WORD .. '": must be 1 to 63 of a-z, 0-9 and -, not beginning with -'] =
        { consumers = { Team = WORD } },
    } do
      assert.same({ n = 2, nil, problem }, { n = 2, purged(purges) })
    end
  end)
end)

describe('registry policies', function()
  it('match models by name and by prefix', function()
    local parsed = assert(registry.parse(document(consumer { models = { 'claude-*', 'exact' } })))
    local team = parsed:get 'team-a'
    for model, allowed in pairs { ['claude-x'] = true, ['claude-'] = true, claude = false, exact = true, exactly = false } do
      assert.equal(allowed, registry.allows_model(team, model), model)
    end
    assert.is_false(registry.allows_model(team, nil))
    local all = assert(registry.parse(document(consumer()))):get 'team-a'
    assert.is_true(registry.allows_model(all, nil))
    assert.is_false(registry.allows_model(assert(registry.parse(document(consumer { models = {} }))):get 'team-a', 'x'))
    assert.is_true(registry.allows_model(assert(registry.parse(document(consumer { models = { '*' } }))):get 'team-a', 'x'))
  end)

  it('leave the Admin API out unless it is named', function()
    local team = assert(registry.parse(document(consumer { routes = { 'generate' } }))):get 'team-a'
    assert.is_true(registry.allows_route(team, 'generate'))
    assert.is_false(registry.allows_route(team, 'count'))
    local all = assert(registry.parse(document(consumer()))):get 'team-a'
    assert.is_true(registry.allows_route(all, 'other'))
    assert.is_false(registry.allows_route(all, 'admin'))
  end)
end)

describe('timestamp', function()
  it('reads and writes the same', function()
    for text, seconds in pairs {
      ['1970-01-01T00:00:00Z'] = 0, ['2026-12-01T00:00:00Z'] = 1796083200, ['2000-02-29T23:59:59Z'] = 951868799,
      ['1969-12-31T23:59:59Z'] = -1, ['9999-12-31T23:59:59Z'] = 253402300799, ['2100-03-01T00:00:00Z'] = 4107542400,
    } do
      assert.equal(seconds, timestamp.parse(text), text)
      assert.equal(text, timestamp.format(seconds))
    end
    for day = 0, 40000 do
      local text = timestamp.format(day * 86400 + 3661)
      assert.equal(os.date('!%Y-%m-%dT%H:%M:%SZ', day * 86400 + 3661), text)
      assert.equal(day * 86400 + 3661, timestamp.parse(text))
    end
  end)

  it('refuses every other form and every date that does not exist', function()
    for _, text in ipairs {
      '', '2026-12-01', '2026-12-01T00:00:00', '2026-12-01T00:00:00z', '2026-12-01 00:00:00Z', '2026-12-01T00:00:00+00:00',
      '2026-12-01T00:00:00.000Z', '2026-02-29T00:00:00Z', '2100-02-29T00:00:00Z', '2026-02-30T00:00:00Z',
      '2026-04-31T00:00:00Z', '2026-00-01T00:00:00Z', '2026-13-01T00:00:00Z', '2026-01-00T00:00:00Z',
      '2026-01-32T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z', '2026-12-31T23:59:60Z',
      ' 2026-12-01T00:00:00Z', '2026-12-01T00:00:00Z ', '2026-12-01T00:00:00Z\n', '26-12-01T00:00:00Z',
    } do
      assert.is_nil(timestamp.parse(text), text)
    end
    assert.is_nil(timestamp.parse(5))
    assert.is_nil(timestamp.parse(nil))
  end)
end)
