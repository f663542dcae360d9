local cache_request = require 'causeway.core.cache_request'

local settings = { enabled = true, count_tokens = true, ttl = { shared_seconds = 300 } }

local function wants(class, header, cache, changed)
  local method = cache_request.METHODS[class]
  return cache_request.wants({ id = 'a', cache = cache }, class, method, header, changed or settings)
end

describe('cache_request.wants', function()
  it('serves lists of models to everybody, and counts where the config says so', function()
    assert.same({ mode = 'fresh', max_age = 300 }, wants 'models')
    assert.same({ mode = 'fresh', max_age = 300 }, wants('models', nil, { mode = 'off' }))
    assert.same({ mode = 'fresh', max_age = 300 }, wants 'count')
    local asked_only = { enabled = true, count_tokens = false, ttl = settings.ttl }
    assert.is_nil(wants('count', nil, nil, asked_only))
    assert.same({ mode = 'fresh', max_age = 20 }, wants('count', 'max-age=20', nil, asked_only))
    assert.same({ mode = 'outage', max_age = 300 }, wants('count', nil, { mode = 'outage' }, asked_only))
  end)

  it('serves answers only where consumer or request asks', function()
    assert.is_nil(wants 'generate')
    assert.is_nil(wants('generate', nil, { mode = 'off' }))
    assert.same({ mode = 'fresh', max_age = 300 }, wants('generate', nil, { mode = 'fresh' }))
    assert.same({ mode = 'outage', max_age = 300 }, wants('generate', nil, { mode = 'outage' }))
    assert.same({ mode = 'fresh', max_age = 60 }, wants('generate', 'max-age=60'))
    assert.same({ mode = 'outage', max_age = 300 }, wants('generate', 'outage'))
  end)

  it('lets the request choose its mode, and the policy bound every age', function()
    assert.same({ mode = 'outage', max_age = 60 }, wants('generate', 'outage', { mode = 'fresh', maxAgeSeconds = 60 }))
    assert.same({ mode = 'fresh', max_age = 60 },
      wants('generate', 'max-age=600', { mode = 'outage', maxAgeSeconds = 60 }))
    assert.same({ mode = 'fresh', max_age = 10 },
      wants('generate', 'max-age=10', { mode = 'fresh', maxAgeSeconds = 60 }))
    assert.same({ mode = 'fresh', max_age = 30 }, wants('models', nil, { mode = 'off', maxAgeSeconds = 30 }))
    assert.same({ mode = 'fresh', max_age = 300 }, wants('generate', 'max-age=31536000'))
    assert.same({ mode = 'fresh', max_age = 0 }, wants('generate', 'max-age=0', { mode = 'fresh' }))
    for _, class in ipairs { 'generate', 'count', 'models' } do
      assert.is_nil(wants(class, 'no-store', { mode = 'fresh' }))
      assert.is_nil(wants(class, { 'max-age=60', 'no-store' }, { mode = 'fresh' }))
      assert.same({ mode = 'fresh', max_age = 60 }, wants(class, 'max-age=60, outage'))
    end
  end)

  it('is out of the way where it is off, for other methods, other classes and for nobody', function()
    assert.is_nil(wants('models', nil, nil, { enabled = false, count_tokens = true, ttl = settings.ttl }))
    assert.is_nil(cache_request.wants({ id = 'a' }, 'models', 'HEAD', nil, settings))
    assert.is_nil(cache_request.wants({ id = 'a' }, 'models', 'POST', nil, settings))
    assert.is_nil(cache_request.wants({ id = 'a' }, 'batches', 'POST', 'max-age=1', settings))
    assert.is_nil(cache_request.wants({ id = 'a' }, 'other', 'GET', nil, settings))
    assert.is_nil(cache_request.wants(nil, 'models', 'GET', nil, settings))
  end)

  it('reads the header in every spelling, and nothing into it', function()
    for header, expected in pairs {
      ['max-age=0'] = { ['max-age'] = 0 },
      [' Max-Age=060 ,\tOUTAGE'] = { ['max-age'] = 60, outage = true },
      ['no-store'] = { ['no-store'] = true },
      [',no-store,, ,'] = { ['no-store'] = true },
      ['max-age=99999999'] = { ['max-age'] = 31536000 },
    } do
      assert.same({ expected }, { cache_request.read_header(header) })
    end
    assert.is_nil(cache_request.read_header(nil))
    assert.same({ nil }, { cache_request.read_header '' })
    assert.same({ nil }, { cache_request.read_header ' , ' })
    for _, header in ipairs {
      'max-age', 'max-age=', 'max-age=-1', 'max-age=1.5', 'max-age=1e3', 'max-age=0x10', 'max-age 5', 'max-age5',
      'max-age=999999999', 'max-age=5 outage', 'maxage=5', 'outage=1', 'outage=', 'no-store=', 'nostore', 'public',
      'max-age=5,max-age=5', 'outage,outage', 'no-store, what', 'max-age="5"', 'no_store', 'fresh', '=5', '=',
    } do
      local asked, problem = cache_request.read_header(header)
      assert.is_nil(asked, header)
      assert.truthy(problem and problem:find('max-age=<seconds>', 1, true), header)
    end
    local _, problem = wants('generate', { 'max-age=5', 'Max-Age=6' })
    assert.truthy(problem)
    -- Also where nothing would be cached: the mistake is the same.
    _, problem = wants('models', 'oops', nil, { enabled = false, ttl = settings.ttl })
    assert.truthy(problem)
  end)
end)

describe('cache_request.bypass_reason', function()
  local plain = { has_body = true, length = 100 }

  local function reason(body, head)
    return (cache_request.bypass_reason('generate', body, head or plain))
  end

  it('takes a request that stands for itself, and says what it is', function()
    local body = '{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":"the file_id of a url"}]}'
    assert.same({ nil, false, 'claude-x' }, { cache_request.bypass_reason('generate', body, plain) })
    body = '{ "stream" : true , "model":"cl\\u0061ude","tools":[{"name":"a","input_schema":{}},{"type":"custom"}]}'
    assert.same({ nil, true, 'claude' }, { cache_request.bypass_reason('count', body, plain) })
    assert.is_nil(reason '{}')
    assert.is_nil(reason '{"stream":false,"tools":[]}')
    assert.is_nil(reason [[{"model":"m","system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}],
      "metadata":{"user_id":"u"},"stop_sequences":["a"],"temperature":1,"thinking":{"type":"adaptive"},"top_k":1,
      "tool_choice":{"type":"auto"},"top_p":0.5,"service_tier":"auto","output_config":{"effort":"high"},
      "messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"AAAA"}}]},
      {"role":"assistant","content":[{"type":"tool_use","input":{"url":"http://a","file":"b"}}]}]}]])
  end)

  it('names what refers to something or acts', function()
    for body, expected in pairs {
      ['{"container":"c"}'] = 'container',
      ['{"c\\u006fntainer":"c"}'] = 'container',
      ['{"mcp_servers":[]}'] = 'mcp_servers',
      ['{"context_management":{}}'] = 'context_management',
      ['{"fallbacks":[]}'] = 'unknown_member',
      ['{"Model":"m"}'] = 'unknown_member',
      ['{"":1}'] = 'unknown_member',
      ['{"' .. ('x'):rep(1000) .. '":1}'] = 'unknown_member',
      ['{"model":"a","model":"a"}'] = 'duplicate',
      ['{"model":"a","m\\u006fdel":"b"}'] = 'duplicate',
      ['{"tools":[{"type":"web_search_20250305","name":"web_search"}]}'] = 'server_tool',
      ['{"tools":[{"type":"custom"},{"name":"x","type":"bash_20250124"}]}'] = 'server_tool',
      ['{"tools":[{"type":"custom","type":"web_search"}]}'] = 'server_tool',
      ['{"tools":[{"t\\u0079pe":"web_search"}]}'] = 'server_tool',
      ['{"tools":[{"type":null}]}'] = 'server_tool',
      ['{"tools":[{"type":["custom"]}]}'] = 'server_tool',
      ['{"tools":[{"type":"' .. ('custom'):rep(100) .. '"}]}'] = 'server_tool',
      ['{"tools":["web_search"]}'] = 'server_tool',
      ['{"tools":{"type":"web_search"}}'] = 'server_tool',
      ['{"tools":null}'] = 'server_tool',
      ['{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}'] = 'file_id',
      ['{"messages":[{"content":[{"fil\\u0065_id":"f"}]}]}'] = 'file_id',
      ['{"messages":[{"content":[{"\\u0066\\u0069\\u006c\\u0065\\u005f\\u0069\\u0064":"f"}]}]}'] = 'file_id',
      ['{"file_id":"f"}'] = 'file_id',
      ['{"messages":[{"a":[[[{"b":{"file_id":null}}]]]}]}'] = 'file_id',
      ['{"messages":[{"content":[{"type":"container_upload"}]}]}'] = 'file_id',
      ['{"messages":[{"source":{"type":"url","url":"https://a"}}]}'] = 'url',
      ['{"messages":[{"source":{"url":"https://a","type" : "\\u0075rl"}}]}'] = 'url',
      ['{"stream":1}'] = 'odd_stream',
      ['{"stream":"true"}'] = 'odd_stream',
      ['{"stream":null}'] = 'odd_stream',
      ['[]'] = 'invalid',
      [''] = 'invalid',
      ['{"model":"m"}x'] = 'invalid',
      ['{"model":"m"}\0'] = 'invalid',
      ['{"model":"m",}'] = 'invalid',
      ['{"model":NaN}'] = 'invalid',
      ['{"model":"\255"}'] = 'invalid',
      ['{"tools":[{}'] = 'invalid',
      ['{"tools":[{},]}'] = 'server_tool',
      ['{"messages":[{"type":"url'] = 'invalid',
      ['{"messages":[{"type":"\\x"}]}'] = 'invalid',
      ['\239\187\191{}'] = 'invalid',
      ['{"messages":' .. ('['):rep(600) .. (']'):rep(600) .. '}'] = 'too_deep',
      ['\31\139\8\0\0\0'] = 'invalid',
    } do
      assert.equal(expected, reason(body), body:sub(1, 80))
    end
  end)

  it('tells a key from a text', function()
    for _, body in ipairs {
      '{"messages":[{"content":"{\\"file_id\\":\\"f\\",\\"type\\":\\"url\\"}"}]}',
      '{"messages":[{"file_ids":"x","my_file_id":1,"file_i":2}]}',
      '{"system":"file_id","messages":["file_id",{"x":"type"},"url"]}',
      '{"tools":[{"name":"x","input_schema":{"type":"object","properties":{"url":{"type":"string"}}}}]}',
      '{"tools":[{"name":"type"}]}',
    } do
      assert.is_nil(reason(body), body)
    end
  end)

  it('does not read what the upstream may read otherwise', function()
    local body = '{"model":"m"}'
    assert.equal('unreadable', reason(nil))
    assert.equal('unreadable', reason(body, { has_body = true, length = 9, encoding = 'gzip' }))
    assert.equal('unreadable', reason(body, { has_body = true, length = 9, content_type = 'a/b; charset=utf-7' }))
    assert.equal('unreadable', reason(body, { has_body = true, http2 = true }))
    assert.equal('override', reason(body, { has_body = true, length = 9, override = 'x-http-method' }))
    assert.is_nil(reason(body, { has_body = true, length = 9, content_type = 'application/json; charset=UTF-8' }))
    assert.is_nil((cache_request.bypass_reason('models', nil, { has_body = false })))
    assert.equal('body', (cache_request.bypass_reason('models', nil, { has_body = true, length = 2 })))
    assert.equal('override', (cache_request.bypass_reason('models', nil, { override = 'x-original-url' })))
  end)

  it('pauses in long bodies', function()
    local pauses = 0
    local body = '{"model":"m","messages":[' .. ('{"type":"text"},'):rep(10000) .. '1]}'
    local found = cache_request.bypass_reason('generate', body, plain, {
      yield = function() pauses = pauses + 1 end, every = 10000,
    })
    assert.is_nil(found)
    assert.is_true(pauses > 10 and pauses < 40)
  end)
end)
