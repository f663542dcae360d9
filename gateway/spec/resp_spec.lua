local resp = require 'causeway.core.resp'

local function sent(...)
  local parts = {}
  resp.append(parts, { ... })
  return table.concat(parts)
end

-- Reads from a text as a socket would.
local function reader(text)
  local at = 1
  return function(size)
    if size then
      local data = text:sub(at, at + size - 1)
      at = at + size
      if #data < size then
        return nil, 'closed'
      end
      return data
    end
    local line_end = text:find('\r\n', at, true)
    if not line_end then
      return nil, 'closed'
    end
    local line = text:sub(at, line_end - 1)
    at = line_end + 2
    return line
  end
end

local function read(text)
  return resp.read(reader(text))
end

describe('a command', function()
  it('is sent with its bytes counted', function()
    assert.equal('*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nü\r\n\r\n', sent('SET', 'a', 'ü\r\n'))
  end)

  it('keeps every digit of a number', function()
    for written, number in pairs({
      ['1732300000000123'] = 1732300000000123,
      ['1000000000000000'] = 1e15,
      ['-7'] = -7,
      ['0.5'] = 0.5,
      ['1732300000000.125'] = 1732300000000.125,
    }) do
      assert.equal('*1\r\n$' .. #written .. '\r\n' .. written .. '\r\n', sent(number))
    end
  end)
end)

describe('a reply', function()
  it('is a status, a number, bytes, a list, nothing, or an error', function()
    assert.equal('OK', read('+OK\r\n'))
    assert.equal(-12, read(':-12\r\n'))
    assert.equal('a\r\nb', read('$4\r\na\r\nb\r\n'))
    assert.equal('', read('$0\r\n\r\n'))
    assert.equal(resp.NULL, read('$-1\r\n'))
    assert.equal(resp.NULL, read('*-1\r\n'))
    assert.same({ err = 'ERR no' }, read('-ERR no\r\n'))
    local list = '*5\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n-ERR no\r\n*0\r\n'
    assert.same({ 'a', false, { 1 }, { err = 'ERR no' }, {} }, read(list))
  end)

  it('that breaks off is none', function()
    for _, text in ipairs({ '', '+O', '$3\r\nab', '*2\r\n:1\r\n' }) do
      assert.same({ nil, 'closed' }, { read(text) })
    end
  end)

  it('that is no RESP2 is none', function()
    local deep = ('*1\r\n'):rep(100) .. ':1\r\n'
    for _, text in ipairs({
      'HTTP/1.1 400 Bad Request\r\n',
      '\r\n',
      ':x\r\n',
      '$x\r\n',
      '$1e9\r\n',
      '$-2\r\n',
      '$99999999999\r\n',
      '*99999999999\r\n',
      deep,
    }) do
      assert.same({ nil, 'protocol' }, { read(text) })
    end
  end)
end)

describe('an error', function()
  it('tells whether the server cannot be used or the one command failed', function()
    assert.equal('LOADING', resp.unusable('LOADING Valkey is loading the dataset in memory'))
    assert.equal('WRONGPASS', resp.unusable('WRONGPASS invalid username-password pair or user is disabled.'))
    assert.equal('READONLY', resp.unusable("READONLY You can't write against a read only replica."))
    assert.equal('READONLY', resp.unusable('ERR Error running script (call to f_0): @user_script:1: -READONLY You'))
    assert.equal('too many clients', resp.unusable('ERR max number of clients reached'))
    for _, message in ipairs({ "OOM command not allowed when used memory > 'maxmemory'.", 'ERR no', 'NOSCRIPT', '' }) do
      assert.is_nil(resp.unusable(message))
    end
  end)
end)
