--- The cache of this node, as the settings want it: its tiers, and what the registry says of purges.

local cache = require('causeway.core.cache')
local cache_key = require('causeway.core.cache_key')
local cache_l1 = require('causeway.io.cache_l1')
local cache_l2 = require('causeway.io.cache_l2')
local documents = require('causeway.io.documents')
local proven = require('causeway.io.proven')
local settings = require('causeway.settings')
local valkey = require('causeway.io.valkey')

local M = {}

local FORGET_SECONDS = 1

--- The cache (core/cache); nil where the config turns it off. There from the start of the worker.
M.tiers = nil

--- The current epoch of a consumer, for a request's identity and place.
-- @tparam string consumer id
-- @treturn ?string nil while it is not known what was purged: then a request must neither have a copy nor share the
--   answer to another, which may have been asked for before a purge
function M.epoch(consumer)
  if not documents.purges_confirmed() then
    return nil
  end
  local all, own = documents.epoch(consumer)
  return all and cache_key.epoch(all, own)
end

--- Builds the cache. In each worker.
function M.start()
  local wanted = settings.cache
  if not wanted.enabled then
    return
  end
  local l1 = cache_l1.new(wanted)
  M.tiers = cache.new({
    l1 = l1,
    l2 = valkey.enabled() and cache_l2.new(wanted) or nil,
    clock = function()
      return ngx.now() * 1000
    end,
    ttl = wanted.ttl,
    max_item_bytes = wanted.max_item_bytes,
    epoch = M.epoch,
    confirmed = documents.purges_confirmed,
    accepted = proven.is_accepted,
  })
  cache_l1.start(l1, M.epoch)
  assert(ngx.timer.every(FORGET_SECONDS, function()
    M.tiers:forget()
  end))
end

return M
