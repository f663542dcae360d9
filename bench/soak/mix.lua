-- wrk's side of the soak test: a day's mix of requests. SOAK_KEYS holds the consumers' keys, separated by commas.
local keys = {}
for key in os.getenv('SOAK_KEYS'):gmatch('[^,]+') do
  keys[#keys + 1] = key
end
math.randomseed(tonumber(os.getenv('SOAK_SEED')))
local DIFFERENT = 200000

local function body(stream)
  return ('{"model":"claude-sonnet-4-5","max_tokens":64,%s"messages":[{"role":"user","content":"%d %s"}]}'):format(
    stream and '"stream":true,' or '', math.random(DIFFERENT), ('x'):rep(math.random(400)))
end

local function headers(more)
  local all = {
    ['x-api-key'] = keys[math.random(#keys)],
    ['anthropic-version'] = '2023-06-01',
    ['content-type'] = 'application/json',
  }
  for name, value in pairs(more or {}) do
    all[name] = value
  end
  return all
end

-- Share of 1000 -> request
local MIX = {
  { 300, function() return wrk.format('POST', '/v1/messages', headers(), body()) end },
  { 100, function() return wrk.format('POST', '/v1/messages', headers({ ['x-soak'] = 'stream' }), body(true)) end },
  { 150, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-causeway-cache'] = 'max-age=60' }), body())
  end },
  { 50, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-causeway-cache'] = 'outage', ['x-soak'] = 'stream' }), body(true))
  end },
  { 20, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-causeway-cache'] = 'max-age=60', ['x-soak'] = 'in-band' }), body(true))
  end },
  { 10, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-causeway-cache'] = 'max-age=60', ['x-soak'] = 'cut' }), body(true))
  end },
  { 2, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-causeway-cache'] = 'max-age=60', ['x-soak'] = 'large' }), body())
  end },
  { 150, function() return wrk.format('POST', '/v1/messages/count_tokens', headers(), body()) end },
  { 100, function() return wrk.format('GET', '/v1/models?limit=' .. math.random(1000), headers()) end },
  { 20, function() return wrk.format('POST', '/v1/messages', headers({ ['x-soak'] = '529' }), body()) end },
  { 20, function() return wrk.format('POST', '/v1/messages', headers({ ['x-soak'] = '429' }), body()) end },
  { 20, function() return wrk.format('POST', '/v1/messages', headers({ ['x-soak'] = '400' }), body()) end },
  { 30, function()
    return wrk.format('POST', '/v1/messages', headers({ ['x-api-key'] = 'cw_unknown_' .. math.random(1e9) }), body())
  end },
  { 28, function() return wrk.format('GET', '/v1/files/file_' .. math.random(1e9), headers()) end },
}

local total = 0
for _, entry in ipairs(MIX) do
  total = total + entry[1]
end

function request()
  local at = math.random(total)
  for _, entry in ipairs(MIX) do
    at = at - entry[1]
    if at <= 0 then
      return entry[2]()
    end
  end
end

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function response(status)
  statuses = statuses or {}
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary)
  local all = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get('statuses') or {}) do
      all[status] = (all[status] or 0) + count
    end
  end
  local parts = {}
  for status, count in pairs(all) do
    parts[#parts + 1] = ('"%d":%d'):format(status, count)
  end
  local errors = summary.errors
  io.write(('\n{"requests":%d,"socketErrors":%d,"statuses":{%s}}\n'):format(
    summary.requests, errors.connect + errors.read + errors.write + errors.timeout, table.concat(parts, ',')))
end
