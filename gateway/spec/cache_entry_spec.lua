local cache_entry = require 'causeway.core.cache_entry'

local function entry(changes)
  local one = {
    status = 200, headers = { { 'content-type', 'application/json' }, { 'x', '' }, { 'x', 'two' } },
    body = '{"a":\0"\255"}', stored_at = 1795430000123, etag = '"abc"', stream = false, consumer = 'team-a',
  }
  for name, value in pairs(changes or {}) do
    one[name] = value
  end
  return one
end

describe('cache_entry', function()
  it('comes back as it was', function()
    for _, one in ipairs {
      entry(), entry { headers = {} }, entry { body = '' }, entry { stream = true }, entry { stored_at = 0 },
      entry { body = ('x'):rep(3000000) }, entry { consumer = 'credential-0123456789abcdef' },
    } do
      assert.same(one, cache_entry.decode(cache_entry.encode(one, 'k'), 'k'))
    end
    local without = entry()
    without.etag = nil
    assert.same(without, cache_entry.decode(cache_entry.encode(without, 'k'), 'k'))
  end)

  it('is nothing where a byte is missing, too many, or another', function()
    local bytes = cache_entry.encode(entry(), 'k')
    for length = 0, #bytes - 1 do
      assert.is_nil(cache_entry.decode(bytes:sub(1, length), 'k'))
      assert.is_nil(cache_entry.decode(bytes:sub(1, length + 1) .. bytes, 'k'))
    end
    assert.is_nil(cache_entry.decode(bytes .. '\0', 'k'))
    assert.is_nil(cache_entry.decode(bytes .. bytes, 'k'))
    assert.is_nil(cache_entry.decode('CWA1' .. bytes:sub(5), 'k'))
  end)

  it('is nothing under another key', function()
    local bytes = cache_entry.encode(entry(), 'k')
    assert.is_nil(cache_entry.decode(bytes, 'l'))
    assert.is_nil(cache_entry.decode(bytes, 'kk'))
    assert.is_nil(cache_entry.decode(bytes, nil))
  end)

  it('raises on nothing', function()
    math.randomseed(7)
    local bytes = cache_entry.encode(entry(), 'k')
    for _ = 1, 20000 do
      local at = math.random(#bytes)
      local noise = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
      cache_entry.decode(noise, 'k')
      cache_entry.decode(bytes:sub(1, 8) .. noise:sub(math.random(#noise)), 'k')
    end
  end)
end)
