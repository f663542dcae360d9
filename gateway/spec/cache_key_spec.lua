local cache_key = require 'causeway.core.cache_key'

local function identity(changes)
  local one = {
    environment = 'default', consumer = 'team-a', method = 'POST', target = '/v1/messages?beta=true',
    headers = { ['anthropic-version'] = '2023-06-01', ['content-type'] = 'application/json', host = 'x' },
    body_sha256 = ('0'):rep(64), epoch = cache_key.epoch('w1', ''),
  }
  for name, value in pairs(changes or {}) do
    one[name] = value
  end
  return one
end

local function headers(changes)
  local all = identity().headers
  for name, value in pairs(changes) do
    all[name] = value
  end
  return identity { headers = all }
end

describe('cache_key', function()
  local base = cache_key.canonical(identity())

  it('tells every field from every other', function()
    local seen = { [base] = 'base' }
    for name, value in pairs {
      environment = 'other', consumer = 'team-b', credential_hash = 'f0', upstream_credential = 'team-a',
      method = 'GET', target = '/v1/messages', body_sha256 = ('1'):rep(64), epoch = cache_key.epoch('', 'w1'),
    } do
      local written = cache_key.canonical(identity { [name] = value })
      assert.is_nil(seen[written], name)
      seen[written] = name
    end
    for name, changes in pairs {
      beta = { ['anthropic-beta'] = 'a' }, both = { ['anthropic-beta'] = 'a,b' },
      lines = { ['anthropic-beta'] = { 'a', 'b' } }, turned = { ['anthropic-beta'] = { 'b', 'a' } },
      new = { ['anthropic-what-comes-next'] = 'a' }, empty = { ['anthropic-beta'] = '' },
      version = { ['anthropic-version'] = '2026-10-21' }, accept = { accept = 'text/event-stream' },
      encoding = { ['content-encoding'] = 'gzip' }, content = { ['content-type'] = 'text/plain' },
      -- A value that looks like what follows it.
      sly = { ['anthropic-beta'] = 'a17:anthropic-version1:1' },
    } do
      local written = cache_key.canonical(headers(changes))
      assert.is_nil(seen[written], name)
      seen[written] = name
    end
  end)

  it('takes what only says where a call comes from for nothing', function()
    for _, changes in ipairs {
      { ['x-claude-code-session-id'] = 's' }, { ['user-agent'] = 'u' }, { ['x-stainless-os'] = 'Linux' },
      { ['x-causeway-cache'] = 'max-age=5' }, { authorization = 'Bearer x' }, { host = 'y' }, { ['x-anthropic'] = 'a' },
    } do
      assert.equal(base, cache_key.canonical(headers(changes)))
    end
  end)

  it('takes no notice of the case of names', function()
    local odd = { ['Anthropic-Version'] = '2023-06-01', ['CONTENT-TYPE'] = { 'application/json' } }
    assert.equal(base, cache_key.canonical(identity { headers = odd }))
    local two = { ['Anthropic-Beta'] = 'a', ['anthropic-beta'] = { 'b' } }
    assert.equal(cache_key.canonical(headers { ['anthropic-beta'] = { 'a', 'b' } }), cache_key.canonical(headers(two)))
  end)

  it('writes many headers as it writes few', function()
    for _, count in ipairs { 30, 31, 32, 33, 34, 300 } do
      local plain, lists = {}, {}
      for index = 1, count do
        local name = 'anthropic-' .. index * 7919 % 1000
        plain[name], lists[name] = 'v', { 'v' }
      end
      assert.equal(cache_key.canonical(identity { headers = lists }), cache_key.canonical(identity { headers = plain }))
    end
  end)

  it('writes headers of one line each as it writes lists of lines', function()
    math.randomseed(20261123)
    local names = { 'accept', 'content-type', 'anthropic-a', 'anthropic-beta', 'anthropic-version', 'via' }
    for _ = 1, 2000 do
      local plain, lists = {}, {}
      for _ = 1, math.random(0, 9) do
        local name, value = names[math.random(#names)], tostring(math.random(99))
        plain[name], lists[name] = value, { value }
      end
      assert.equal(cache_key.canonical(identity { headers = lists }), cache_key.canonical(identity { headers = plain }))
    end
  end)

  it('writes an epoch of two words as no other', function()
    local seen = {}
    for _, words in ipairs { { '', '' }, { 'a', '' }, { '', 'a' }, { 'a', 'a' }, { 'aa', '' }, { '1:a', '' } } do
      local epoch = cache_key.epoch(words[1], words[2])
      assert.is_nil(seen[epoch])
      seen[epoch] = true
    end
    assert.equal(cache_key.epoch('', ''), cache_key.epoch(nil, nil))
  end)
end)
