local credentials = require 'causeway.core.credentials'

local UPSTREAMS = { { id = 'anthropic', credential = 'main' }, { id = 'aws', credential = 'second' } }

local function parse(text, upstreams)
  return credentials.parse(text, upstreams or {})
end

describe('credentials.parse', function()
  it('reads names and secrets', function()
    assert.same({ main = 'sk-ant-1', second = '~!x', third = 'y' },
      (parse('{"version":1,"credentials":{"main":"sk-ant-1","second":"~!x","third":"y"}}', UPSTREAMS)))
    assert.same({}, (parse '{"version":1,"credentials":{}}'))
  end)

  it('says what is wrong, and shows no secret', function()
    for text, problem in pairs {
      ['{"version":1'] = 'must be a JSON object',
      ['"sk-ant-secret"'] = 'must be a JSON object',
      ['[]'] = 'must be a JSON object',
      ['{"version":1}'] = 'must be a JSON object',
      ['{"version":1,"credentials":"sk-ant-secret"}'] = 'must be a JSON object',
      ['{"version":2,"credentials":{"main":"sk-ant-secret"}}'] = 'version must be 1',
      ['{"credentials":{"main":"sk-ant-secret"}}'] = 'version must be 1',
      ['{"version":1,"credentials":{"main":"sk-ant-secret"}}'] =
        'credentials.second is missing; upstream "aws" needs it',
      ['{"version":1,"credentials":{"second":"sk-ant-secret"}}'] =
        'credentials.main is missing; upstream "anthropic" needs it',
      ['{"version":1,"credentials":{"main":1}}'] = 'credentials.main must be a string of visible ASCII',
      ['{"version":1,"credentials":{"main":null}}'] = 'credentials.main must be a string of visible ASCII',
      ['{"version":1,"credentials":{"main":""}}'] = 'credentials.main must be a string of visible ASCII',
    } do
      local value, message = parse(text, UPSTREAMS)
      assert.is_nil(value, text)
      assert.is_truthy(message:find(problem, 1, true), text .. ': ' .. message)
      assert.is_nil(message:find('sk-ant-secret', 1, true), message)
    end
  end)

  it('takes nothing that could end a header line', function()
    for _, escape in ipairs { '\\r\\nx-a: b', '\\n', '\\u0000', '\\t', ' ', '\\u007f', '\\u00e9', '\\ud83d\\ude00' } do
      local value, message = parse('{"version":1,"credentials":{"main":"sk-secret' .. escape .. '"}}', {})
      assert.is_nil(value, escape)
      assert.is_nil(message:find('sk-secret', 1, true), message)
    end
  end)
end)
