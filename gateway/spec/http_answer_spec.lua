local http_answer = require 'causeway.core.http_answer'

-- Feeds a text in pieces of the given sizes (the last one repeats); returns what came of the body, and the reader.
local function read(text, ...)
  local sizes, answer, body = { ... }, http_answer.new(), {}
  local at, turn = 1, 0
  while at <= #text do
    turn = math.min(turn + 1, #sizes)
    local size = sizes[turn] or #text
    local piece, problem = answer:feed(text:sub(at, at + size - 1))
    if not piece then
      return nil, problem
    end
    body[#body + 1] = piece
    at = at + size
  end
  return table.concat(body), answer
end

local PLAIN = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n'
  .. 'X-Two: a\r\nx-two:  b \r\n\r\nhello world'
local CHUNKED = 'HTTP/1.1 529 \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
  .. '5\r\nhello\r\n6\r\n\r\nworl\r\n1\r\nd\r\n0\r\n\r\n'

describe('an answer of our own nginx', function()
  it('is read alike however the socket cuts it', function()
    for size = 1, 60 do
      local body, answer = read(PLAIN, size)
      assert.equal('hello world', body)
      assert.is_true(answer.done)
      assert.equal(200, answer.head.status)
      assert.same({
        { 'Content-Type', 'application/json' },
        { 'Content-Length', '11' },
        { 'X-Two', 'a' },
        { 'x-two', 'b' },
      }, answer.head.headers)
      body, answer = read(CHUNKED, size)
      assert.equal('hello\r\nworld', body)
      assert.is_true(answer.done)
      assert.equal(529, answer.head.status)
    end
  end)

  it('is not whole before its last byte', function()
    for _, text in ipairs({ PLAIN, CHUNKED }) do
      for length = 1, #text - 1 do
        local _, answer = read(text:sub(1, length), 7)
        assert.is_false(answer.done)
        assert.is_false(answer:finish())
      end
    end
  end)

  it('that ends with its connection is whole then', function()
    local body, answer = read('HTTP/1.1 200 OK\r\nServer: x\r\n\r\nall of it', 4)
    assert.equal('all of it', body)
    assert.is_false(answer.done)
    assert.is_true(answer:finish())
    assert.is_true(answer.done)
  end)

  it('without a body is whole at once', function()
    for _, text in ipairs({
      'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    }) do
      local body, answer = read(text, 5)
      assert.equal('', body)
      assert.is_true(answer.done)
    end
  end)

  it('that makes no sense is refused', function()
    for text, problem in pairs({
      ['SSH-2.0\r\n\r\n'] = 'there is no status',
      ['HTTP/1.1 100 Continue\r\n\r\n'] = 'there is no status',
      ['HTTP/1.1 200 OK\r\nno colon\r\n\r\n'] = 'a header cannot be read',
      ['HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n'] = 'the end of the body cannot be told',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'] = 'the end of the body cannot be told',
      ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab'] = 'there is more than the answer',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'] = 'the size of a chunk cannot be read',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n'] = 'a chunk is longer than its size',
      ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' .. ('1'):rep(300)] = 'a line between chunks is too long',
      ['HTTP/1.1 200 OK\r\nA: ' .. ('a'):rep(300000)] = 'the head is too large',
    }) do
      local body, said = read(text, #text)
      assert.is_nil(body)
      assert.equal(problem, said)
    end
  end)
end)
