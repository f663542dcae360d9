--- The node's own tier: copies in memory that all workers share, accounted by consumer (core/cache_share).

local cache_share = require('causeway.core.cache_share')
local cache_sweep = require('causeway.core.cache_sweep')
local log = require('causeway.io.log')

local M = {}

local SWEEP_SECONDS = 1

--- The tier.
-- @tparam table settings `cache` of the settings
-- @treturn table for core/cache, and `held(consumer)` for gauges
function M.new(settings)
  return cache_share.new({
    values = ngx.shared.causeway_cache,
    index = ngx.shared.causeway_cache_index,
    shares = ngx.shared.causeway_cache_shares,
    node_bytes = settings.node_bytes,
    max_consumer_share = settings.max_consumer_share,
    clock = function()
      return ngx.now() * 1000
    end,
  })
end

--- Starts sweeping what has expired or was purged.
-- @tparam table tier
-- @tparam function epoch consumer id -> its current epoch, nil where it is not known
function M.start(tier, epoch)
  local sweep = cache_sweep.new(tier.ledger, epoch)
  assert(ngx.timer.every(SWEEP_SECONDS, function(premature)
    if not premature and log.is_speaker() then
      sweep:run()
    end
  end))
end

return M
