-- wrk's side of the benchmark: one request again and again, and a line of JSON at the end.
wrk.method = os.getenv('BENCH_METHOD')
wrk.path = os.getenv('BENCH_PATH')
if wrk.method == 'POST' then
  wrk.body = '{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"' .. ('x'):rep(920) .. '"}]}'
end
if os.getenv('BENCH_CACHE') ~= '' then
  wrk.headers['x-causeway-cache'] = os.getenv('BENCH_CACHE')
end
wrk.headers['x-api-key'] = os.getenv('BENCH_KEY')
wrk.headers['anthropic-version'] = '2023-06-01'
wrk.headers['content-type'] = 'application/json'

local pause_ms = tonumber(os.getenv('BENCH_PAUSE_MS'))
if pause_ms > 0 then
  -- Not all at once.
  function delay()
    return math.random(0, 2 * pause_ms)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(
    string.format(
      '\n{"requests":%d,"requestsPerSecond":%.1f,"p50Ms":%.4f,"p99Ms":%.4f,"maxMs":%.4f,"errors":%d}\n',
      summary.requests,
      summary.requests / (summary.duration / 1e6),
      latency:percentile(50) / 1000,
      latency:percentile(99) / 1000,
      latency.max / 1000,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
    )
  )
end
