local judge = require 'causeway.core.judge'

local SSE = { 'Content-Type', 'text/event-stream; charset=utf-8' }
local JSON = { 'content-type', 'application/json' }
local START = 'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
local STOP = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
local ERROR = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'

local function of(status, ...)
  return judge.new({ status = status, headers = { ... } })
end

-- A judge that was fed a text in pieces of some size, and the first size at which it knew what to think.
local function fed(text, size, ...)
  local made, decided = of(200, ...), nil
  for at = 1, #text, size do
    made:feed(text:sub(at, at + size - 1))
    if made:is_decided() and not decided then
      decided = math.min(at + size - 1, #text)
    end
  end
  return made, decided
end

describe('a judge', function()
  it('stores a stream that came to its end, however it came', function()
    local text = START .. ': a comment\n\nevent: ping\ndata: {}\n\n' .. STOP
    for size = 1, #text do
      local made = fed(text, size, SSE)
      assert.is_true(made:may_store())
      assert.is_true(made:can_store(text))
      assert.is_false(made:is_failure())
    end
  end)

  it('holds a stream back until its first event is there, and no longer', function()
    for size = 1, #START do
      local _, decided = fed(START .. STOP, size, SSE)
      assert.is_true(decided >= #START and decided < #START + size)
    end
    local _, decided = fed(('data: x\n'):rep(20000), 1000, SSE)
    assert.is_true(decided > 65536 and decided <= 66536)
  end)

  it('takes a stream that begins with an error for a failure, in any way of ending lines', function()
    for _, text in ipairs({ ERROR, (ERROR:gsub('\n', '\r\n')), (ERROR:gsub('\n', '\r')) .. '\r' }) do
      for size = 1, #text do
        local made = fed(text, size, SSE)
        assert.is_true(made:is_decided())
        assert.is_true(made:is_failure())
        assert.is_false(made:may_store())
      end
    end
  end)

  it('takes a later error for part of the answer, and does not store it', function()
    local made = fed(START .. ERROR .. STOP, #START, SSE)
    assert.is_false(made:is_failure())
    assert.is_false(made:may_store())
    assert.is_false(made:can_store(START .. ERROR .. STOP))
  end)

  it('does not store a stream without its end', function()
    local made = fed(START, 10, SSE)
    assert.is_true(made:may_store())
    assert.is_false(made:can_store(START))
  end)

  it('stores JSON that is whole and no error', function()
    for body, good in pairs({
      ['{"type":"message"}'] = true, ['{"input_tokens":5}'] = true, ['{"data":[]}'] = true,
      ['{"type":"error"}'] = false, ['{"type":"message"'] = false, [''] = false, ['[]'] = false,
      ['{"a":1} {"b":2}'] = false,
    }) do
      local made = fed(body, 3, JSON)
      assert.equal(good, made:can_store(body))
      assert.is_true(of(200, JSON):is_decided())
    end
  end)

  it('stores neither another status nor what it cannot read', function()
    for _, status in ipairs({ 201, 204, 400, 404, 429, 500, 529 }) do
      local made = of(status, JSON)
      assert.is_false(made:may_store())
      assert.equal(status >= 500, made:is_failure())
    end
    assert.is_false(of(200, { 'content-type', 'text/html' }):may_store())
    assert.is_false(of(200):may_store())
    assert.is_false(of(200, JSON, { 'Content-Encoding', 'gzip' }):may_store())
    assert.is_true(of(200, JSON, { 'Content-Encoding', 'identity' }):may_store())
  end)

  it('hands on what is the answer\'s, and keeps what is true of a copy too', function()
    local made = of(200, JSON, { 'Request-Id', 'req_1' }, { 'Connection', 'close' }, { 'Content-Length', '12' },
      { 'Transfer-Encoding', 'chunked' }, { 'X-Causeway-Refusal', 'why' }, { 'x-causeway-region', 'here' },
      { 'x-causeway-upstream', 'mock' }, { 'Set-Cookie', 'a=b' }, { 'set-cookie', 'c=d' },
      { 'Cache-Control', 'private' },
      { 'anthropic-ratelimit-requests-remaining', '1' }, { 'retry-after', '1' }, { 'anthropic-organization-id', 'o' })
    local function names(headers)
      local out = {}
      for index, header in ipairs(headers) do
        out[index] = header[1]:lower()
      end
      return table.concat(out, ' ')
    end
    assert.equal('content-type request-id x-causeway-upstream set-cookie set-cookie cache-control '
      .. 'anthropic-ratelimit-requests-remaining retry-after anthropic-organization-id', names(made.headers))
    assert.equal('content-type request-id x-causeway-upstream anthropic-organization-id', names(made:kept_headers()))
    assert.equal(12, made.length)
    assert.equal('why', made.refusal)
  end)
end)
