--- Starts what each worker keeps up to date by timer.

local breaker = require('causeway.io.breaker')
local cache = require('causeway.io.cache')
local certificate = require('causeway.io.certificate')
local consumer_limits = require('causeway.io.consumer_limits')
local dns = require('causeway.io.dns')
local documents = require('causeway.io.documents')
local drain = require('causeway.io.drain')
local gauges = require('causeway.io.gauges')
local inflight = require('causeway.io.inflight')
local lines = require('causeway.io.lines')
local record = require('causeway.phase.record')
local settings = require('causeway.settings')
local valkey = require('causeway.io.valkey')

local M = {}

function M.run()
  -- The cache helper and the loader have no requests: they run no timers.
  if not ngx.worker.id() then
    return
  end
  -- Workers are forks of one process: unseeded, each would draw the same numbers, the ids of DNS queries among them.
  math.randomseed(ngx.worker.pid() * 1000 + math.floor(ngx.now() * 1000) % 1000000007)
  -- First: older workers wait for this word.
  drain.start()
  dns.start(settings.upstreams)
  valkey.start()
  documents.start()
  cache.start()
  certificate.start()
  inflight.start()
  breaker.start()
  consumer_limits.start()
  lines.start(record.fill)
  gauges.start()
end

return M
