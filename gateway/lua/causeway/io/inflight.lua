--- How many requests and streams each consumer has in flight on this node, exactly: counted in shared memory, given
-- back in the log phase, and taken back from a worker that died with requests open.

local log = require('causeway.io.log')
local workers = require('causeway.io.workers')

local M = {}

local SWEEP_SECONDS = 1
-- Longer than one look takes, shorter than it takes to have the same pid again.
local REAPED_SECONDS = 10

local function dictionary()
  return ngx.shared.causeway_inflight
end

-- Who works here stands elsewhere: looking through few keys each second holds nobody up, through all places it would.
local function state()
  return ngx.shared.causeway_state
end

-- What one worker holds is counted a second time under its pid, so that it can be given back in its place.
local own_prefix

local function add(slot, count)
  local total, add_error = dictionary():incr(slot, count, 0)
  if not total then
    return nil, add_error
  end
  own_prefix = own_prefix or 'w:' .. ngx.worker.pid() .. ':'
  dictionary():incr(own_prefix .. slot, count, 0)
  return total
end

--- What a kind of a consumer's places is counted under.
-- @tparam string kind `requests` or `streams`
-- @tparam string consumer its id
function M.slot(kind, consumer)
  return kind .. ':' .. consumer
end

--- Counts one more in a slot.
-- @treturn number|nil how many there are now; nil where the dictionary cannot count
function M.enter(slot)
  return (add(slot, 1))
end

--- Counts one less.
function M.leave(slot)
  add(slot, -1)
end

--- How many there are in a slot.
function M.count(slot)
  return dictionary():get(slot) or 0
end

--- All slots that hold somebody.
-- @treturn {string,...}
function M.slots()
  local dict, slots = dictionary(), {}
  for _, key in ipairs(dict:get_keys(0)) do
    if key:sub(1, 2) ~= 'w:' and (dict:get(key) or 0) > 0 then
      slots[#slots + 1] = key
    end
  end
  return slots
end

--- Takes one of a consumer's places.
-- @tparam string slot
-- @tparam number limit how many there are
-- @treturn boolean whether one was free; where the dictionary cannot count, the request passes
function M.take(slot, limit)
  local total = add(slot, 1)
  if not total then
    return true
  end
  if total > limit then
    add(slot, -1)
    return false
  end
  return true
end

local function forget_worker(pid)
  local dict = dictionary()
  local prefix = 'w:' .. pid .. ':'
  local returned = 0
  for _, key in ipairs(dict:get_keys(0)) do
    if key:sub(1, #prefix) == prefix then
      local held = dict:get(key) or 0
      if held > 0 then
        dict:incr(key:sub(#prefix + 1), -held)
        returned = returned + held
      end
      dict:delete(key)
    end
  end
  state():delete('pid:' .. pid)
  if returned > 0 then
    log.once('warn', 'worker ' .. pid .. ' died holding ' .. returned .. ' places of consumers; they are free again')
  end
end

local function sweep(premature)
  if premature or not log.is_speaker() then
    return
  end
  for _, key in ipairs(state():get_keys(0)) do
    local pid = tonumber(key:match('^pid:(%d+)$'))
    -- During a reload two workers look; what was held is given back once.
    if pid and not workers.is_alive(pid) and state():add('reaped:' .. pid, true, REAPED_SECONDS) then
      forget_worker(pid)
    end
  end
end

--- Registers this worker and starts looking after the others.
function M.start()
  local pid = ngx.worker.pid()
  -- A worker with a pid that was used before must not inherit what that one held.
  forget_worker(pid)
  state():set('pid:' .. pid, true)
  assert(ngx.timer.every(SWEEP_SECONDS, sweep))
end

return M
