local cjson = require('cjson.safe').new()
local scan = require 'causeway.core.scan'
local walk = require 'causeway.core.json_walk'

-- By default cjson reads NaN, Infinity and hexadecimal numbers.
cjson.decode_invalid_numbers(false)

local WANTED = { model = true, stream = true }

local function top(body)
  return scan.top_level(body, WANTED)
end

local function value_of(body, name)
  local range = assert(top(body))[name]
  return range and body:sub(range.from, range.to)
end

describe('scan.top_level', function()
  it('gives the ranges of wanted members', function()
    local body = ' {"a" : [1, {"model":"inner"}] , "model" : "m" ,"stream":true } \n'
    local result = assert(top(body))
    assert.equal('"m"', body:sub(result.model.from, result.model.to))
    assert.equal('string', result.model.type)
    assert.equal('true', body:sub(result.stream.from, result.stream.to))
    assert.equal('boolean', result.stream.type)
    assert.same({}, result.duplicate)
  end)

  it('names every type', function()
    for text, kind in pairs {
      ['"x"'] = 'string', ['-1.5e+3'] = 'number', ['0'] = 'number', ['true'] = 'boolean', ['false'] = 'boolean',
      ['null'] = 'null', ['{"a":{}}'] = 'object', ['[[],{}]'] = 'array', ['{}'] = 'object', ['[]'] = 'array',
    } do
      local body = '{"model":' .. text .. ',"z":1}'
      assert.equal(text, value_of(body, 'model'))
      assert.equal(kind, top(body).model.type)
    end
  end)

  it('finds nothing where there is nothing', function()
    assert.same({ duplicate = {} }, top '{}')
    assert.same({ duplicate = {} }, top '{"messages":[{"model":"x","stream":true}],"Model":"y","mode":1,"models":2}')
  end)

  it('compares keys after undoing their escapes', function()
    assert.equal('1', value_of('{"\\u006d\\u006F\\u0064\\u0065\\u006c":1}', 'model'))
    assert.equal('1', value_of('{"mo\\u0064el":1}', 'model'))
    assert.is_nil(value_of('{"\\\\u006dodel":1}', 'model'))
    local emoji = { ['😀'] = true, ['a/b'] = true, ['é€'] = true }
    assert.is_table(assert(scan.top_level('{"\\ud83d\\ude00":1}', emoji))['😀'])
    assert.is_table(assert(scan.top_level('{"a\\/b":1}', emoji))['a/b'])
    assert.is_table(assert(scan.top_level('{"\\u00e9\\u20AC":1}', emoji))['é€'])
  end)

  it('reports members given twice, escaped or not, and gives the last', function()
    local body = '{"model":"a","x":1,"mod\\u0065l":"b"}'
    local result = assert(top(body))
    assert.same({ model = true }, result.duplicate)
    assert.equal('"b"', body:sub(result.model.from, result.model.to))
  end)

  it('refuses what a strict parser refuses', function()
    local bad = {
      '', ' ',
      '{', '}', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{,}', '{a:1}', "{'a':1}", '{"a" 1}', '{1:1}',
      '{"a":1}x', '{"a":1}{}', '{"a":1},', '{}\0', '\0{}',
      '{"a":1]', '{"a":[1}', '[1,]', '[,1]', '[1 2]', '[', ']',
      '\239\187\191{}', '\255\254{\0}\0', '{"a":NaN}', '{"a":Infinity}',
      '{"a":-Infinity}', '{"a":nan}', '{"a":undefined}',
      '{"a":True}', '{"a":tru}', '{"a":nul', '{"a":truex}', '{"a":01}', '{"a":+1}', '{"a":-}', '{"a":.5}', '{"a":1.}',
      '{"a":1e}', '{"a":1e+}', '{"a":0x10}', '{"a":1_000}', '{"a":--1}', '{"a":"\1"}', '{"a":"\n"}', '{"a":"\t"}',
      '{"a":"\0"}', '{"a\n":1}', '{"a":"\\x41"}', '{"a":"\\"}', '{"a":"\\u12"}', '{"a":"\\u12G4"}', '{"a":"\\U0041"}',
      '{"a":"\\', '{"a":"\\u', '{"a":"\\u00', '{"a":"x', '{"a":"\255"}', '{"a":"\192\174"}', '{"a":"\237\160\128"}',
      '{"a":"\195"}', '{"a":"\226\130"}', '{"a":"\240\159\152', '{"\128":1}', '{"a":1}/* */', '// x\n{}', '{"a":1;}',
      '{"a":\f1}', '{"a":\1941}', '{"a":\194\1601}', 'nulll', 'tru', '"', '-', '{"a":1}\194\160',
    }
    for index, body in ipairs(bad) do
      local result, err, detail, position = top(body)
      assert.is_nil(result, index .. ': ' .. body)
      assert.equal('invalid', err, index .. ': ' .. body)
      assert.is_string(detail)
      assert.is_true(position >= 1 and position <= #body + 1, index .. ': ' .. body)
    end
  end)

  it('tells a valid document that is no object', function()
    for _, body in ipairs { '[]', '[{"model":"x"}]', '"x"', '1', 'true', ' null ', '-0.0E-0', '"\\ud800"' } do
      assert.same({ n = 2, 'not_object' }, { n = 2, (select(2, top(body))) }, body)
    end
    assert.equal('invalid', (select(2, top '[] x')))
  end)

  it('accepts what a strict parser accepts', function()
    for _, body in ipairs {
      '{"a":"\127"}',
      '{"a":"\\u0000"}', '{"a":"\\ud800"}', '{"\\udc00":1}', '{"":1}', '{"a":"😀é€"}', '\t\r\n {}\t\r\n ',
      '{"a":-0}', '{"a":1E400}', '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t"}', '{"a":[[],[[]],{},{"b":{}}]}',
    } do
      assert.is_table(top(body), body)
    end
  end)

  it('stops at its depth and not before', function()
    local limit = walk.MAX_DEPTH
    local function nested(depth)
      return '{"a":' .. ('['):rep(depth - 1) .. (']'):rep(depth - 1) .. '}'
    end
    assert.is_table(top(nested(limit)))
    assert.equal('too_deep', (select(2, top(nested(limit + 1)))))
    assert.equal('too_deep', (select(2, top(('['):rep(1000000)))))
    assert.equal('too_deep', (select(2, top(('{"a":'):rep(1000000)))))
    assert.equal('too_deep', (select(2, scan.batch_models('{"requests":[{"params":{"a":' .. ('['):rep(limit)))))
  end)

  it('yields along the way, inside long strings too', function()
    local count = 0
    local options = { every = 1000, yield = function() count = count + 1 end }
    local body = '{"x":[' .. ('1,'):rep(5000) .. '1],"y":"' .. ('z'):rep(10000) .. '","model":"m"}'
    assert.equal('"m"', body:sub(scan.top_level(body, WANTED, options).model.from, -2))
    assert.is_true(count >= 18 and count <= 22, count)
    local thread = coroutine.wrap(function()
      return scan.model_and_stream(body, { every = 1000, yield = coroutine.yield })
    end)
    local model
    repeat
      model = thread()
    until model
    assert.equal('m', model)
  end)

  it('refuses to look for a member that its result cannot hold', function()
    assert.has_error(function() scan.top_level('{}', { duplicate = true }) end)
  end)
end)

describe('scan.string_value', function()
  local function value(literal)
    local body = '{"model":' .. literal .. '}'
    return scan.string_value(body, top(body).model)
  end

  it('undoes escapes', function()
    assert.equal('', value '""')
    assert.equal('plain é', value '"plain é"')
    assert.equal('a"\\/\b\f\n\r\tz', value [["a\"\\\/\b\f\n\r\tz"]])
    assert.equal('é€😀', value [["\u00e9\u20AC\uD83D\uDE00"]])
    assert.equal('\0\127\194\128', value [["\u0000\u007f\u0080"]])
    assert.equal('\\u0041', value [["\\u0041"]])
  end)

  it('does not guess at lone surrogates', function()
    for _, literal in ipairs {
      [["\ud800"]], [["\udc00"]], [["\ud800\ud800"]], [["\ud800x"]], [["\ud800\n"]], [["\udc00\ud800"]],
    } do
      assert.same({ n = 2, nil, 'lone_surrogate' }, { n = 2, value(literal) }, literal)
    end
  end)

  it('reads strings only', function()
    assert.same({ n = 2, nil, 'not_a_string' }, { n = 2, value '12' })
  end)
end)

describe('scan.model_and_stream', function()
  local function is(body, model, stream, reason)
    assert.same({ n = 3, model, stream, reason }, { n = 3, scan.model_and_stream(body) }, body)
  end

  it('reads both', function()
    is('{"model":"claude-x","stream":true}', 'claude-x', true)
    is('{"stream":false,"model":"claude-x"}', 'claude-x', false)
    is('{"model":"claude-\\u0078"}', 'claude-x', false)
    is('{"model":"claude-x","stream":null}', 'claude-x', false)
  end)

  it('says why not', function()
    is('{"stream":true}', nil, true, 'no_model')
    is('{"model":1,"stream":true}', nil, true, 'model_not_string')
    is('{"model":null}', nil, false, 'model_not_string')
    is('{"model":"\\ud800"}', nil, false, 'lone_surrogate')
    is('{"model":"a","model":"a"}', nil, false, 'duplicate_model')
    is('{"model":"a","stream":true,"stream":false}', 'a', false, 'duplicate_stream')
    is('{"model":"a","stream":"true"}', 'a', false, 'stream_not_boolean')
    is('{"model":"a"', nil, false, 'invalid')
    is('["model"]', nil, false, 'not_object')
    is(('['):rep(1000), nil, false, 'too_deep')
  end)
end)

describe('scan.batch_models', function()
  local function request(params)
    return '{"custom_id":"c","params":' .. params .. ',"model":"decoy"}'
  end

  local function batch(...)
    return '{"model":"decoy","requests":[' .. table.concat({ ... }, ' , ') .. ']}'
  end

  it('lists each model once', function()
    local body = batch(
      request '{"model":"a","messages":[{"model":"decoy"}]}',
      request '{"metadata":{"model":"decoy"},"mod\\u0065l":"\\u0062"}',
      '{"p\\u0061rams":{"model":"a"}}')
    assert.same({ list = { 'a', 'b' }, set = { a = true, b = true }, count = 3 }, scan.batch_models(body))
    assert.same({ list = {}, set = {}, count = 0 }, scan.batch_models '{"requests":[ ]}')
  end)

  it('says why it cannot tell', function()
    local good = request '{"model":"a"}'
    for body, reason in pairs {
      ['{}'] = 'no_requests',
      ['[]'] = 'not_object',
      ['{"requests":{}}'] = 'requests_not_array',
      ['{"requests":null}'] = 'requests_not_array',
      ['{"requests":[' .. good .. '],"requests":[]}'] = 'duplicate_requests',
      ['{"requests":[],"r\\u0065quests":[' .. good .. ']}'] = 'duplicate_requests',
      [batch(good, '1')] = 'request_not_object',
      [batch(good, '[]')] = 'request_not_object',
      [batch '{}'] = 'no_params',
      [batch '{"params":{"model":"a"},"params":{"model":"b"}}'] = 'duplicate_params',
      [batch(request 'null')] = 'params_not_object',
      [batch(request '"model"')] = 'params_not_object',
      [batch(request '{}')] = 'no_model',
      [batch(request '{"model":"a","model":"a"}')] = 'duplicate_model',
      [batch(request '{"model":["a"]}')] = 'model_not_string',
      [batch(request '{"model":"\\udfff"}')] = 'lone_surrogate',
      ['{"requests":[' .. good .. '}'] = 'invalid',
      ['{"requests":[' .. good .. ',]}'] = 'invalid',
      [batch(good) .. 'x'] = 'invalid',
      [batch(good):sub(1, -2)] = 'invalid',
    } do
      local models, err = scan.batch_models(body)
      assert.is_nil(models, body)
      assert.equal(reason, err, body)
    end
  end)

  it('bounds how many models it keeps', function()
    local requests = {}
    for index = 1, scan.MAX_BATCH_MODELS do
      requests[index] = request('{"model":"m' .. index .. '"}')
    end
    assert.equal(scan.MAX_BATCH_MODELS, #assert(scan.batch_models(batch(unpack(requests)))).list)
    requests[#requests + 1] = request '{"model":"one more"}'
    assert.equal('too_many_models', (select(2, scan.batch_models(batch(unpack(requests))))))
  end)
end)

describe('scan against cjson', function()
  local random = math.random

  local function pick(list)
    return list[random(#list)]
  end

  local SPACES = { '', '', '', '', ' ', '\n', '\t\r ' }
  local PIECES = {
    'a', 'model', ' ', 'é', '€', '😀', '\\n', '\\"', '\\\\', '\\/', '\\u0041', '\\u00e9', '\\ud83d\\ude00',
    '{', '}', '[', ']', ',', ':', '\127',
  }
  local KEYS = { '"model"', '"stream"', '"mod\\u0065l"', '"Model"', '"models"', '""', '"x"' }
  local NUMBERS = { '0', '-0', '1', '-12', '1.5', '1e3', '1E-2', '123456789012345678901234567890', '0.1e+1' }
  local GRAMMAR = { '{', '}', '[', ']', ',', ':', '"', '\\', '0', '-', '.', 'e', 'u' }
  local LITERALS = { 'true', 'false', 'null' }

  local function string_literal()
    local out = {}
    for index = 1, random(0, 6) do
      out[index] = pick(PIECES)
    end
    return '"' .. table.concat(out) .. '"'
  end

  local value

  local function container(open, close, depth, member)
    local out = {}
    for index = 1, random(0, 4) do
      out[index] = pick(SPACES) .. member(depth) .. pick(SPACES)
    end
    return open .. (#out == 0 and pick(SPACES) or table.concat(out, ',')) .. close
  end

  local function member(depth)
    local key = random() < 0.6 and pick(KEYS) or string_literal()
    return key .. pick(SPACES) .. ':' .. pick(SPACES) .. value(depth + 1)
  end

  function value(depth)
    local kind = depth > 5 and random(3) or random(5)
    if kind == 1 then
      return string_literal()
    elseif kind == 2 then
      return pick(NUMBERS)
    elseif kind == 3 then
      return pick(LITERALS)
    elseif kind == 4 then
      return container('{', '}', depth, member)
    end
    return container('[', ']', depth, function(inner) return value(inner + 1) end)
  end

  local function document()
    return pick(SPACES) .. container('{', '}', 0, member) .. pick(SPACES)
  end

  it('reads 10,000 generated documents alike', function()
    math.randomseed(20261123)
    for _ = 1, 10000 do
      local body = document()
      local decoded = assert(cjson.decode(body), body)
      local result = assert(top(body), body)
      for name in pairs(WANTED) do
        local range = result[name]
        -- cjson keeps the last of several, as does the scanner.
        local theirs, ours = decoded[name], nil
        if range then
          ours = assert(cjson.decode('[' .. body:sub(range.from, range.to) .. ']'), body)[1]
          if range.type == 'string' then
            assert.equal(theirs, scan.string_value(body, range), body)
          end
        end
        assert.same(theirs, ours, body)
      end
    end
  end)

  it('accepts no mutated document that cjson refuses, and never fails on any', function()
    math.randomseed(4711)
    local accepted, refused = 0, 0
    for _ = 1, 30000 do
      local body = document()
      for _ = 1, random(3) do
        local at = random(#body)
        local change = random(4)
        if change == 1 then -- a changed byte
          body = body:sub(1, at - 1) .. string.char(random(0, 255)) .. body:sub(at + 1)
        elseif change == 2 and #body > 1 then -- a lost byte
          body = body:sub(1, at - 1) .. body:sub(at + 1)
        elseif change == 3 then -- a byte of the grammar too many
          body = body:sub(1, at) .. pick(GRAMMAR) .. body:sub(at + 1)
        elseif at > 1 then -- a cut
          body = body:sub(1, at)
        end
      end
      local result, err = top(body)
      scan.batch_models(body)
      scan.model_and_stream(body)
      if result or err == 'not_object' then
        accepted = accepted + 1
        -- cjson refuses lone surrogate escapes, which the grammar allows.
        if not body:find '\\u[dD][89a-fA-F]' then
          assert.is_truthy(cjson.decode(body) ~= nil, body)
        end
      else
        refused = refused + 1
        assert.equal('invalid', err)
      end
    end
    assert.is_true(accepted > 1000 and refused > 10000, accepted .. ' ' .. refused)
  end)

  it('survives random bytes', function()
    math.randomseed(99)
    for _ = 1, 5000 do
      local bytes = {}
      for index = 1, random(0, 40) do
        bytes[index] = random() < 0.5 and string.char(random(0, 255)) or pick(GRAMMAR)
      end
      local body = '{"' .. table.concat(bytes)
      top(body)
      scan.batch_models(body)
      scan.batch_models('{"requests":[' .. body)
    end
  end)

  it('takes time in proportion to the length', function()
    -- Each of these has made some scanner or other quadratic.
    local million = 1000000
    for _, body in ipairs {
      ('['):rep(million), ('{"a":'):rep(million / 5), '"' .. ('\\'):rep(million),
      '{"a":"' .. ('\\u0041'):rep(million / 6),
      '{"' .. ('\\u006d'):rep(million / 6) .. '":1}', '{' .. ('"model":1,'):rep(million / 10) .. '"x":1}',
      '{"a":' .. ('1'):rep(million) .. '}', (' '):rep(million),
    } do
      local began = os.clock()
      top(body)
      assert.is_true(os.clock() - began < 1)
    end
  end)
end)
