local cjson = require 'cjson.safe'
local members = require 'causeway.core.members'

local WANTED = { usage = true, model = true }

local function values(text)
  local found = members.find(text, WANTED)
  if not found then
    return nil
  end
  local out = {}
  for name, range in pairs(found) do
    out[name] = cjson.decode('[' .. text:sub(range[1], range[2]) .. ']')[1]
  end
  return out
end

describe('members.find', function()
  it('finds values of every kind, wherever they stand', function()
    assert.same({ usage = { a = 1 }, model = 'm' }, values '{"model":"m","x":[1,{"usage":2}],"usage":{"a":1}}')
    assert.same({ usage = 12, model = 'a"b\\' }, values ' { "usage" : 12 , "model" : "a\\"b\\\\" } ')
    assert.same({ usage = true }, values '{"usage":true}')
    assert.same({ usage = { 1, { 2 } } }, values '{"usage":[1,[2]]}')
    assert.same({}, values '{}')
    assert.same({}, values '{"a":{"usage":1},"b":"\\"usage\\":3"}')
  end)

  it('takes the last of repeated members', function()
    assert.same({ usage = 2 }, values '{"usage":1,"usage":2}')
  end)

  it('is not fooled by a usage inside strings, lists and objects', function()
    local text = cjson.encode { content = { { input = { usage = { x = 9 } }, text = '","usage":{"x":8},"y":"' } } }
    assert.same({}, values(text))
  end)

  it('reports what is no balanced object', function()
    for _, text in ipairs {
      '', ' ', '[]', '1', '"a"', '{', '{"a"', '{"a":', '{"a":1', '{"a":"', '{"a" 1}', '{a:1}', '{"a":1,}',
      '{"usage":{"a":1}', '{"a":"\\"}',
    } do
      assert.is_nil(members.find(text, WANTED), text)
    end
  end)

  it('agrees with a decoder on random documents', function()
    math.randomseed(7)
    local function random_value(depth)
      local kind = math.random(depth > 3 and 4 or 6)
      if kind == 1 then
        return math.random(-1000, 1000)
      elseif kind == 2 then
        return math.random() < 0.5
      elseif kind == 3 then
        return ('\\"{}[],:usage'):sub(1, math.random(0, 13)):rep(math.random(0, 2))
      elseif kind == 4 then
        return cjson.null
      end
      local out = {}
      for index = 1, math.random(0, 4) do
        if kind == 5 then
          out[index] = random_value(depth + 1)
        else
          out[({ 'usage', 'model', 'a', 'b"', 'c\\' })[math.random(5)]] = random_value(depth + 1)
        end
      end
      return out
    end
    for _ = 1, 3000 do
      local document = { usage = random_value(1), model = random_value(1), other = random_value(1) }
      assert.same({ usage = document.usage, model = document.model }, values(cjson.encode(document)))
    end
  end)

  it('ends on any bytes', function()
    math.randomseed(11)
    local alphabet = '{}[]",:\\u0a 1'
    for _ = 1, 20000 do
      local out = {}
      for index = 1, math.random(0, 40) do
        local at = math.random(#alphabet)
        out[index] = alphabet:sub(at, at)
      end
      members.find('{"usage":' .. table.concat(out), WANTED)
    end
  end)
end)
