local cjson = require 'cjson.safe'
local emf = require 'causeway.core.emf'
local catalogue = require 'causeway.core.metrics'

-- What the record asks of the gateway: nothing of it is looked at here.
local STUBS = {
  ['causeway.io.consumer_limits'] = { count_usage = function() end },
  ['causeway.phase.verdict'] = { settle = function() return false end },
  ['causeway.settings'] = { environment = 'prod', region = 'eu-west-1' },
}

-- A record that has made no line yet.
local function new_record()
  local kept = {}
  for name, stub in pairs(STUBS) do
    kept[name], package.loaded[name] = package.loaded[name], stub
  end
  kept['causeway.phase.record'], package.loaded['causeway.phase.record'] = package.loaded['causeway.phase.record'], nil
  local record = require 'causeway.phase.record'
  for _, name in ipairs { 'causeway.io.consumer_limits', 'causeway.phase.verdict', 'causeway.settings',
    'causeway.phase.record' }
  do
    package.loaded[name] = kept[name]
  end
  return record
end

local FACTS = {
  request_time = '0.042', request_length = '1432', bytes_sent = '917', upstream_connect_time = '0.000',
  upstream_header_time = '0.030', upstream_response_time = '0.031', completion = 'OK', remote_addr = '192.0.2.7',
  server_protocol = 'HTTP/1.1', upstream_status = '200', upstream_addr = '198.51.100.1:443',
  upstream_request_id = 'req_011', user_agent = 'anthropic-sdk/1',
}
local ORDER = {
  'request_time', 'request_length', 'bytes_sent', 'upstream_connect_time', 'upstream_header_time',
  'upstream_response_time', 'completion', 'remote_addr', 'server_protocol', 'upstream_status', 'upstream_addr',
  'upstream_request_id', 'user_agent',
}

local function facts(other)
  local values = {}
  for index, name in ipairs(ORDER) do
    values[index] = other and other[name] or FACTS[name]
  end
  return table.concat(values, '\n')
end

local function request(other)
  local made = {
    id = 'req_1', started = 1000, ended = 1042, began_at = 1795430000.123, passed = 1001, balanced = 1002,
    whole = true,
    head = { method = 'POST', target = '/v1/messages' }, route_class = 'generate', consumer_id = 'team-a',
    upstream = 'anthropic',
    status = 200, facts = facts(), concluded = true, upstream_status = 200,
  }
  for name, value in pairs(other or {}) do
    made[name] = value
  end
  return made
end

local function line_of(record, of)
  local metrics, properties = {}, {}
  local shared = record.fill(of, metrics, properties)
  if not shared then
    return nil
  end
  local line = emf.line(catalogue, 1795430000200, { { metrics = metrics } }, properties, shared)
  local names = {}
  -- The decoder takes the last of two.
  for name in line:sub(1, line:find('"_aws"', 1, true)):gmatch('[{,]"([%a%d]+)":') do
    assert.is_nil(names[name], name)
    names[name] = true
  end
  return assert(cjson.decode(line))
end

local record = new_record()

describe('the line of a request', function()
  it('says what became of it', function()
    local line = line_of(record, request { used = { input = 9, output = 3, model = 'claude-sonnet-5-5' } })
    for name, value in pairs {
      Environment = 'prod', Region = 'eu-west-1', RouteClass = 'generate', Consumer = 'team-a', consumer = 'team-a',
      method = 'POST', path = '/v1/messages', status = 200, Upstream = 'anthropic', upstreamStatus = 200,
      upstreamAddress = '198.51.100.1:443', upstreamRequestId = 'req_011', clientAddress = '192.0.2.7',
      protocol = 'HTTP/1.1', userAgent = 'anthropic-sdk/1', startTime = '2026-11-23T10:33:20.123Z', requestId = 'req_1',
      Model = 'claude-sonnet-5-5', model = 'claude-sonnet-5-5', stream = false, Requests = 1, InternalErrors = 0,
      Latency = 42, TimeToFirstByte = 30, RequestBytes = 1432, ResponseBytes = 917, InputTokens = 9, OutputTokens = 3,
    } do
      assert.same({ name, value }, { name, line[name] })
    end
  end)

  it('has the figures of the last try alone, which may have none; the time of all tries is the upstream\'s', function()
    for _, tries in ipairs { '0.030 : -', '0.030, -', '-', '', '0.030 : ' } do
      local line = line_of(record, request {
        facts = facts { upstream_header_time = tries, upstream_connect_time = tries },
      })
      assert.same({ tries }, { tries, line.TimeToFirstByte, line.UpstreamConnectTime })
    end
    local line = line_of(record, request {
      facts = facts {
        upstream_header_time = '0.011, 0.013 : 0.017', upstream_connect_time = '- : 0.002',
        upstream_response_time = '0.012, 0.014 : 0.009',
      },
    })
    assert.same({ 17, 2 }, { line.TimeToFirstByte, line.UpstreamConnectTime })
    -- 42 ms in all, 1 until it was passed on, and 40 on its way, of which the upstream took 35.
    assert.equal(42 - 1 - 35, line.GatewayLatency)
  end)

  it('begins at the millisecond at which the request did', function()
    for ms = 0, 999 do
      local line = line_of(record, request { began_at = 1795430000 + ms / 1000 })
      assert.equal(('2026-11-23T10:33:20.%03dZ'):format(ms), line.startTime)
    end
  end)

  it('takes headers as they are', function()
    local line = line_of(record, request {
      facts = facts { upstream_request_id = 'req|1|"', user_agent = 'claude|cli "1.0"\t|' },
    })
    assert.same({ 'req|1|"', 'claude|cli "1.0"\t|' }, { line.upstreamRequestId, line.userAgent })
  end)

  it('has nothing of the lines before it', function()
    math.randomseed(20261128)
    local function one_of(list)
      local value = list[math.random(#list)]
      return value ~= 'none' and value or nil
    end
    for _ = 1, 3000 do
      local model = one_of { 'claude-a', 'claude-b', 'odd model', 'none' }
      local of = request {
        facts = facts {
          completion = one_of { 'OK', '' }, remote_addr = one_of { '192.0.2.7', '2001:db8::1' },
          upstream_status = one_of { '200', '529', '502, 200', '-', '' }, server_protocol = one_of { 'HTTP/1.1', '' },
          upstream_request_id = one_of { 'req_1', '' }, user_agent = one_of { '', 'curl' },
        },
        head = {
          method = one_of { 'POST', 'GET', 'none' },
          target = one_of { '/v1/messages', '/v1/messages?beta=true', '/v1/models' },
        },
        route_class = one_of { 'generate', 'count', 'models' },
        consumer_id = one_of { 'team-a', 'team-b' }, upstream = one_of { 'anthropic', 'bedrock' },
        status = one_of { 200, 401, 429, 499, 529 }, unproven = one_of { true, 'none' },
        stream = one_of { true, 'none' }, refusal = one_of { 'rate', 'none', 'none' }, fetch = one_of { true, 'none' },
        cache = one_of { 'HIT', 'MISS', 'none' }, asked_model = one_of { 'claude-asked', 'none' },
        probe = one_of { true, 'none', 'none' }, concluded = true, upstream_status = nil,
        used = one_of { { input = 1, output = 2, model = model }, 'none' },
      }
      of.balanced = one_of { 1002, 'none' }
      if one_of { true, 'none', 'none', 'none' } then
        of.consumer_id = nil
      end
      of.upstream_status = of.balanced and tonumber((of.facts:match '(%d+)\n[^\n]*\n[^\n]*\n[^\n]*$'))
      assert.same(line_of(new_record(), of), line_of(record, of))
    end
  end)

  local function grown(number_of_lines, line)
    collectgarbage()
    local before = collectgarbage 'count'
    for number = 1, number_of_lines do
      line(number)
    end
    collectgarbage()
    return collectgarbage 'count' - before
  end

  it('keeps nothing that clients can make as long as they like', function()
    local kilobytes = grown(3000, function(number)
      line_of(record, request {
        status = 401, balanced = false, head = { method = 'M' .. number % 1500 },
        consumer_id = ('c'):rep(200) .. number,
        facts = facts { server_protocol = 'HTTP/1.' .. ('0'):rep(10000 + number) .. '1', upstream_status = '-' },
      })
    end)
    assert.is_true(kilobytes < 1000, kilobytes)
  end)

  it('keeps no more than some of what clients can make as many as they like', function()
    for _, methods in ipairs { 1, 64, 6000 } do
      local kilobytes = grown(6000, function(number)
        line_of(record, request {
          status = 401, balanced = false, head = { method = 'M' .. ('X'):rep(100) .. number % methods },
          facts = facts { remote_addr = '2001:db8::' .. math.floor(number / methods), upstream_status = '-' },
        })
      end)
      assert.is_true(kilobytes < 2500, ('%d KB with %d methods'):format(kilobytes, methods))
    end
  end)
end)
