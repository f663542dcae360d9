--- A leaky bucket (GCRA) whose whole state is one number in a shared dictionary.
--
-- What it is for: rate limits of consumers and addresses within one node, for all its workers.
-- How: a key holds its theoretical arrival time (TAT), the time at which the bucket will be empty. With an interval
-- T = 1000 / rate and a tolerance burst * T, a request passes if TAT - now <= burst * T, and then moves TAT to
-- max(TAT, now) + T. So burst + 1 requests pass at once, as nginx's `limit_req burst=… nodelay` lets them, and `rate` a
-- second in the long run.
--
-- Races: workers share the dictionary without a lock, so get-then-set would lose requests counted in between and let
-- more pass than the rate. Here TAT only moves by `incr`, which is atomic and returns the outcome, so every worker sees
-- its own place in the order, and takes its step back if that place is beyond the tolerance, and whatever it moved too
-- far. A key lives little longer than until its bucket is empty, so a new spell begins with `incr`'s own atomic init.
-- What is left:
--   - What is taken back is visible until then, some microseconds unless the worker is put off in between: another
--     request of the same key may be refused at the very edge, or as an idle spell ends, where the burst is worth less
--     than MARGIN_MS for each further worker. The token is not lost; the next request gets it.
--   - Two workers that pass at the same moment may set the key's end in the wrong order, and two that find a key just
--     out of date (their clocks differ by milliseconds) may account for one step together. Either way at most
--     workers - 1 requests go uncounted, once per idle spell.
-- A key that the dictionary evicts for want of room starts again with an empty bucket. Refusals are read-only, so a
-- flood of them costs one `get` each and disturbs nobody.
--
-- Rounding: times are kept on a grid of 1/2048 ms, on which doubles of today's epoch add and subtract exactly, so steps
-- that are taken back leave no trace. T is rounded up to it: never above the rate, and below it by at most 0.05 % at
-- 1,000 a second (in proportion to the rate).
--
-- Units: milliseconds; rates per second, fractions allowed; the store's ttl in seconds.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get(key)`, `set(key, value, ttl)`,
-- `incr(key, value, init, init_ttl)` and `expire(key, ttl)`.

local ceil = math.ceil
local floor = math.floor

local _M = {}

local GRID = 2048
-- The clock ticks in milliseconds. With no burst a key that runs empty between two ticks would lose the rest of its
-- tick each time and never reach its rate; this much tolerance keeps it. Above 1,000 a second it lets rate / 1,000
-- pass within one tick, burst or not.
local TICK = 1
-- A TAT further ahead than a full bucket comes from a clock that was set back, or from a limit that was tightened.
-- Some steps beyond are left for workers that are just now taking theirs back.
local SLACK_STEPS, SLACK_MS = 4, 1000
-- A key outlives its bucket's emptying by this much, so that workers whose clocks differ by less agree on its TAT.
local MARGIN_MS = 100

--- Counts one request.
-- @param store       see above
-- @param key         string
-- @param rate_per_s  requests a second, above 0
-- @param burst       requests beyond the first that may come at once, 0 or more
-- @param now_ms      the time
-- @return allowed         boolean
-- @return remaining       requests that would pass right now after this one
-- @return reset_ms        until the bucket is empty
-- @return retry_after_ms  until a request passes; 0 if this one did
-- @return err             what the store refused; the request then passes, for a limiter that cannot count must not
--   close the gateway
function _M.check(store, key, rate_per_s, burst, now_ms)
  local step = ceil(1000 / rate_per_s * GRID) / GRID
  local tolerance = burst * step
  if tolerance < TICK then
    tolerance = TICK
  end
  local now = floor(now_ms * GRID) / GRID
  local full = tolerance + step

  local tat = store:get(key)
  if tat and tat - now > tolerance then
    if tat - now > full + SLACK_STEPS * step + SLACK_MS then
      -- Rare, so the race of a plain set does not matter: the bucket is full, as it is after a burst.
      tat = now + full
      store:set(key, tat, (full + MARGIN_MS) / 1000)
    end
    return false, 0, tat - now, tat - now - tolerance
  end

  -- A TAT that has fallen behind moves to now in the same step.
  local gap = tat and tat < now and now - tat or 0
  local after, err = store:incr(key, gap + step, now, (step + MARGIN_MS) / 1000)
  if not after then
    return true, 0, step, 0, err
  end
  local before = after - gap - step
  if before - now > tolerance then
    -- Other workers have taken the last tokens since the `get`.
    store:incr(key, -gap - step)
    return false, 0, before - now, before - now - tolerance
  end
  local due = (before > now and before or now) + step
  if after ~= due then
    -- Since the `get`, another worker has moved it too, or begun the key.
    after, err = store:incr(key, due - after)
    if not after then
      return true, 0, step, 0, err
    end
  end
  local ahead = after - now
  store:expire(key, (ahead + MARGIN_MS) / 1000)
  local remaining = floor((full - ahead) / step)
  return true, remaining > 0 and remaining or 0, ahead, 0
end

return _M
