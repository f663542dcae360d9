local cjson = require 'cjson.safe'
local emf = require 'causeway.core.emf'
local text = require 'causeway.core.text'

local ENVIRONMENT = { 'Environment', 'Region' }
local ROUTE = { 'Environment', 'Region', 'RouteClass' }

local CATALOGUE = {
  Requests = { unit = 'Count', dimensions = { ENVIRONMENT, ROUTE } },
  Latency = { unit = 'Milliseconds', dimensions = { ENVIRONMENT, ROUTE } },
  Connections = { unit = 'Count', dimensions = { ENVIRONMENT } },
  Tokens = { unit = 'Count', dimensions = { { 'Consumer' } } },
}

local NOW = 1795430000123

local function base(more)
  local properties = { Environment = 'prod', Region = 'eu-west-1', RouteClass = 'generate' }
  for name, value in pairs(more or {}) do
    properties[name] = value
  end
  return properties
end

local function line(metrics, properties, dimensions)
  local made = emf.line(CATALOGUE, NOW, { { metrics = metrics, dimensions = dimensions } }, properties or base())
  assert.is_nil(made:find '[\r\n]')
  return assert(cjson.decode(made)), made
end

describe('emf.line', function()
  it('is what CloudWatch expects', function()
    local more = { Status = 200, Cached = false, RequestId = 'r1' }
    local decoded, made = line({ Requests = 1, Latency = 12.5 }, base(more))
    assert.same({
      _aws = {
        Timestamp = NOW,
        CloudWatchMetrics = { {
          Namespace = 'Causeway',
          Dimensions = { ENVIRONMENT, ROUTE },
          Metrics = { { Name = 'Latency', Unit = 'Milliseconds' }, { Name = 'Requests', Unit = 'Count' } },
        } },
      },
      Environment = 'prod', Region = 'eu-west-1', RouteClass = 'generate',
      Status = 200, Cached = false, RequestId = 'r1', Requests = 1, Latency = 12.5,
    }, decoded)
    assert.is_truthy(made:find('"Timestamp":1795430000123,', 1, true))
  end)

  it('groups metrics by their dimension sets', function()
    local directives = line({ Requests = 1, Connections = 7 })._aws.CloudWatchMetrics
    assert.same({ { ENVIRONMENT }, { ENVIRONMENT, ROUTE } }, { directives[1].Dimensions, directives[2].Dimensions })
    assert.same({ { Name = 'Connections', Unit = 'Count' } }, directives[1].Metrics)
    assert.same({ { Name = 'Requests', Unit = 'Count' } }, directives[2].Metrics)
  end)

  it('leaves out dimension sets that the line cannot fill', function()
    local properties = { Environment = 'prod', Region = 'eu-west-1' }
    assert.same({ ENVIRONMENT }, line({ Requests = 1 }, properties)._aws.CloudWatchMetrics[1].Dimensions)
    properties.RouteClass = ''
    assert.same({ ENVIRONMENT }, line({ Requests = 1 }, properties)._aws.CloudWatchMetrics[1].Dimensions)
    properties.RouteClass = ' '
    assert.same({ ENVIRONMENT }, line({ Requests = 1 }, properties)._aws.CloudWatchMetrics[1].Dimensions)
    properties.RouteClass = 'count'
    assert.same({ ENVIRONMENT, ROUTE }, line({ Requests = 1 }, properties)._aws.CloudWatchMetrics[1].Dimensions)
    local decoded = line({ Tokens = 5 }, properties)
    assert.same({}, decoded._aws.CloudWatchMetrics)
    assert.equal(5, decoded.Tokens)
  end)

  it('takes directives with dimensions of their own', function()
    local decoded = assert(cjson.decode(emf.line(CATALOGUE, NOW, {
      { metrics = { Requests = 1 }, dimensions = { ROUTE } },
      { metrics = { Latency = 3 }, dimensions = { ENVIRONMENT } },
      { metrics = { Tokens = 9 } },
    }, base { Consumer = 'team-a' })))
    local directives = decoded._aws.CloudWatchMetrics
    assert.same({ { ROUTE }, { ENVIRONMENT }, { { 'Consumer' } } },
      { directives[1].Dimensions, directives[2].Dimensions, directives[3].Dimensions })
  end)

  it('does not mix up lines that differ in dimensions only', function()
    assert.same({ ROUTE }, line({ Requests = 1 }, nil, { ROUTE })._aws.CloudWatchMetrics[1].Dimensions)
    assert.same({ ENVIRONMENT }, line({ Requests = 1 }, nil, { ENVIRONMENT })._aws.CloudWatchMetrics[1].Dimensions)
    assert.same({ ENVIRONMENT, ROUTE }, line({ Requests = 1 })._aws.CloudWatchMetrics[1].Dimensions)
  end)

  it('leaves out values that are no numbers to CloudWatch', function()
    local decoded = line { Requests = 0 / 0, Latency = math.huge, Connections = -math.huge, Tokens = nil }
    assert.same({}, decoded._aws.CloudWatchMetrics)
    assert.is_nil(decoded.Requests)
    assert.is_nil(decoded.Latency)
    assert.is_nil(decoded.Connections)
    local names = line({ Requests = 0 / 0, Latency = 1 })._aws.CloudWatchMetrics[1].Metrics
    assert.same({ { Name = 'Latency', Unit = 'Milliseconds' } }, names)
    assert.is_nil(line({ Requests = 1 }, base { Ratio = 0 / 0 }).Ratio)
  end)

  it('writes every number as JSON', function()
    for _, value in ipairs { 0, -1, 0.1, 1e-9, 1e15, 1e21, 123456789012, 1 / 3 } do
      assert.is_true(math.abs(line({ Latency = value }).Latency - value) <= math.abs(value) * 1e-13)
    end
  end)

  it('gives the same members for the same input, in whatever order they came', function()
    local first = line({ Requests = 1, Latency = 2, Connections = 3 }, base { B = 1, A = 2, C = 'x' })
    local again = line({ Connections = 3, Latency = 2, Requests = 1 }, base { C = 'x', A = 2, B = 1 })
    assert.same(first, again)
  end)

  it('stays valid JSON on one line whatever a property holds', function()
    local all = {}
    for code = 0, 255 do
      all[code + 1] = string.char(code)
    end
    local decoded = line({ Requests = 1 }, base { Hostile = table.concat(all), Quote = '","_aws":{"x":1},"y":"' })
    assert.is_true(text.is_utf8(decoded.Hostile))
    assert.equal('","_aws":{"x":1},"y":"', decoded.Quote)
    math.randomseed(5)
    for _ = 1, 2000 do
      local bytes = {}
      for index = 1, math.random(0, 300) do
        bytes[index] = string.char(math.random(0, 255))
      end
      local hostile = table.concat(bytes)
      decoded = line({ Requests = 1 }, base { Hostile = hostile, Consumer = hostile })
      assert.is_true(text.is_utf8(decoded.Hostile))
    end
  end)

  it('cuts long strings between characters', function()
    assert.equal(('x'):rep(256), line({ Requests = 1 }, base { Long = ('x'):rep(10000) }).Long)
    assert.equal(('x'):rep(255), line({ Requests = 1 }, base { Long = ('x'):rep(255) .. '€' }).Long)
  end)

  it('says again what it said before, and more different values than it keeps', function()
    for _ = 1, 2 do
      for _, value in ipairs { 'a', 'a', '1', 1, true, false, 'true', 0.5 } do
        assert.equal(value, line({ Requests = 1 }, base { Same = value }).Same)
      end
      assert.is_nil(line({ Requests = 1 }, base { Same = 0 / 0 }).Same)
    end
    for index = 1, 10000 do
      local value = 'value ' .. index
      local made = emf.line(CATALOGUE, NOW, {}, { Many = value })
      assert.is_truthy(made:find('"Many":"' .. value .. '",', 1, true))
    end
    assert.equal('a', line({ Requests = 1 }, base { Same = 'a', Many = 'value 1' }).Same)
  end)

  it('writes dimensions as strings', function()
    assert.equal('7', line({ Requests = 1 }, base { RouteClass = 7 }).RouteClass)
  end)

  it('throws on programming errors', function()
    local function throws(pattern, ...)
      local ok, message = pcall(emf.line, CATALOGUE, NOW, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(pattern), message)
    end
    throws('not in the catalogue: Nope', { { metrics = { Nope = 1 } } }, base())
    throws('not in the catalogue: Nope', { { metrics = { Nope = 1, Requests = 1 } } }, base())
    throws('dimensions not in the catalogue', { { metrics = { Connections = 1 }, dimensions = { ROUTE } } }, base())
    throws('is not a number but string', { { metrics = { Requests = '1' } } }, base())
    throws('two directives', { { metrics = { Requests = 1 } }, { metrics = { Requests = 2 } } }, base())
    throws('not a name for a property: Requests', {}, { Requests = 'x' })
    throws('not a name for a property: _aws', {}, { _aws = 'x' })
    throws('the property A is a table', {}, { A = {} })
  end)

  it('counts what escapes and repaired bytes become', function()
    for _, unit in ipairs({ '"', '\\', '\1', '\255', '\1"x\255', 'ü\255' }) do
      for _, name in ipairs({ 'path', 'upstreamRequestId' }) do
        local properties = { [name] = unit:rep(1000) }
        local long = emf.line(CATALOGUE, NOW, {}, properties)
        local shortest = emf.line(CATALOGUE, NOW, {}, { [name] = '' })
        assert.is_true(#long - #shortest <= emf.MAX_STRING, name .. ' ' .. #long)
        -- No more is lost than a character's escape takes.
        assert.is_true(#long - #shortest > emf.MAX_STRING / 2, name .. ' ' .. #long)
        assert.is_string(cjson.decode(long)[name])
      end
    end
  end)

  it('keeps to the limits of the format', function()
    local wide, many, values = { 'd1' }, {}, {}
    for index = 2, 31 do
      wide[index] = 'd' .. index
    end
    assert.has_error(function()
      emf.line({ A = { unit = 'Count', dimensions = { wide } } }, NOW, { { metrics = { A = 1 } } }, {})
    end)
    for index = 1, 101 do
      many['M' .. index] = { unit = 'Count', dimensions = { { 'D' } } }
      values['M' .. index] = index
    end
    assert.has_error(function() emf.line(many, NOW, { { metrics = values } }, { D = 'd' }) end)
    values.M101 = nil
    local decoded = cjson.decode(emf.line(many, NOW, { { metrics = values } }, { D = 'd' }))
    assert.equal(100, #decoded._aws.CloudWatchMetrics[1].Metrics)
  end)

  it('bounds what it remembers', function()
    local metrics = {}
    for index = 1, 12 do
      metrics['M' .. index] = { unit = 'Count', dimensions = { { 'D' } } }
    end
    for bits = 1, 2000 do
      local values, expected = {}, 0
      for index = 1, 12 do
        if math.floor(bits / 2 ^ (index - 1)) % 2 == 1 then
          values['M' .. index] = 1
          expected = expected + 1
        end
      end
      local decoded = cjson.decode(emf.line(metrics, NOW, { { metrics = values } }, { D = 'd' }))
      assert.equal(expected, #decoded._aws.CloudWatchMetrics[1].Metrics)
    end
    assert.has_error(function()
      for index = 1, emf.MAX_PROPERTY_NAMES + 1 do
        emf.line(metrics, NOW, {}, { ['p' .. index] = 1 })
      end
    end)
  end)

  it('is the same with properties that lines have in common', function()
    local own = { RequestId = 'r1', Status = 200 }
    local shared = { Consumer = 'a "b"', Cached = false, Nothing = 0 / 0, Number = 1.5 }
    local metrics = { { metrics = { Requests = 1, Latency = 2, Tokens = 3 } } }
    for _, places in ipairs { { base(own), shared }, { own, base(shared) }, { {}, base { Consumer = 'x' } } } do
      local all = {}
      for _, properties in ipairs(places) do
        for name, value in pairs(properties) do
          all[name] = value
        end
      end
      local kept = emf.share(CATALOGUE, places[2])
      for _ = 1, 2 do
        assert.same(
          cjson.decode(emf.line(CATALOGUE, NOW, metrics, all)),
          cjson.decode(emf.line(CATALOGUE, NOW, metrics, places[1], kept))
        )
      end
      -- A directive with dimensions of its own looks for them there too.
      local own_dimensions = { { metrics = { Tokens = 3 }, dimensions = { { 'Consumer' } } } }
      assert.same(
        cjson.decode(emf.line(CATALOGUE, NOW, own_dimensions, all)),
        cjson.decode(emf.line(CATALOGUE, NOW, own_dimensions, places[1], kept))
      )
    end
    assert.has_error(function() emf.share(CATALOGUE, { Requests = 1 }) end)
    assert.has_error(function() emf.share(CATALOGUE, { Table = {} }) end)
  end)
end)
