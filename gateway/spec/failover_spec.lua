local failover = require 'causeway.core.failover'
local upstream_ids = require 'causeway.core.upstream_ids'

describe('failover.last', function()
  it('is the value of the last try, of whichever upstream', function()
    assert.equal('200', failover.last('200'))
    assert.equal('200', failover.last('502, 200'))
    assert.equal('529', failover.last('502, 200 : 529'))
    assert.equal('0.010', failover.last('0.001 : -, 0.010'))
    assert.equal('127.0.0.1:443', failover.last('unix:/x : [::1]:443, 127.0.0.1:443'))
  end)

  it('is none where there was none', function()
    for _, list in ipairs { '', '-', '200 : -', '-, -' } do
      assert.is_nil(failover.last(list), list)
    end
    assert.is_nil(failover.last(nil))
  end)
end)

describe('failover.outcome', function()
  local function outcome(...)
    local found = failover.outcome(...)
    return { found.status, found.answered, found.sent }
  end

  it('tells what was sent from what was not', function()
    assert.same({ 502, false, 'nothing' }, outcome('502', '-', '0', 100))
    assert.same({ 502, false, 'nothing' }, outcome('502', '-', nil, 0))
    assert.same({ 502, false, 'part' }, outcome('502', '-', '100', 100))
    assert.same({ 504, false, 'whole' }, outcome('504', '-', '101', 100))
    assert.same({ 504, false, 'whole' }, outcome('504', '-', '300', 0))
    assert.same({ 529, true, 'whole' }, outcome('529', '0.012', '400', 100))
  end)

  it('is of the last attempt', function()
    assert.same({ 504, false, 'part' }, outcome('529 : 504', '0.002 : -', '400 : 20', 100))
    assert.same({ nil, false, 'whole' }, outcome('529 : -', '0.002 : -', '400', 100))
  end)
end)

describe('failover.may_repeat', function()
  local function may_repeat(answered, sent, class, allowed)
    return failover.may_repeat({ answered = answered, sent = sent }, class, allowed)
  end

  it('repeats what failed with an answer, and what was not sent whole', function()
    assert.is_true(may_repeat(true, 'whole', 'generate', false))
    assert.is_true(may_repeat(false, 'nothing', 'generate', false))
    assert.is_true(may_repeat(false, 'part', 'generate', false))
  end)

  it('repeats a message that was sent whole only where that is allowed, and what costs nothing always', function()
    assert.is_false(may_repeat(false, 'whole', 'generate', false))
    assert.is_true(may_repeat(false, 'whole', 'generate', true))
    assert.is_true(may_repeat(false, 'whole', 'count', false))
    assert.is_true(may_repeat(false, 'whole', 'models', false))
  end)
end)

describe('upstream_ids.has', function()
  it('finds members that refer to what one upstream made', function()
    assert.is_true(upstream_ids.has('{"source":{"type":"file","file_id":"file_1"}}', 'file_id'))
    assert.is_true(upstream_ids.has('{"file_id" \n : \t "file_1"}', 'file_id'))
    assert.is_true(upstream_ids.has('{"container":"c"}', 'container'))
    assert.is_true(upstream_ids.has('{"container": {"id":"c"}}', 'container'))
    assert.is_true(upstream_ids.has('"file_id":"x"', 'file_id'))
  end)

  it('does not find them in text, in schemas, or as values', function()
    for _, text in ipairs {
      '', '{}', '{"text":"\\"file_id\\":\\"file_1\\""}', '{"properties":{"file_id":{"type":"string"}}}',
      '{"required":["file_id"]}', '{"name":"file_id"}', '{"file_id":null}', '{"my_file_id":"x"}', '"file_id"',
      '{"file_ids":"x"}',
    } do
      assert.is_false(upstream_ids.has(text, 'file_id'), text)
    end
    assert.is_false(upstream_ids.has('{"container":null}', 'container'))
  end)

  it('looks no further than it is told', function()
    local text = '{"file_id":"x"}'
    assert.is_true(upstream_ids.has_in(text, #'{"file_id":"', 'file_id'))
    assert.is_false(upstream_ids.has_in(text, #'{"file_id":', 'file_id'))
    assert.is_false(upstream_ids.has_in(text, 0, 'file_id'))
  end)

  it('looks on after what was none', function()
    assert.is_true(upstream_ids.has('{"a":"\\"file_id\\":","b":["file_id"],"file_id":"x"}', 'file_id'))
  end)
end)
