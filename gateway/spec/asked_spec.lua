local asked = require 'causeway.core.asked'
local cjson = require 'cjson.safe'

local function of_body(body)
  return { asked.of_body(body) }
end

local function of_ends(body, size)
  return { asked.of_ends(body:sub(1, size or asked.END_BYTES), body:sub(-(size or asked.END_BYTES))) }
end

describe('asked.of_body', function()
  it('reads model and stream wherever they stand at the top level', function()
    assert.same({ 'm-1', false }, of_body '{"model":"m-1","max_tokens":5}')
    assert.same({ 'm-1', true }, of_body ' { "stream" : true , "messages" : [ { "model" : "x" } ] , "model" : "m-1" } ')
    assert.same(
      { 'm-1', false },
      of_body '{"messages":[{"content":"\\"model\\":\\"x\\"}"}],"model":"m-1","stream":false}'
    )
  end)

  it('reads the first of two, for nothing hangs on it', function()
    assert.same({ 'a', true }, of_body '{"model":"a","stream":true,"model":"b"}')
  end)

  it('leaves what is no plain name alone', function()
    for _, body in ipairs {
      '', '[]', '{}', '{"model":1}', '{"model":null}', '{"model":""}', '{"model":"a\\nb"}', '{"x":{"model":"m"}}',
      '{"mode\\u006c":"m"}',
    } do
      assert.same({ nil, false }, of_body(body), body)
    end
  end)

  it('reads what stands before a fault', function()
    assert.same({ 'm', false }, of_body '{"model":"m","x":}')
  end)
end)

describe('asked.of_ends', function()
  local function long(before, after)
    local text = ('text \\"model\\":\\"x\\", '):rep(2000)
    return before .. '"messages":[{"role":"user","content":"' .. text .. '"}]' .. after
  end

  it('finds them at either end', function()
    assert.same({ 'm', true }, of_ends(long('{"model":"m","stream":true,', '}')))
    assert.same({ 'm', true }, of_ends(long('{', ',"model":"m","stream":true}')))
    assert.same({ 'm', true }, of_ends(long('{"stream":true,', ', "model" : "m" } \n')))
    assert.same({ 'm', true }, of_ends(long('{"model":"m",', ',"tools":[{"x":[1,{"y":"}"}]}],"stream":true}')))
    assert.same({ 'm', false }, of_ends(long('{', ',"stream":false,"model":"m","max_tokens":9}')))
  end)

  it('is not fooled by what stands deeper, or in text', function()
    for _, after in ipairs {
      ',"metadata":{"model":"x","stream":true}}',
      ',"tools":[{"model":"x"}]}',
      ',"system":"\\"model\\":\\"x\\",\\"stream\\":true}"}',
      ',"system":"}\\",\\"model\\":\\"x\\"}"}',
    } do
      assert.same({ nil, false }, of_ends(long('{', after)), after)
    end
  end)

  it('cannot tell what stands in the middle', function()
    assert.same({ nil, false }, of_ends(long(long('{', ',"model":"m",'):gsub('"messages"', '"system"'), '}')))
  end)

  it('gives up on an end that is full of names', function()
    assert.same({ nil, false }, of_ends('{"x":[' .. ('{"model":"x"},'):rep(5000) .. '{}],"model":"m"}'))
  end)

  it('never says anything else than the whole body does', function()
    math.randomseed(11)
    local function filler()
      local out = {}
      for index = 1, math.random(0, 6) do
        out[index] = ({ '"', '\\', '{', '}', '"model":"x"', ',', '[', 'text', '"stream":true' })[math.random(9)]
      end
      return table.concat(out)
    end
    for _ = 1, 3000 do
      local parts = {
        '"model":"m"', math.random() < 0.5 and '"stream":true' or '"stream":false',
        '"messages":' .. cjson.encode({ { content = filler(), model = filler() } }),
        '"metadata":' .. cjson.encode({ model = filler(), stream = true }),
      }
      for index = #parts, 2, -1 do
        local other = math.random(index)
        parts[index], parts[other] = parts[other], parts[index]
      end
      local body = '{' .. table.concat(parts, ',') .. '}'
      local model, stream = asked.of_body(body)
      assert.equal('m', model)
      local found = of_ends(body, math.random(1, #body))
      assert.is_true(found[1] == nil or found[1] == model, body)
      assert.is_true(found[2] == false or found[2] == stream, body)
    end
  end)
end)
