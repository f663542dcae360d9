local cjson = require 'cjson'
local ends = require 'causeway.core.usage_ends'

local HEAD = '{"model":"claude-x","id":"msg_1","type":"message","role":"assistant",'

local function message(usage, more)
  return HEAD .. '"content":[]' .. (more or '') .. ',"usage":' .. usage .. '}'
end

-- A copy: the next call uses the table again.
local function usage_of(body)
  local found = ends.usage(body)
  if not found then
    return nil
  end
  local copy = {}
  for name, value in pairs(found) do
    local is_split = type(value) == 'table'
    copy[name] = is_split and { value.ephemeral_5m_input_tokens, value.ephemeral_1h_input_tokens } or value
  end
  return copy
end

describe('usage_ends.model', function()
  it('finds the model of a message, in whatever order its first members stand', function()
    assert.equal('claude-x', ends.model(message '{}'))
    assert.equal('m', ends.model '{"id":"\\u0061","type":"message","role":"assistant","model":"m","content":[]}')
    assert.equal('m', ends.model '{"type":"message","model":"m","a":"","b":"","content":[]}')
  end)

  for name, body in pairs {
    ['nothing'] = '', ['no object'] = '[1]', ['an error'] = '{"type":"error","model":"m","a":"b","c":"d","e":1}',
    ['another order'] = '{"content":[],"type":"message","model":"m","id":"i","role":"r"}',
    ['an escaped quote'] = '{"id":"a\\"b","type":"message","role":"r","model":"m","content":[]}',
    ['a model with an escape'] = '{"type":"message","model":"m\\u0061","id":"i","role":"r","content":[]}',
    ['a model that ends in a backslash'] = '{"type":"message","id":"i","role":"r","model":"m\\\\","content":[]}',
    ['a name with an escape'] = '{"typ\\u0065":"x","type":"message","model":"m","id":"i","content":[]}',
    ['spaces'] = '{"type": "message","model":"m","id":"i","role":"r","content":[]}',
    ['a number'] = '{"type":"message","model":"m","id":1,"role":"r","content":[]}',
    ['no model'] = '{"type":"message","a":"m","id":"i","role":"r","content":[]}',
    ['only what was begun'] = '{"type":"message","model":"m","id":"i","rol',
  } do
    it('leaves to others: ' .. name, function()
      assert.is_nil(ends.model(body))
    end)
  end
end)

describe('usage_ends.usage', function()
  it('reads whole numbers, and what was written to the cache by how long it is kept', function()
    assert.same({ input_tokens = 321, output_tokens = 0, cache_read_input_tokens = 7, cache_creation_input_tokens = 5,
      cache_creation = { 3, 2 } }, usage_of(message([[{"input_tokens":321,"cache_creation_input_tokens":5,]]
      .. [["cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":2},]]
      .. [["output_tokens":0,"service_tier":"standard","inference_geo":null,"fast":true,"slow":false}]])))
    assert.same({}, usage_of(message '{}'))
    assert.same({ output_tokens = 2 }, usage_of(message '{"input_tokens":null,"output_tokens":1,"output_tokens":2}'))
    assert.same({ output_tokens = 2 }, usage_of(message '{"output_tokens":2}' .. ' \n'))
  end)

  it('remembers nothing of the answer before', function()
    usage_of(message '{"input_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":3}}')
    assert.same({ output_tokens = 2, cache_creation = {} }, usage_of(message '{"output_tokens":2,"cache_creation":{}}'))
    assert.same({}, usage_of(message '{}'))
  end)

  it('takes numbers of the object itself only', function()
    local nested = '{"iterations":[{"input_tokens":9,"a":"]}"}],"server":{"output_tokens":8},"output_tokens":2}'
    assert.same({ output_tokens = 2 }, usage_of(message(nested)))
  end)

  it('takes nothing that a tool was given for it', function()
    local tool = ',"more":[{"type":"tool_use","input":{"a":1,"usage":{"input_tokens":9}}}]'
    assert.same({ input_tokens = 1 }, usage_of(message('{"input_tokens":1}', tool)))
    assert.is_nil(usage_of(HEAD .. '"content":[{"a":1,"usage":{"input_tokens":9}}]}'))
    assert.is_nil(usage_of(HEAD .. '"x":{"a":1,"usage":{"input_tokens":9}}}'))
    assert.same({ input_tokens = 1 },
      usage_of(message('{"input_tokens":1}', ',"text":"\\",\\"usage\\":{\\"input_tokens\\":9}}"')))
  end)

  it('knows usage again only where it is written alike to the end', function()
    local known = '{"input_tokens":1,"output_tokens":2}'
    for text, expected in pairs {
      ['{"input_tokens":10,"output_tokens":20}'] = { input_tokens = 10, output_tokens = 20 },
      ['{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":3}'] =
        { input_tokens = 10, output_tokens = 20, cache_read_input_tokens = 3 },
      ['{"input_tokens":10}'] = { input_tokens = 10 },
      ['{"input_tokens":10,"output_tokens":null}'] = { input_tokens = 10 },
    } do
      usage_of(message(known))
      assert.same(expected, usage_of(message(text)))
    end
    for _, text in ipairs {
      '{"input_tokens":10,"output_tokens":}', '{"input_tokens":10,"output_tokens":-2}',
      '{"input_tokens":10,"output_tokens":2.5}', '{"input_tokens":1234567890123456,"output_tokens":2}',
      '{"input_tokens":10,"output_tokens":20', '{"input_tokens":10,"output_tokens":20}}',
    } do
      usage_of(message(known))
      assert.is_nil(usage_of(message(text)), text)
    end
    -- Where a later member takes a number back, numbers alone do not say what it comes to.
    for number = 1, 2 do
      assert.same({}, usage_of(message(('{"input_tokens":%d,"input_tokens":null}'):format(number))))
    end
  end)

  for name, usage in pairs {
    ['a fraction'] = '{"input_tokens":1.5}', ['an exponent'] = '{"input_tokens":1e3}',
    ['a negative number'] = '{"input_tokens":-1}', ['an object'] = '{"input_tokens":{}}',
    ['more digits than a number holds'] = '{"input_tokens":1234567890123456}',
    ['a member twice'] = '{"cache_creation":{"ephemeral_1h_input_tokens":1},"cache_creation":887}',
    ['a text'] = '{"input_tokens":"1"}', ['an escape'] = '{"input\\u005ftokens":1}',
    ['spaces'] = '{"input_tokens": 1}', ['no end'] = '{"input_tokens":1',
    ['a text that ends in a backslash'] = '{"a":"\\\\"}', ['a list that does not end'] = '{"a":[1', ['null'] = 'null',
  } do
    it('leaves to others: ' .. name, function()
      assert.is_nil(usage_of(message(usage)))
    end)
  end

  it('agrees with a decoder on whatever it reads', function()
    local random = math.random
    math.randomseed(20261128)
    local names = { 'input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens', 'other' }
    local others = {
      'null', 'true', 'false', '"a,}"', '"\\\\"', '[1,{"a":"]"}]', '{"input_tokens":7}', '-3', '1.5', '[]',
    }
    local split = '"cache_creation":{"ephemeral_1h_input_tokens":#,"ephemeral_5m_input_tokens":#}'
    local read = 0
    for _ = 1, 10000 do
      local members = {}
      for index = 1, random(0, 6) do
        local value = random(4) == 1 and others[random(#others)] or '#'
        members[index] = cjson.encode(names[random(#names)]) .. ':' .. value
      end
      if random(3) == 1 then
        table.insert(members, random(#members + 1), split)
      end
      -- Written alike, the second is read by what is known of the first.
      local shape = '{' .. table.concat(members, ',') .. '}'
      for _ = 1, 3 do
        local text = shape:gsub('#', function()
          return tostring(random(0, 10 ^ random(0, 9)))
        end)
        local found = usage_of(message(text, random(5) == 1 and ',"x":{"a":1,"usage":{"input_tokens":9}}' or nil))
        if found then
          read = read + 1
          local decoded = cjson.decode(text)
          for _, name in ipairs(names) do
            local expected = decoded[name]
            if name ~= 'other' then
              assert.equal(type(expected) == 'number' and expected or nil, found[name], text)
            end
          end
          local kept = decoded.cache_creation
          assert.same(kept and { kept.ephemeral_5m_input_tokens, kept.ephemeral_1h_input_tokens }, found.cache_creation)
        end
      end
    end
    assert.is_true(read > 12000, read)
  end)
end)
