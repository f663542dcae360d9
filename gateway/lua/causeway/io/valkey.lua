--- Valkey (or Redis): what the nodes of a region share. Everything works without it: no call raises, none takes longer
-- than about `timeout_ms`, and while it is down none is made at all.
--
-- Only usable where cosockets are: access, content, timers.

local clock = require('causeway.io.clock')
local connection = require('causeway.io.valkey_connection')
local cool_down = require('causeway.core.cool_down')
local log = require('causeway.io.log')
local resp = require('causeway.core.resp')
local settings = require('causeway.settings')

local M = {}

-- Between two thoughts of looking whether it is back.
local TICK_SECONDS = 0.25
-- What a look may take beyond a call's timeout, before its worker is taken to have died.
local LOOK_EXTRA_SECONDS = 2
local CALLS, ERRORS = 'valkey:calls', 'valkey:errors'

-- None where there is no Valkey.
local health

local function store()
  return ngx.shared.causeway_state
end

-- Not ngx.now: a clock that is set back must not put off a look.
local function monotonic_seconds()
  return clock.monotonic_ms() / 1000
end

--- Takes over where Valkey is and who signs in there. Called in the master, whose environment holds it: the password
-- stands in no file.
-- @tparam function getenv os.getenv
function M.init(getenv)
  if not settings.valkey then
    return
  end
  local host = getenv('CAUSEWAY_VALKEY_HOST')
  if not host or host == '' then
    ngx.log(ngx.ERR, 'causeway: CAUSEWAY_VALKEY_HOST is not set: limits and cache stay with this node')
    return
  end
  connection.init({
    host = host,
    port = getenv('CAUSEWAY_VALKEY_PORT'),
    user = getenv('CAUSEWAY_VALKEY_USER'),
    password = getenv('CAUSEWAY_VALKEY_PASSWORD'),
  }, settings.valkey)
  health = cool_down.new('valkey', store(), monotonic_seconds, LOOK_EXTRA_SECONDS + settings.valkey.timeout_ms / 1000)
end

--- Whether this gateway has a Valkey at all.
function M.enabled()
  return settings.valkey ~= nil
end

--- Whether it is asked at present: false from the first failure until a look finds it back.
function M.healthy()
  return health ~= nil and health:generation() ~= nil
end

--- A key of this environment.
-- @tparam string ... parts, joined with colons
function M.key(...)
  return 'cw:' .. settings.environment .. ':' .. table.concat({ ... }, ':')
end

local function failed(generation, why)
  connection.turn()
  if health:failed(generation) then
    ngx.log(ngx.WARN, 'causeway: Valkey is left alone for now: ', why, '; limits and cache go on by node')
  end
end

local function run(parts, count, blocked_ms)
  local generation = health and health:generation()
  -- No address: DNS has not answered yet, which is nothing to be reported.
  if not generation or not connection.has_address() then
    return nil, 'down'
  end
  store():incr(CALLS, 1, 0)
  local replies, problem = connection.round_trip(generation, parts, count, blocked_ms)
  if not replies then
    -- Who waits may be cut off, and finds out with the next call whether there is more to it.
    if not (blocked_ms and connection.was_closed(problem)) then
      failed(generation, problem)
    end
    store():incr(ERRORS, 1, 0)
    return nil, problem
  end
  if problem then
    store():incr(ERRORS, 1, 0)
  end
  return replies
end

--- Runs commands in one round trip. As in Valkey's own scripts, an empty reply is false and an error is
-- `{ err = message }`.
-- @tparam {{string,...},...} commands
-- @tparam[opt=0] number blocked_ms how long commands that wait for something may do so
-- @treturn table|nil replies in the commands' order
-- @treturn nil|string `down` where it was not asked, else why it failed
function M.pipeline(commands, blocked_ms)
  local parts = {}
  for _, words in ipairs(commands) do
    resp.append(parts, words)
  end
  local replies, why = run(parts, #commands, blocked_ms)
  if not replies then
    return nil, why
  end
  for i, reply in ipairs(replies) do
    replies[i] = reply ~= resp.NULL and reply
  end
  return replies
end

local function call(words)
  local parts = {}
  resp.append(parts, words)
  local replies, why = run(parts, 1)
  if not replies then
    return nil, why
  end
  local reply = replies[1]
  if reply == resp.NULL then
    return nil
  end
  if type(reply) == 'table' and reply.err then
    return nil, reply.err
  end
  return reply
end

--- Runs one command.
-- @tparam string|number ... the command and its arguments
-- @return string|number|table|nil the reply; nil without an error is the empty one
-- @treturn nil|string `down` where it was not asked, the server's own error, or why it failed
function M.call(...)
  return call({ ... })
end

local function hex(bytes)
  return (bytes:gsub('.', function(char)
    return ('%02x'):format(char:byte())
  end))
end

--- Runs a script, by its digest; sent whole where Valkey does not have it (any more).
-- @tparam table script `{ source = '...' }`; keeps its digest
-- @tparam {string,...} keys of one hash tag, so that services with several shards behind one endpoint take them
-- @tparam {string|number,...} args
-- @return as call
function M.script(script, keys, args)
  script.sha1 = script.sha1 or hex(ngx.sha1_bin(script.source))
  local words = { 'EVALSHA', script.sha1, #keys }
  for _, key in ipairs(keys) do
    words[#words + 1] = key
  end
  for _, arg in ipairs(args) do
    words[#words + 1] = arg
  end
  local reply, why = call(words)
  if why and why:sub(1, 8) == 'NOSCRIPT' then
    words[1], words[2] = 'EVAL', script.source
    return call(words)
  end
  return reply, why
end

-- Reading alone would find a primary well that has become a replica.
local LOOK = { 'SET', nil, '1', 'PX', 1000 }

local function look(generation)
  local parts = {}
  LOOK[2] = M.key('look')
  resp.append(parts, LOOK)
  return connection.round_trip(generation, parts, 1)
end

local function tick(premature)
  local generation = not premature and connection.has_address() and health:begin_look()
  if not generation then
    return
  end
  local replies, why = look(generation)
  health:looked(generation, replies ~= nil)
  if replies then
    ngx.log(ngx.NOTICE, 'causeway: Valkey is back')
  else
    connection.turn()
    ngx.log(ngx.INFO, 'causeway: Valkey is still away: ', why)
  end
end

-- Whether it is really there, where no request has found out.
local function check(premature)
  local generation = not premature and connection.has_address() and health:generation()
  if not generation then
    return
  end
  local replies, why = look(generation)
  if not replies then
    failed(generation, why)
  end
end

local function taken(key)
  local value = store():get(key) or 0
  store():incr(key, -value, 0)
  return value
end

--- For the gauges of the node, which one worker asks for: whether Valkey is there, and what was counted since the last
-- time. While no request asks it, this does.
-- @treturn boolean up
-- @treturn number calls
-- @treturn number errors
function M.status()
  local calls, errors = taken(CALLS), taken(ERRORS)
  if calls == 0 and health then
    local ok, timer_error = ngx.timer.at(0, check)
    if not ok then
      log.once('warn', 'Valkey is not looked at: ' .. timer_error)
    end
  end
  return M.healthy(), calls, errors
end

--- Starts looking after it: its address, and whether it is back when it was away.
function M.start()
  if not health then
    return
  end
  connection.start()
  assert(ngx.timer.every(TICK_SECONDS, tick))
  if log.is_speaker() then
    assert(ngx.timer.at(0, check))
  end
end

return M
