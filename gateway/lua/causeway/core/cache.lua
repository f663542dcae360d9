--- The rules of the two tiers: which copy may be served, how old it may be, what is kept.
--
-- Ages are counted from the upstream's answer, whatever tiers a copy has passed since. A copy
--   - is fresh while its age is below what the request allows (`want.max_age`) and below `ttl.shared_seconds`, and it
--     came into this node's memory less than `ttl.proxy_seconds` ago: then the shared tier is asked again, so that a
--     node does not hold on to a copy that another one has replaced. Without a shared tier its age must be below
--     `ttl.proxy_seconds`;
--   - is kept until `ttl.outage_seconds`, for when the upstream does not answer;
--   - is served to nobody but the consumer whom it was given to, while the request's epoch is the consumer's current
--     one (a request that began before a purge must not end with a copy from before it), and while the node knows what
--     is current (`confirmed`). In `passthrough`, only while the upstream has accepted the credential lately.
-- Of two copies of one answer the newer counts. One from the future is from a clock that is wrong, and counts as none.
--
-- Units: milliseconds on `clock`, seconds in `ttl`, `max_age` and ages that are returned.
-- Shapes: an entry is that of core/cache_entry. A place is where an answer of one identity is kept:
--   { key = SHA-256 of core/cache_key's identity, consumer = id, epoch = the one in the key,
--     credential = SHA-256 of the client's own, in `passthrough`; else nil }
-- The node's own tier `l1` has
--   get(key) -> bytes, epoch ms at which they came in; nil where there are none
--   set(place, bytes, entered_ms, ttl_seconds) -> true, or nil, why not
-- and the shared tier `l2`
--   get(place) -> bytes, or nil: none, or it cannot be asked; may wait
--   set(place, bytes, ttl_seconds) -> true, or nil, why not; may wait

local cache_entry = require('causeway.core.cache_entry')

local max = math.max
local min = math.min

local M = {}
local Cache = {}
Cache.__index = Cache

-- Copies that a worker keeps as it read them, so that one that is asked for again and again is not taken apart again:
-- how long each may be, and all of them.
local MAX_READ_BYTES, MAX_ALL_READ_BYTES = 16384, 1048576
-- Clocks of a fleet differ by milliseconds; seconds are a mistake.
local MAX_AHEAD_MS = 5000

--- The cache of a node.
-- @tparam table parts
--   { l1, l2 = nil without a shared tier, clock = function() -> epoch ms,
--     ttl = { proxy_seconds, shared_seconds, outage_seconds }, max_item_bytes,
--     epoch = function(consumer id) -> its current epoch,
--     confirmed = function() -> whether that is known to be current, within the time in which a revocation must hold,
--     accepted = function(credential) -> whether the upstream has accepted it within that time }
-- @treturn table cache
function M.new(parts)
  return setmetatable({
    l1 = parts.l1,
    l2 = parts.l2,
    clock = parts.clock,
    epoch = parts.epoch,
    confirmed = parts.confirmed,
    accepted = parts.accepted,
    max_item_bytes = parts.max_item_bytes,
    proxy_ms = parts.ttl.proxy_seconds * 1000,
    shared_ms = parts.ttl.shared_seconds * 1000,
    outage_ms = parts.ttl.outage_seconds * 1000,
    -- key -> { bytes, entry }
    read_lately = {},
    read_bytes = 0,
  }, Cache)
end

-- Whether a copy may be given for this place at all.
function Cache:is_open(place)
  return self.confirmed() and self.epoch(place.consumer) == place.epoch
    and (place.credential == nil or self.accepted(place.credential))
end

-- The entry of some bytes. It is not to be changed: who reads the same bytes next gets the same one.
function Cache:decode(bytes, key)
  local known = self.read_lately[key]
  if known and known[1] == bytes then
    return known[2]
  end
  local entry = cache_entry.decode(bytes, key)
  if entry and #bytes <= MAX_READ_BYTES then
    if self.read_bytes + #bytes > MAX_ALL_READ_BYTES then
      self:forget()
    end
    self.read_bytes = self.read_bytes + #bytes
    self.read_lately[key] = { bytes, entry }
  end
  return entry
end

--- Forgets what was read lately. To be called every second or so: what a tier no longer has is not to be kept here.
function Cache:forget()
  self.read_lately, self.read_bytes = {}, 0
end

-- The entry of some bytes, if this place's consumer may ever see it now.
function Cache:read(bytes, place, now)
  local entry = bytes and self:decode(bytes, place.key)
  if not entry or entry.consumer ~= place.consumer then
    return nil
  end
  local age = now - entry.stored_at
  if age < -MAX_AHEAD_MS or age >= self.outage_ms then
    return nil
  end
  return entry
end

-- The node's own copy, and since when it has been here.
function Cache:read_l1(place, now)
  local bytes, entered = self.l1:get(place.key)
  local entry = self:read(bytes, place, now)
  if not entry then
    return nil
  end
  return entry, bytes, entered
end

-- Puts a copy into the node's tier, as come in now.
function Cache:keep(place, entry, bytes, now)
  return self.l1:set(place, bytes, now, (entry.stored_at + self.outage_ms - now) / 1000)
end

-- Whether a copy came in so lately that the shared tier need not be asked. Where the clock was set back, it is.
function Cache:is_recent(entered, now)
  return entered - now <= MAX_AHEAD_MS and now - entered < self.proxy_ms
end

-- The newer of what the node has and what the shared tier has; nil where the shared tier has none, for then nothing
-- vouches for the node's own being the last.
function Cache:ask_shared(place, own, own_bytes, entered)
  local bytes = self.l2:get(place)
  -- That may have taken its time.
  local now = self.clock()
  local entry = self:read(bytes, place, now)
  if not entry then
    return nil
  end
  if own and own.stored_at >= entry.stored_at then
    entry, bytes = own, own_bytes
  end
  if entry ~= own or not self:is_recent(entered, now) then
    self:keep(place, entry, bytes, now)
  end
  return entry
end

local function age_seconds(entry, now)
  return max(0, now - entry.stored_at) / 1000
end

--- A fresh copy.
-- @tparam table place
-- @tparam table want of core/cache_request
-- @tparam ?boolean own_only whether the shared tier is left alone; then nothing waits
-- @treturn ?table entry; nil where there is none: the upstream is to be asked
-- @treturn ?string `l1` | `l2`: the tier that it came from
-- @treturn ?number its age in seconds
function Cache:lookup(place, want, own_only)
  if want.mode ~= 'fresh' or not self:is_open(place) then
    return nil
  end
  local now = self.clock()
  local bound = min(want.max_age * 1000, self.l2 and self.shared_ms or self.proxy_ms)
  local own, bytes, entered = self:read_l1(place, now)
  if own and now - own.stored_at < bound and self:is_recent(entered, now) then
    return own, 'l1', age_seconds(own, now)
  end
  if own_only or not self.l2 or bound == 0 then
    return nil
  end
  local entry = self:ask_shared(place, own, bytes, entered)
  now = self.clock()
  -- Asking may have waited: what may be given is decided anew.
  if not entry or now - entry.stored_at >= bound or not self:is_open(place) then
    return nil
  end
  return entry, 'l2', age_seconds(entry, now)
end

--- A copy for when the upstream does not answer, however the request's `max_age` reads.
-- @tparam table place
-- @treturn ?table entry, at most `ttl.outage_seconds` old
-- @treturn ?number its age in seconds
function Cache:stale(place)
  if not self:is_open(place) then
    return nil
  end
  local now = self.clock()
  local entry, bytes, entered = self:read_l1(place, now)
  if self.l2 and not (entry and self:is_recent(entered, now)) then
    entry = self:ask_shared(place, entry, bytes, entered) or entry
    now = self.clock()
  end
  if not entry or now - entry.stored_at >= self.outage_ms or not self:is_open(place) then
    return nil
  end
  return entry, age_seconds(entry, now)
end

--- Keeps an answer. A place whose epoch has passed keeps nothing: nobody would find it.
-- @tparam table place
-- @tparam table entry its `consumer` is the place's
-- @tparam ?function on_kept called once the node's own tier has it, or will not have it: before that nothing waits
-- @treturn boolean whether any tier has it now
-- @treturn ?string why the node's tier has it not: `purged`, `too_large`, or what the tier says
-- @treturn ?string why the shared tier has it not
function Cache:store(place, entry, on_kept)
  local now = self.clock()
  local left_ms = entry.stored_at + self.outage_ms - now
  if self.epoch(place.consumer) ~= place.epoch then
    return false, 'purged', 'purged'
  elseif left_ms <= 0 then
    return false, 'too_old', 'too_old'
  end
  assert(entry.consumer == place.consumer, 'an answer is kept for whom it was given to')
  local bytes = cache_entry.encode(entry, place.key)
  if #bytes > self.max_item_bytes then
    return false, 'too_large', 'too_large'
  end
  local own, own_problem = self:keep(place, entry, bytes, now)
  if on_kept then
    on_kept()
  end
  local shared, shared_problem
  if self.l2 then
    shared, shared_problem = self.l2:set(place, bytes, left_ms / 1000)
  end
  return (own or shared) and true or false, own_problem, shared_problem
end

return M
