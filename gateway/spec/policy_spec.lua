local policy = require 'causeway.core.policy'
local registry = require 'causeway.core.registry'
local cjson = require 'cjson.safe'

local DEFAULTS = { rate = 5, burst = 10, concurrency = 10, max_streams = 10 }

local function consumer(members)
  members.id = 'team-a'
  members.keys = { { id = 'k1', sha256 = ('a1'):rep(32) } }
  local document = cjson.encode { version = 1, consumers = { members } }
  return assert(registry.parse(document, DEFAULTS)):get 'team-a'
end

local function head(more)
  local made = { has_body = true, length = 100, http2 = false }
  for name, value in pairs(more or {}) do
    made[name] = value
  end
  return made
end

local NO_LENGTH = { has_body = true, http2 = false }

local function status(refusal)
  return refusal and { refusal.status, refusal.reason }
end

local CLASSES = { 'generate', 'count', 'batches', 'models', 'files', 'other', 'admin' }

describe('policy', function()
  local open, haiku, small, streams, reader

  before_each(function()
    open = consumer {}
    haiku = consumer { models = { 'claude-haiku-*', 'exact' } }
    small = consumer { maxBodyBytes = 50 }
    streams = consumer { maxStreams = 2 }
    reader = consumer { routes = { 'models', 'count' } }
  end)

  it('asks nothing of a consumer without policies', function()
    for _, class in ipairs(CLASSES) do
      assert.equal(class == 'admin', policy.needs_head(open, class), class)
      assert.is_false(policy.needs_body(open, class, head()), class)
    end
    assert.is_nil(policy.check_head(open, 'generate', { has_body = true, http2 = true, encoding = 'gzip' }))
    assert.same({ 403, 'route_not_allowed' }, status(policy.check_head(open, 'admin', head())))
  end)

  it('lets routes pass that are named, and no others', function()
    for _, class in ipairs(CLASSES) do
      local allowed = class == 'models' or class == 'count'
      assert.same(not allowed and { 403, 'route_not_allowed' } or nil, status(policy.check_head(reader, class, head())))
    end
    assert.is_nil(policy.check_head(consumer { routes = { 'admin' } }, 'admin', head()))
    assert.same({ 403, 'route_not_allowed' }, status(policy.check_head(consumer { routes = {} }, 'generate', head())))
  end)

  it('closes routes that choose models by themselves, unless they are named', function()
    assert.same({ 403, 'route_not_allowed' }, status(policy.check_head(haiku, 'other', head())))
    local named = consumer { models = { 'x' }, routes = { 'other' } }
    assert.is_nil(policy.check_head(named, 'other', head()))
    assert.is_nil(policy.check_head(haiku, 'files', head()))
  end)

  it('refuses what overrides method or path, where these decide', function()
    local overriding = head { override = 'x-http-method-override' }
    assert.same({ 400, 'override' }, status(policy.check_head(haiku, 'generate', overriding)))
    assert.same({ 400, 'override' }, status(policy.check_head(reader, 'models', overriding)))
    assert.is_nil(policy.check_head(open, 'generate', overriding))
  end)

  it('bounds bodies by the length that is said', function()
    assert.is_nil(policy.check_head(small, 'generate', head { length = 50 }))
    assert.same({ 413, 'body_too_large' }, status(policy.check_head(small, 'generate', head { length = 51 })))
    assert.same({ 411, 'length_required' }, status(policy.check_head(small, 'files', NO_LENGTH)))
    assert.is_nil(policy.check_head(small, 'models', { has_body = false, http2 = true }))
  end)

  it('knows which bodies must be read', function()
    local function classes(who)
      local needed = {}
      for _, class in ipairs(CLASSES) do
        if policy.needs_body(who, class, head()) then
          needed[#needed + 1] = class
        end
      end
      return table.concat(needed, ' ')
    end
    assert.equal('generate count batches', classes(haiku))
    assert.equal('generate', classes(streams))
    assert.equal('', classes(small))
    assert.is_false(policy.needs_body(haiku, 'batches', { has_body = false }))
  end)

  it('refuses bodies that cannot be read before they come, where models are limited', function()
    for _, case in ipairs {
      { { encoding = 'gzip' }, 400 }, { { encoding = 'identity' } }, { { encoding = 'Identity' } },
      { { encoding = '' } },
      { { encoding = { 'identity', 'gzip' } }, 400 }, { { encoding = 'identity, gzip' }, 400 },
      { { content_type = 'application/json' } }, { { content_type = 'application/json; charset=UTF-8' } },
      { { content_type = 'application/json; charset="utf-8"' } },
      { { content_type = 'application/json; charset=utf-8; Charset = utf-7' }, 400 },
      { { content_type = 'application/json;charset=gbk' }, 400 }, { { content_type = { 'a/b', 'a/b' } }, 400 },
      { { length = policy.MAX_SCANNED_BYTES } }, { { length = policy.MAX_SCANNED_BYTES + 1 }, 400 },
    } do
      local refusal = policy.check_head(haiku, 'generate', head(case[1]))
      assert.same(case[2] and { case[2], 'unreadable_body' } or nil, status(refusal), cjson.encode(case[1]))
      assert.equal(case[2] == nil, policy.is_readable('generate', head(case[1])))
      -- Where only streams are limited, nothing is refused: it is counted as a stream.
      assert.is_nil(policy.check_head(streams, 'generate', head(case[1])))
    end
  end)

  it('asks for a length where the body could not be bounded without', function()
    assert.is_nil(policy.check_head(haiku, 'generate', NO_LENGTH))
    assert.same({ 411, 'length_required' }, status(policy.check_head(haiku, 'batches', NO_LENGTH)))
    assert.same({ 411, 'length_required' },
      status(policy.check_head(haiku, 'generate', { has_body = true, http2 = true })))
    assert.is_false(policy.is_readable('generate', { has_body = true, http2 = true }))
  end)

  it('reads models and streams', function()
    local function check(who, class, body)
      local refusal, model, stream = policy.check_body(who, class, body)
      return { refusal and refusal.status or 200, model or '', stream }
    end
    assert.same({ 200, 'claude-haiku-4-5', false }, check(haiku, 'generate', '{"model":"claude-haiku-4-5"}'))
    assert.same({ 200, 'exact', true }, check(haiku, 'count', '{"model":"exact","stream":true}'))
    assert.same({ 403, 'exact2', false }, check(haiku, 'generate', '{"model":"exact2"}'))
    assert.same({ 403, 'Claude-haiku-4', false }, check(haiku, 'generate', '{"model":"Claude-haiku-4"}'))
    assert.same({ 400, '', true }, check(haiku, 'generate', '{"model":"exact","model":"exact"}'))
    assert.same({ 400, '', true }, check(haiku, 'generate', ''))
    assert.same({ 400, '', true }, check(haiku, 'generate', nil))
    -- A stream that cannot be told is one.
    assert.same({ 200, '', true }, check(streams, 'generate', 'no JSON'))
    assert.same({ 200, '', true }, check(streams, 'generate', nil))
    assert.same({ 200, 'm', true }, check(streams, 'generate', '{"model":"m","stream":1}'))
    assert.same({ 200, 'm', true }, check(streams, 'generate', '{"model":"m","stream":false,"stream":false}'))
    assert.same({ 200, 'm', false }, check(streams, 'generate', '{"model":"m","stream":null}'))
  end)

  it('reads every model of a batch', function()
    local function batch(...)
      local requests = {}
      for index, model in ipairs { ... } do
        requests[index] = { params = { model = model } }
      end
      return cjson.encode { requests = requests }
    end
    assert.is_nil((policy.check_body(haiku, 'batches', batch('exact', 'claude-haiku-1', 'exact'))))
    local refusal, model = policy.check_body(haiku, 'batches', batch('exact', 'opus', 'exact'))
    assert.same({ 403, 'model_not_allowed' }, status(refusal))
    assert.equal('opus', model)
    assert.same({ 400, 'unreadable_body' }, status(policy.check_body(haiku, 'batches', '{"requests":1}')))
  end)

  it('does not repeat a long name', function()
    local refusal = policy.check_body(haiku, 'generate', '{"model":"' .. ('x'):rep(100000) .. '"}')
    assert.equal(403, refusal.status)
    assert.is_true(#refusal.message < 300)
  end)
end)
