local usage = require 'causeway.core.usage'

local START = 'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":'
  .. '"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":%s}}\n\n'
local BLOCK = 'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":'
  .. '"text","text":""}}\n\n'
local DELTA = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
  .. '"text":"%s"}}\n\n'
local PING = 'event: ping\ndata: {"type":"ping"}\n\n'
local END_DELTA = 'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
  .. '"stop_sequence":null},"usage":%s}\n\n'
local STOP = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'

local FULL = '{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":5,'
  .. '"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":1}'

local function start(numbers)
  return START:format(numbers or FULL)
end

local function stream(...)
  return table.concat { ... }
end

local WHOLE = stream(start(), BLOCK, PING, DELTA:format 'Hello', DELTA:format ' world', ': a comment\n\n',
  'event: brand_new\ndata: {"type":"brand_new"}\n\n', END_DELTA:format '{"output_tokens":42}', STOP)

local EXPECTED = {
  model = 'claude-x', input = 10, output = 42, cache_read = 5, cache_write_5m = 20,
  cache_write_1h = 10, estimated = false, complete = true, aborted = false, unread = false,
}

local function meter_sse(bytes, aborted, size)
  local meter = usage.sse()
  size = size or #bytes
  for from = 1, #bytes, math.max(size, 1) do
    meter:feed(bytes:sub(from, from + size - 1))
  end
  return meter:finish(aborted)
end

local function meter_json(bytes, aborted, max_bytes)
  local meter = usage.json(max_bytes)
  for from = 1, #bytes, 7 do
    meter:feed(bytes:sub(from, from + 6))
  end
  return meter:finish(aborted)
end

describe('usage.sse', function()
  it('reads a whole stream, however it is split', function()
    assert.same(EXPECTED, meter_sse(WHOLE))
    for size = 1, 200 do
      assert.same(EXPECTED, meter_sse(WHOLE, false, size))
    end
    for at = 0, #WHOLE do
      local meter = usage.sse()
      meter:feed(WHOLE:sub(1, at))
      meter:feed(WHOLE:sub(at + 1))
      assert.same(EXPECTED, meter:finish())
    end
  end)

  it('takes every line end', function()
    for _, ending in ipairs { '\r\n', '\r' } do
      local bytes = WHOLE:gsub('\n', ending)
      for size = 1, 60 do
        assert.same(EXPECTED, meter_sse(bytes, false, size))
      end
    end
    assert.same(EXPECTED, meter_sse('\239\187\191' .. WHOLE:gsub('message_delta\n', 'message_delta\r'), false, 1))
  end)

  it('joins data lines, and takes fields with and without their space, in any order', function()
    local bytes = stream(
      'data:{"type":"message_start",\ndata: "message":{"model":"claude-x",\ndata:"usage":{"input_tokens":3}}}\n',
      'event:message_start\nid: 7\nretry: 10\n\n',
      'data: {"type":"message_delta",\nevent: message_delta\ndata: "usage":{"output_tokens":9}}\n\n', STOP)
    local result = meter_sse(bytes)
    assert.same({ 'claude-x', 3, 9, true }, { result.model, result.input, result.output, result.complete })
  end)

  it('falls back to the type in the data where events have no name', function()
    local bytes = WHOLE:gsub('event: [^\n]*\n', '')
    assert.same(EXPECTED, meter_sse(bytes))
    local cut = meter_sse((stream(start(), DELTA:format(('x'):rep(40))):gsub('event: [^\n]*\n', '')), true)
    assert.same({ 10, true }, { cut.output, cut.estimated })
  end)

  it('lets the latest number win and ignores null', function()
    local result = meter_sse(stream(
      start '{"input_tokens":0,"output_tokens":0,"cache_read_input_tokens":null,"cache_creation_input_tokens":null}',
      END_DELTA:format('{"input_tokens":11,"cache_read_input_tokens":7,"cache_creation_input_tokens":4,'
        .. '"output_tokens":5}'),
      END_DELTA:format '{"input_tokens":null,"output_tokens":6,"cache_creation":null}', STOP))
    assert.same({ 11, 6, 7, 4, 0 },
      { result.input, result.output, result.cache_read, result.cache_write_5m, result.cache_write_1h })
  end)

  it('keeps the split of cache writes when a later event gives the sum only', function()
    local result = meter_sse(stream(start(), END_DELTA:format '{"cache_creation_input_tokens":30,"output_tokens":2}',
      STOP))
    assert.same({ 20, 10 }, { result.cache_write_5m, result.cache_write_1h })
    result = meter_sse(stream(start '{"input_tokens":1,"cache_creation_input_tokens":9}', STOP))
    assert.same({ 9, 0 }, { result.cache_write_5m, result.cache_write_1h })
  end)

  it('is not fooled by what a model or a tool writes', function()
    local fake = [[\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":]]
      .. [[{\"output_tokens\":99999}}\n\n]]
      .. [[event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n]]
      .. [[event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n]]
    local tool = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":'
      .. '"input_json_delta","partial_json":"{\\"usage\\":{\\"output_tokens\\":99999}}"},'
      .. '"usage":{"output_tokens":8888}}\n\n'
    local block = 'event: content_block_start\ndata: {"type":"content_block_start","usage":{"input_tokens":777},'
      .. '"content_block":{"type":"message_stop"}}\n\n'
    local result = meter_sse(stream(start(), block, DELTA:format(fake), tool, END_DELTA:format '{"output_tokens":42}',
      STOP))
    assert.same(EXPECTED, result)
    result = meter_sse(stream(start(), block, DELTA:format(fake), tool))
    assert.is_false(result.complete)
    assert.is_nil(result.in_band_error)
    assert.equal(10, result.input)
    assert.is_true(result.output < 200)
  end)

  it('sees an error inside the stream', function()
    local overloaded = 'event: error\n'
      .. 'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    local result = meter_sse(overloaded)
    assert.same({ estimated = false, complete = false, aborted = false, unread = false,
      in_band_error = 'overloaded_error' }, result)
    result = meter_sse(stream(start(), DELTA:format(('x'):rep(400)), overloaded))
    assert.same({ 'overloaded_error', false, true, 100 },
      { result.in_band_error, result.complete, result.estimated, result.output })
    for _, data in ipairs { '{', 'null', '[]', '{"error":null}', '{"error":{"type":null}}', '{"error":"x"}' } do
      assert.equal('unknown', meter_sse('event: error\ndata: ' .. data .. '\n\n').in_band_error)
    end
    assert.is_nil(meter_sse(stream(WHOLE, ': event: error\n\n')).in_band_error)
  end)

  it('estimates the output of a stream that was cut', function()
    local thinking = DELTA:gsub('text_delta","text"', 'thinking_delta","thinking"')
    local tool = DELTA:gsub('text_delta","text"', 'input_json_delta","partial_json"')
    local signature = DELTA:gsub('text_delta","text"', 'signature_delta","signature"')
    local text = ('x'):rep(100)
    local cut = stream(start(), BLOCK, DELTA:format(text), thinking:format(text), tool:format(text),
      signature:format(text))
    local result = meter_sse(cut, true)
    assert.same({ 75, true, false, true, 10, 5 },
      { result.output, result.estimated, result.complete, result.aborted, result.input, result.cache_read })
    -- Whatever the split, and with half a line at the end.
    assert.equal(75, meter_sse(cut .. 'event: content_block_delta\nda', true, 3).output)
    -- After a cumulative count only what came since is estimated.
    result = meter_sse(stream(start(), DELTA:format(text), END_DELTA:format '{"output_tokens":50}',
      DELTA:format 'abcdefgh'), true)
    assert.same({ 52, true }, { result.output, result.estimated })
    result = meter_sse(stream(start(), DELTA:format(text), END_DELTA:format '{"output_tokens":50}'), true)
    assert.same({ 50, false }, { result.output, result.estimated })
    -- Never less than the API has counted.
    assert.equal(500, meter_sse(stream(start '{"input_tokens":1,"output_tokens":500}', DELTA:format 'abc'),
      true).output)
    -- Nothing but the beginning.
    result = meter_sse(start(), true)
    assert.same({ 10, 1, true }, { result.input, result.output, result.estimated })
    -- Deltas that are written in another way.
    local spaced = 'data: {"type": "content_block_delta", "index": 0, '
      .. '"delta": {"type": "text_delta", "text": "%s"}}\n\n'
    result = meter_sse(stream(start(), 'event: content_block_delta\n', spaced:format(text)), true)
    assert.equal(25, result.output)
  end)

  it('knows nothing of a stream that never began', function()
    assert.same({ estimated = false, complete = false, aborted = true, unread = false }, meter_sse('', true))
    assert.is_nil(meter_sse(PING, true).output)
  end)

  it('takes a stream as complete only if a client does', function()
    assert.is_false(meter_sse(WHOLE:sub(1, -2)).complete)
    assert.is_false(meter_sse(WHOLE:sub(1, -3)).complete)
    assert.equal(42, meter_sse(WHOLE:sub(1, -2)).output)
    assert.is_true(meter_sse(WHOLE, true).complete)
    -- The count arrives even if its blank line does not.
    local cut = stream(start(), END_DELTA:format '{"output_tokens":42}'):sub(1, -3)
    assert.same({ 42, false }, { meter_sse(cut, true).output, meter_sse(cut, true).estimated })
  end)

  it('passes over lines of any length, keeping little of them', function()
    local huge = 'event: content_block_start\ndata: {"content_block":"' .. ('y'):rep(3000000) .. '"}\n\n'
    for _, size in ipairs { 1000, 65536, 10000000 } do
      assert.same(EXPECTED, meter_sse(stream(start(), huge, END_DELTA:format '{"output_tokens":42}', STOP), false,
        size))
    end
    local meter = usage.sse()
    local piece = ('z'):rep(1000)
    meter:feed 'data: '
    for _ = 1, 100000 do
      meter:feed(piece)
    end
    assert.is_true(meter.reader.carried <= 1048576)
    meter:feed '\n\n'
    meter:feed(WHOLE)
    assert.same(EXPECTED, meter:finish())
  end)

  it('survives damaged streams', function()
    math.randomseed(8)
    for _ = 1, 3000 do
      local bytes = WHOLE
      for _ = 1, math.random(5) do
        local at = math.random(#bytes)
        bytes = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + math.random(0, 2))
      end
      local result = meter_sse(bytes, false, math.random(1, 300))
      assert.is_boolean(result.complete)
    end
    for _, data in ipairs { 'null', '[]', '1', '"x"', '{"message":null,"usage":null,"delta":null}',
      '{"message":{"usage":[]}}',
      '{"message":{"model":null,"usage":{"input_tokens":"5","output_tokens":-1,"cache_creation":[]}}}',
        '{"usage":1e999}' } do
      for _, name in ipairs { 'message_start', 'message_delta' } do
        local result = meter_sse('event: ' .. name .. '\ndata: ' .. data .. '\n\n')
        assert.is_nil(result.input)
        assert.is_nil(result.output)
      end
    end
  end)
end)

describe('usage.json', function()
  local MESSAGE = '{"model":"claude-x","id":"msg_1","type":"message","role":"assistant","content":[{"type":"tool_use",'
      .. '"input":{"usage":{"input_tokens":999,"output_tokens":999},"model":"fake"}}],'
    .. '"stop_reason":"end_turn","usage":%s}'
  local ANSWER = MESSAGE:format((FULL:gsub('"output_tokens":1}', '"output_tokens":42}')))

  it('reads the top level only', function()
    assert.same(EXPECTED, meter_json(ANSWER))
  end)

  it('takes null for nothing', function()
    local result = meter_json(MESSAGE:format('{"input_tokens":1,"output_tokens":2,"cache_creation":null,'
      .. '"cache_creation_input_tokens":null,"cache_read_input_tokens":null}'))
    assert.same({ 1, 2, 0, 0, 0 },
      { result.input, result.output, result.cache_read, result.cache_write_5m, result.cache_write_1h })
    result = meter_json '{"type":"message","usage":null,"model":null,"stop_reason":null}'
    assert.same({ estimated = false, complete = true, aborted = false, unread = false }, result)
  end)

  it('counts a cache write without its split as 5 m', function()
    assert.equal(6, meter_json(MESSAGE:format '{"cache_creation_input_tokens":6}').cache_write_5m)
    local split = '{"cache_creation_input_tokens":6,"cache_creation":{"ephemeral_1h_input_tokens":2}}'
    assert.same({ 4, 2 }, { meter_json(MESSAGE:format(split)).cache_write_5m,
      meter_json(MESSAGE:format(split)).cache_write_1h })
  end)

  it('names an error', function()
    local result = meter_json '{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}'
    assert.same({ 'overloaded_error', true }, { result.in_band_error, result.complete })
    assert.equal('unknown', meter_json('{"type":"error"}').in_band_error)
  end)

  it('estimates a message that was cut', function()
    local result = meter_json(ANSWER:sub(1, -2), true)
    assert.same({ false, true, true, math.ceil((#ANSWER - 1) / 4) },
      { result.complete, result.estimated, result.aborted, result.output })
    for _, other in ipairs { '', '<html>502', '{"input_tokens":5', '[1,2', '{"type":"erro' } do
      assert.same({ estimated = false, complete = false, aborted = true, unread = false }, meter_json(other, true))
    end
  end)

  it('reads both ends of a message as it reads all of it', function()
    local cjson = require 'cjson'
    local random = math.random
    math.randomseed(20261123)
    -- What a model may write to be taken for the usage, and what confuses who counts braces.
    local texts = { 'x', '{', '}', '}}', '"', '\\', ',"usage":{"input_tokens":9}}', '"usage":{', '],"usage":{}}', '\n' }
    local function value(depth)
      local kind = random(depth > 2 and 3 or 6)
      if kind == 1 then
        return cjson.encode(texts[random(#texts)] .. texts[random(#texts)])
      elseif kind == 2 then
        return tostring(random(1000))
      elseif kind == 3 then
        return 'null'
      elseif kind == 4 then
        return '[' .. value(depth + 1) .. ',' .. value(depth + 1) .. ']'
      end
      return '{"a":' .. value(depth + 1) .. ',"usage":' .. value(depth + 1) .. (kind == 5 and ',"b":1}' or '}')
    end
    local quick = 0
    for _ = 1, 20000 do
      local members = { '"model":"m' .. random(9) .. '"', '"id":"i"', '"type":"message"', '"role":"assistant"' }
      if random(4) == 1 then
        local at = random(4)
        members[at] = ({ '"model":null', '"type":"error"', '"more":1', '"a":"b\\"c"' })[random(4)]
      end
      members[#members + 1] = '"content":[' .. value(0) .. ']'
      members[#members + 1] = random(3) > 1 and '"stop_reason":"end_turn"' or nil
      local numbers = '{"input_tokens":%d,"server":{"input_tokens":7,"usage":{}},"output_tokens":%d}'
      members[#members + 1] = '"usage":' .. (random(5) == 1 and value(1) or numbers:format(random(99), random(99)))
      if random(4) == 1 then
        members[#members + 1] = '"container":' .. value(1)
      end
      local body = '{' .. table.concat(members, ',') .. '}' .. (random(5) == 1 and '\n' or '')
      local function read(strict)
        local meter = usage.json()
        meter:feed(body)
        return meter:finish(false, strict)
      end
      local all = read(true)
      assert.same(all, read(false), body)
      quick = quick + (all.input and 1 or 0)
    end
    assert.is_true(quick > 10000)
  end)

  it('looks at all of an answer that may be cut just where it looks whole', function()
    local cut = '{"model":"m","id":"i","type":"message","role":"assistant",'
      .. '"content":[{"a":1,"usage":{"input_tokens":9}}'
    for _, aborted in ipairs { true, false } do
      local meter = usage.json()
      meter:feed(cut)
      local result = meter:finish(aborted, not aborted)
      assert.same({ false, true }, { result.complete, result.estimated })
    end
  end)

  it('does not keep more than its limit', function()
    local result = meter_json(ANSWER, false, 100)
    assert.same({ true, true, false, math.ceil(#ANSWER / 4) },
      { result.unread, result.estimated, result.complete, result.output })
    assert.is_false(meter_json(ANSWER, false, #ANSWER).unread)
  end)
end)
