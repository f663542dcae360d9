--- The nodes of a region, as they know each other through Valkey: how many there are, and whether limits are shared at
-- present. Where they are not, each node keeps its part of a limit by itself: a limit divided by the number of nodes
-- that was known last.
--
-- A node says every BEAT_MS that it lives. One that does not for DEAD_MS counts no more, and what it held is free. By
-- then it has long stopped to count on it: LIVE_MS after it last said so.

local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local drain = require('causeway.io.drain')
local log = require('causeway.io.log')
local scripts = require('causeway.core.fleet_scripts')
local settings = require('causeway.settings')
local valkey = require('causeway.io.valkey')

local M = {}

local DICT = 'causeway_fleet'
local BEAT_MS, LIVE_MS, DEAD_MS = 2000, 5000, 6000
local TICK_SECONDS = 0.25
-- Between two tries while Valkey is away; between two words of a node that only ends its last requests.
local RETRY_SECONDS, LINGER_SECONDS = 0.25, 1
-- A turn that is so late will not come.
local LATE_SECONDS = 5

-- What this is all for; see `M.start`.
local uses

-- Whether this worker counts on Valkey; looked at anew at each tick.
local shared = false
local ticking = false
-- The last entry of the stream that this worker read; entries are named by Valkey's clock.
local heard

local function store()
  return ngx.shared[DICT]
end

--- The node's keys of one hash tag: scripts that read several of them need that.
function M.key(...)
  return valkey.key('{fleet}', ...)
end

--- Names this node. Called in the master; the name outlives a reload.
function M.init()
  local handle = assert(io.open('/dev/urandom', 'rb'))
  local name = handle:read(8):gsub('.', function(byte)
    return ('%02x'):format(byte:byte())
  end)
  handle:close()
  store():add('name', name)
end

--- This node's name. It has another once it is no longer sure what Valkey knows of it.
function M.name()
  return store():get('name') .. '.' .. (store():get('renamed') or 0)
end

--- How many nodes there are, or were when that was last known.
function M.nodes()
  if not valkey.enabled() then
    return 1
  end
  return store():get('nodes') or settings.expected_nodes or 1
end

local function look()
  local untill = store():get('live')
  shared = untill ~= nil and untill > clock.monotonic_ms() and valkey.healthy()
  return shared
end

--- Whether limits are shared with the other nodes at present.
function M.shared()
  -- While they are not, each request looks.
  return shared or valkey.enabled() and look()
end

--- Notes that it is no longer sure what Valkey knows of this node.
function M.lost()
  shared = false
  store():set('lost', true)
  store():delete('live')
end

--- Valkey's clock, as far as it is known: ms since 1970.
function M.now_ms()
  return ngx.now() * 1000 + (store():get('offset') or 0)
end

--- Takes over what Valkey's clock says.
function M.set_now_ms(ms)
  store():set('offset', ms - ngx.now() * 1000)
end

--- Runs a script of the limits.
-- @return as valkey.script
function M.call(script, keys, args)
  store():incr('calls', 1, 0)
  local reply, why = valkey.script(script, keys, args)
  if why then
    shared = false
  end
  return reply, why
end

local function beat_arguments(old_name)
  return { M.key('nodes') }, { M.name(), DEAD_MS, old_name or '' }
end

-- Begins anew under another name: whatever Valkey still has under the old one counts no more.
local function rejoin()
  local old_name = M.name()
  store():incr('renamed', 1, 0)
  local began = clock.monotonic_ms()
  local reply = M.call(scripts.BEAT, beat_arguments(old_name))
  if not reply then
    return
  end
  heard = reply[3] .. '-0'
  store():delete('lost')
  if uses.rejoin() and not store():get('lost') then
    store():set('nodes', reply[2])
    store():set('live', began + LIVE_MS)
  end
end

local function take_beat(reply, began)
  M.set_now_ms(reply[3])
  heard = heard or reply[3] .. '-0'
  if reply[1] == 0 or store():get('lost') then
    return rejoin()
  end
  store():set('nodes', reply[2])
  store():set('live', began + LIVE_MS)
end

-- Slots that entries of the stream name.
local function take_wanted(streams)
  local seen, slots = {}, {}
  for _, entry in ipairs(streams[1][2]) do
    heard = entry[1]
    local slot = entry[2][2]
    if not seen[slot] then
      seen[slot] = true
      slots[#slots + 1] = slot
    end
  end
  local ok, timer_error = ngx.timer.at(0, function(premature)
    if not premature then
      uses.wanted(slots)
    end
  end)
  if not ok then
    log.once('warn', 'places that other nodes want are not given back at once: ' .. timer_error)
  end
end

-- Waits at the stream until a slot is wanted or it is time, and says that this node lives: one round trip.
local function wait_and_beat()
  local began = clock.monotonic_ms()
  local keys, arguments = beat_arguments()
  store():incr('calls', 1, 0)
  local replies = valkey.pipeline({
    { 'XREAD', 'COUNT', 100, 'BLOCK', BEAT_MS, 'STREAMS', M.key('wanted'), heard },
    { 'EVALSHA', scripts.BEAT.sha1, 1, keys[1], unpack(arguments) },
  }, BEAT_MS)
  if not replies then
    return false
  end
  local streams, reply = replies[1], replies[2]
  if type(reply) == 'table' and reply.err then
    reply = M.call(scripts.BEAT, beat_arguments())
  end
  if type(streams) == 'table' and not streams.err then
    take_wanted(streams)
  elseif clock.monotonic_ms() - began < BEAT_MS / 2 then
    -- A server that does not let anybody wait must not be asked without end.
    ngx.sleep(BEAT_MS / 1000)
  end
  if reply then
    take_beat(reply, began)
  end
  return reply ~= nil
end

local function first_beat()
  local began = clock.monotonic_ms()
  local reply = M.call(scripts.BEAT, beat_arguments())
  if reply then
    take_beat(reply, began)
  end
  return reply ~= nil
end

local joined = false
-- The turn that is to come, and when.
local coming, due = nil, nil
local turn

local function turn_in(seconds)
  coming, due = {}, ngx.now() + seconds
  return ngx.timer.at(seconds, turn, coming)
end

-- One worker speaks for the node. One turn a timer: what sockets leave behind goes with it.
function turn(premature, this)
  if premature or ngx.worker.exiting() or this ~= coming then
    return
  end
  due = nil
  local ok, told = pcall(joined and wait_and_beat or first_beat)
  if not ok then
    log.once('error', 'this node cannot say that it lives: ' .. tostring(told))
  end
  joined = joined or ok and told
  local again, timer_error = turn_in(ok and told and 0 or RETRY_SECONDS)
  if not again and not ngx.worker.exiting() then
    log.once('error', 'this node can no longer say that it lives: ' .. timer_error)
  end
end

-- A node that is stopped still has what its last requests hold.
local function linger()
  while context.active.requests > 0 do
    M.call(scripts.BEAT, beat_arguments())
    ngx.sleep(LINGER_SECONDS)
  end
end

local function tick(premature)
  if premature then
    if not drain.superseded() and context.active.requests > 0 then
      ngx.timer.at(0, linger)
    end
    return
  end
  if due and ngx.now() > due + LATE_SECONDS then
    -- nginx had no connection left for its timer, and dropped it.
    turn_in(0)
  end
  if ticking then
    return
  end
  ticking = true
  local ok, problem = pcall(uses.tick, look())
  if not ok then
    ngx.log(ngx.ERR, 'causeway: limits of the fleet: ', problem)
  end
  ticking = false
end

--- For the gauges: how many nodes there are, whether this one goes on alone, and calls since the last time.
function M.status()
  local calls = store():get('calls') or 0
  store():incr('calls', -calls, 0)
  return M.nodes(), not look(), calls
end

--- Starts what each worker does.
-- @tparam table of
-- @tparam function of.tick called every 250 ms with whether limits are shared
-- @tparam function of.wanted called with a list of slots of which other nodes want more
-- @tparam function of.rejoin called to tell Valkey all that this node holds -> whether it was told
function M.start(of)
  uses = of
  assert(ngx.timer.every(TICK_SECONDS, tick))
  if valkey.enabled() and log.is_speaker() then
    assert(turn_in(0))
  end
end

return M
