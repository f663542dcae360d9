local route = require 'causeway.core.route'

describe('route.classify', function()
  it('knows the classes', function()
    for request, class in pairs {
      ['POST /v1/messages'] = 'generate',
      ['POST /v1/messages?beta=true'] = 'generate',
      ['POST /v1/messages/'] = 'generate',
      ['POST /v1/%6Dessages'] = 'generate',
      ['GET /v1/messages'] = 'other',
      ['POST /v1/messages/count_tokens?beta=true'] = 'count',
      ['POST /v1/messages/count%5ftokens'] = 'count',
      ['GET /v1/messages/count_tokens'] = 'other',
      ['POST /v1/messages/batches'] = 'batches',
      ['GET /v1/messages/batches?limit=20'] = 'batches',
      ['GET /v1/messages/batches/msgbatch_1/results'] = 'batches',
      ['POST /v1/messages/batches/msgbatch_1/cancel'] = 'batches',
      ['POST /v1/messages/batchesx'] = 'other',
      ['GET /v1/models'] = 'models',
      ['GET /v1/models?limit=1000'] = 'models',
      ['GET /v1/models/claude-x'] = 'models',
      ['GET /v1/modelsx'] = 'other',
      ['POST /v1/files'] = 'files',
      ['GET /v1/files/file_1/content'] = 'files',
      ['GET /v1/sessions/s1/events/stream'] = 'other',
      ['POST /v1/complete'] = 'other',
      ['POST /v1/Messages'] = 'other',
      ['GET /v1/'] = 'other',
      ['GET /v1'] = 'none',
      ['GET /v2/messages'] = 'none',
      ['GET /v1x/messages'] = 'none',
      ['GET /anything'] = 'none',
      ['HEAD /'] = 'probe',
      ['GET /'] = 'none',
      ['HEAD /api/hello'] = 'probe',
      ['GET /api/hello?x=1'] = 'probe',
      ['POST /api/hello'] = 'none',
      ['GET /healthz'] = 'none',
    } do
      local method, path = request:match '^(%S+) (.*)$'
      assert.equal(class, route.classify(method, path), request)
    end
  end)

  it('finds the Admin API however it is written', function()
    for _, path in ipairs {
      '/v1/organizations', '/v1/organizations/', '/v1/organizations/users', '/v1/Organizations/users',
      '/v1/ORGANIZATIONS',
      '/v1/%6frganizations', '/v1/%6Frganizations/users?x=1', '/v1/%4frganizations', '/V1/organizations/x',
      '/%761/organizations/x', '/v1/organizations%2fusers',
    } do
      assert.equal('admin', route.classify('GET', path), path)
    end
    assert.equal('other', route.classify('GET', '/v1/organizationsx'))
    assert.equal('other', route.classify('GET', '/v1/x/organizations'))
  end)
end)

describe('route.check_path', function()
  it('lets plain paths pass, and says nothing of queries', function()
    for _, uri in ipairs {
      '/', '/v1/messages', '/v1/messages?beta=true', '/v1/messages/', '/v1/models/claude-x-4.5', '/v1/files/a%20b',
      '/v1/models/%C3%A9', '/v1/x/...', '/v1/x/.well', '/v1/x/a..b', '/v1/%6dessages', '/v1/x/100%25', '/v1/x/a%25zz',
      '/v1/messages?a=//../%2e%00\\;\255', '/v1/a:b@c,d!$&\'()*+=~', '/v1/x%3by',
    } do
      assert.is_nil(route.check_path(uri), uri)
    end
  end)

  it('refuses what can be read in two ways', function()
    for uri, reason in pairs {
      [''] = 'not_origin_form',
      ['*'] = 'not_origin_form',
      ['v1/messages'] = 'not_origin_form',
      ['http://api.anthropic.com/v1/messages'] = 'not_origin_form',
      ['//v1/messages'] = 'empty_segment',
      ['/v1//messages'] = 'empty_segment',
      ['/v1/messages//'] = 'empty_segment',
      ['/v1/./messages'] = 'dot_segment',
      ['/v1/../organizations'] = 'dot_segment',
      ['/v1/messages/..'] = 'dot_segment',
      ['/v1/messages/.'] = 'dot_segment',
      ['/..?x'] = 'dot_segment',
      ['/v1/%2e%2e/x'] = 'encoded_dot',
      ['/v1/%2E/x'] = 'encoded_dot',
      ['/v1/.%2e/x'] = 'encoded_dot',
      ['/v1/a%2eb'] = 'encoded_dot',
      ['/v1%2forganizations'] = 'encoded_slash',
      ['/v1%2Forganizations'] = 'encoded_slash',
      ['/v1\\organizations'] = 'backslash',
      ['/v1%5corganizations'] = 'backslash',
      ['/v1%5Corganizations'] = 'backslash',
      ['/v1/a%00b'] = 'control',
      ['/v1/a%0d%0ab'] = 'control',
      ['/v1/a%7f'] = 'control',
      ['/v1/a\0b'] = 'control',
      ['/v1/a\rb'] = 'control',
      ['/v1/a\tb'] = 'control',
      ['/v1/a b'] = 'control',
      ['/v1/a\127b'] = 'control',
      ['/v1/%252e'] = 'double_encoding',
      ['/v1/%25252e'] = 'double_encoding',
      ['/v1/%256frganizations'] = 'double_encoding',
      ['/v1/%'] = 'bad_encoding',
      ['/v1/%2'] = 'bad_encoding',
      ['/v1/%zz'] = 'bad_encoding',
      ['/v1/%u002e'] = 'bad_encoding',
      ['/v1/%?20'] = 'bad_encoding',
      ['/v1/%c0%ae%c0%ae/x'] = 'bad_encoding',
      ['/v1/%ff'] = 'bad_encoding',
      ['/v1/messages;x=1'] = 'path_parameter',
      ['/v1/;/organizations'] = 'path_parameter',
      ['/v1/caf\195\169'] = 'not_ascii',
      ['/v1/\255'] = 'not_ascii',
      ['/v1/messages#x'] = 'fragment',
    } do
      assert.equal(reason, route.check_path(uri), uri)
    end
  end)

  it('never lets two readings of one path pass', function()
    -- Whatever passes must be the same to a server that decodes and then normalises, and to one that does not.
    math.randomseed(3)
    local pieces = {
      '/', '.', '..', '%2e', '%2f', '%25', '%5c', '2e', 'v1', 'organizations', 'Organizations', ';', '\\', 'a',
    }
    local passed = 0
    for _ = 1, 50000 do
      local path = '/'
      for _ = 1, math.random(6) do
        path = path .. pieces[math.random(#pieces)]
      end
      if not route.check_path(path) then
        passed = passed + 1
        local once = path:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end)
        local twice = once:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end)
        assert.equal(once, twice)
        assert.is_nil((once .. '/'):find '/%.%.?/')
        assert.is_nil(once:find('\\', 1, true))
        assert.is_nil(once:find('//', 1, true))
        if once:lower():find '^/v1/organizations/' then
          assert.equal('admin', route.classify('GET', path))
        end
      end
    end
    assert.is_true(passed > 1000)
  end)
end)
