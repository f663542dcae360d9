--- Counts within a sliding window, kept in a dictionary that workers share.
--
-- How: the window is cut into buckets, each a number that is added to by `incr`. A sum takes the bucket that is running
-- and those before it, so it covers between nine tenths of the window and all of it. Buckets go by their own ttl.
-- Units: milliseconds; the store's ttl in seconds.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `incr(key, value, init, init_ttl)`,
-- `delete`.

local floor = math.floor

local M = {}
M.__index = M

local BUCKETS = 10

--- @tparam table store see above
-- @tparam number window_ms
function M.new(store, window_ms)
  local bucket_ms = window_ms / BUCKETS
  return setmetatable({ store = store, bucket_ms = bucket_ms, ttl = (window_ms + bucket_ms) / 1000 }, M)
end

--- The key that a name's running bucket has, for what is more than a number.
function M:key(name, now)
  return name .. ' ' .. floor(now / self.bucket_ms)
end

--- Adds to a count.
-- @tparam string name
-- @tparam number count
-- @tparam number now
function M:add(name, count, now)
  return self.store:incr(name .. ' ' .. floor(now / self.bucket_ms), count, 0, self.ttl)
end

--- What was added within the window.
function M:sum(name, now)
  local store, sum, running = self.store, 0, floor(now / self.bucket_ms)
  for bucket = running - BUCKETS + 1, running do
    sum = sum + (store:get(name .. ' ' .. bucket) or 0)
  end
  return sum
end

--- The values of a name's buckets, oldest first, for what is more than a number.
-- @treturn {any,...} those that are there
function M:values(name, now)
  local store, found, running = self.store, {}, floor(now / self.bucket_ms)
  for bucket = running - BUCKETS + 1, running do
    found[#found + 1] = store:get(name .. ' ' .. bucket)
  end
  return found
end

--- Forgets a count.
function M:clear(name, now)
  local running = floor(now / self.bucket_ms)
  for bucket = running - BUCKETS, running do
    self.store:delete(name .. ' ' .. bucket)
  end
end

return M
