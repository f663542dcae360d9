--- The certificate on disk and the one that is served: a good change is served within seconds without a reload, a bad
-- one is refused with its reason while the old one serves on.

local log = require('causeway.io.log')
local source = require('causeway.io.source')
local ssl = require('ngx.ssl')
local x509 = require('causeway.io.x509')

local M = {}

local SHARED = 'causeway_state'

local configured
local authority_files = {}
local served
local refused = 0
-- What was last refused, and whether that was said: files are swapped one after the other, so a pair is reported only
-- when it is still bad at the next look.
local suspect = { pair = nil, reported = false }

local function read_pair()
  local chain, chain_error = source.read(configured.chain_file)
  if not chain then
    return nil, nil, chain_error
  end
  local key, key_error = source.read(configured.key_file)
  if not key then
    return nil, nil, key_error
  end
  return chain, key
end

local function adopt(chain_pem, key_pem)
  local seconds, problem = x509.judge(chain_pem, key_pem, authority_files)
  if not seconds then
    return nil, problem
  end
  local chain, chain_error = ssl.parse_pem_cert(chain_pem)
  if not chain then
    return nil, chain_error
  end
  local key, key_error = ssl.parse_pem_priv_key(key_pem)
  if not key then
    return nil, key_error
  end
  served = {
    chain_pem = chain_pem,
    key_pem = key_pem,
    chain = chain,
    key = key,
    expires_at = ngx.time() + seconds,
  }
  return true
end

-- For a worker that starts while the files are broken: it comes from the master, which only knows the files as they
-- were when nginx started.
local function share()
  ngx.shared[SHARED]:set('certificate', served.chain_pem)
  ngx.shared[SHARED]:set('certificate_key', served.key_pem)
end

local function restore()
  local chain, key = ngx.shared[SHARED]:get('certificate'), ngx.shared[SHARED]:get('certificate_key')
  if chain and key and (chain ~= served.chain_pem or key ~= served.key_pem) then
    -- Judged like any other: two workers may have written one half each.
    adopt(chain, key)
  end
end

--- Reads the certificate before the workers start. Raises where it is a bad one: nginx must not start with it.
-- @tparam ?table settings `chain_file`, `key_file`, `ca_file`, `system_ca_file`, `reload_seconds`; nil without TLS
function M.init(settings)
  configured = settings
  if not settings then
    return
  end
  authority_files = { settings.system_ca_file, settings.ca_file }
  local chain, key, read_error = read_pair()
  local ok, problem
  if chain then
    ok, problem = adopt(chain, key)
  end
  if not ok then
    error('certificate ' .. settings.chain_file .. ' refused: ' .. (read_error or problem), 0)
  end
  share()
end

local function refuse(pair, problem)
  if suspect.pair ~= pair then
    suspect.pair, suspect.reported = pair, false
    return
  end
  if not suspect.reported then
    suspect.reported = true
    refused = refused + 1
    log.once('warn', 'certificate ' .. configured.chain_file .. ' refused: ' .. problem .. '; the old one serves on')
  end
end

--- Looks at the files once.
function M.refresh()
  local chain, key, read_error = read_pair()
  if not chain then
    return refuse(read_error, read_error)
  end
  if chain == served.chain_pem and key == served.key_pem then
    suspect.pair = nil
    return
  end
  local ok, problem = adopt(chain, key)
  if not ok then
    return refuse(chain .. key, problem)
  end
  suspect.pair = nil
  share()
  log.once('notice', 'certificate ' .. configured.chain_file .. ' reloaded')
end

local function on_timer(premature)
  if not premature then
    M.refresh()
  end
end

--- Keeps the certificate up to date in this worker.
function M.start()
  if configured then
    restore()
    assert(ngx.timer.every(configured.reload_seconds, on_timer))
  end
end

--- What is served now: the parsed chain and key.
function M.current()
  if served then
    return served.chain, served.key
  end
end

--- For the gauges: days until the served chain expires, and how many were refused so far; nil without TLS.
function M.status()
  if served then
    return (served.expires_at - ngx.time()) / 86400, refused
  end
end

return M
