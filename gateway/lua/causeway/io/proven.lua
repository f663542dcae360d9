--- Credentials of the mode `passthrough` that the upstream has accepted lately. Only those count as consumers.

local clock = require('causeway.io.clock')
local settings = require('causeway.settings')

local M = {}

--- Whether the upstream accepted this credential within the time in which a revocation must hold.
-- @tparam string hash SHA-256 of the credential
function M.is_accepted(hash)
  local at = ngx.shared.causeway_proven:get(hash)
  -- The dictionary goes by the time of day, which may be set back.
  return at ~= nil and clock.monotonic_ms() - at < settings.auth.revocation_seconds * 1000
end

--- Remembers that the upstream accepted it.
function M.accept(hash)
  ngx.shared.causeway_proven:set(hash, clock.monotonic_ms(), settings.auth.revocation_seconds)
end

--- Forgets it: the upstream refuses it now.
function M.refuse(hash)
  ngx.shared.causeway_proven:delete(hash)
end

--- What such a consumer may do: the defaults.
function M.consumer(id)
  local defaults = settings.consumer_defaults
  return {
    id = id,
    rate = defaults.rate,
    burst = defaults.burst,
    concurrency = defaults.concurrency,
    maxStreams = defaults.max_streams,
  }
end

return M
