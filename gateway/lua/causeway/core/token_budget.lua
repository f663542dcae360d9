--- Tokens that a consumer may use in a minute, over all nodes of a region.
--
-- How: each node counts what its answers cost, and tells Valkey its own total of the running minute; what the others
-- have used comes back. A total can be told twice or be lost without harm. Before a request is let in, what is known
-- must be fresh; and what a node has not told yet must always be small beside what is left, else it is told at once. So
-- all nodes together stop within one request of each; those that are being answered at that moment are answered.
--
-- Units: tokens; milliseconds since 1970 by Valkey's clock, whose minutes these are.
-- Shapes: the store is an `ngx.shared` dictionary or anything with its `get`, `set` and `incr`.

local scripts = require 'causeway.core.fleet_scripts'

local floor, max = math.floor, math.max

local M = {}
local Budgets = {}
Budgets.__index = Budgets

local MINUTE_MS = 60000
-- What others have used is asked for again after this time: a little longer than between two ticks.
local FRESH_MS = 300
-- Which part of what is left all nodes together may not have told.
local UNTOLD_SHARE = 0.1
-- A count lives a little longer than its minute.
local KEPT_SECONDS = 130
--- From this share on, clients are told how much is left.
M.WARNING_SHARE = 0.8

--- What is known of a consumer's budget beforehand.
-- @tparam string id the consumer's
-- @tparam string key Valkey's
-- @tparam table budget `inputPerMinute`, `outputPerMinute`, each may be missing
function M.plan(id, key, budget)
  return {
    keys = { key },
    limits = { input = budget.inputPerMinute, output = budget.outputPerMinute },
    input_key = 'input:' .. id .. ':',
    output_key = 'output:' .. id .. ':',
    -- What Valkey last said: minute, when, what others had used, what this node had told.
    known_key = 'known:' .. id,
  }
end

--- @tparam table options
-- @tparam table options.store what the workers of the node share
-- @tparam function options.now ms since 1970, by Valkey's clock as far as it is known
-- @tparam function options.set_now called with Valkey's
-- @tparam function options.call (script, keys, args) -> reply | nil, why
-- @tparam function options.node this node's name
-- @tparam function options.nodes how many there are
function M.new(options)
  return setmetatable({
    store = options.store,
    now = options.now,
    set_now = options.set_now,
    call = options.call,
    node = options.node,
    nodes = options.nodes,
    -- Plans whose tokens this worker counted and did not tell yet: known key -> plan.
    untold = {},
  }, Budgets)
end

function Budgets:own(plan, minute)
  local store = self.store
  return store:get(plan.input_key .. minute) or 0, store:get(plan.output_key .. minute) or 0
end

--- Tells Valkey what this node has used, and hears what others have.
-- @treturn boolean|nil nil where Valkey did not say
-- @treturn nil|string why
function Budgets:sync(plan)
  local minute = floor(self.now() / MINUTE_MS)
  local input, output = self:own(plan, minute)
  local told = { self.node(), minute, ('%.0f'):format(input), ('%.0f'):format(output) }
  local reply, why = self.call(scripts.SYNC, plan.keys, told)
  if not reply then
    return nil, why
  end
  local running, now, others_input, others_output = unpack(reply, 1, 4)
  self.set_now(now)
  if running ~= minute then
    input, output = 0, 0
  end
  self.store:set(plan.known_key,
    ('%.0f %.0f %.0f %.0f %.0f %.0f'):format(running, now, others_input, others_output, input, output), KEPT_SECONDS)
  return true
end

-- What others have used in this minute, and what this node has told of its own.
function Budgets:known(plan, minute)
  local known = self.store:get(plan.known_key)
  if known then
    local running, at, input, output, told_input, told_output =
      known:match('^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    if tonumber(running) == minute then
      return { at = tonumber(at), input = tonumber(input), output = tonumber(output),
        told_input = tonumber(told_input), told_output = tonumber(told_output) }
    end
  end
  return { input = 0, output = 0, told_input = 0, told_output = 0 }
end

-- What is left, as far as is known, and whether that must be asked for first.
function Budgets:left(plan, shared)
  local now = self.now()
  local minute = floor(now / MINUTE_MS)
  local own, others = {}, self:known(plan, minute)
  own.input, own.output = self:own(plan, minute)
  local nodes = self.nodes()
  local state = { reset_ms = (minute + 1) * MINUTE_MS - now, warn = false }
  local ask = shared and (not others.at or now - others.at > FRESH_MS)
  for kind, limit in pairs(plan.limits) do
    local used = own[kind]
    if shared then
      used = used + others[kind]
      ask = ask or own[kind] - others['told_' .. kind] > (limit - used) * UNTOLD_SHARE / nodes
    else
      limit = max(1, floor(limit / nodes))
    end
    state[kind] = { limit = limit, remaining = max(0, limit - used) }
    state.over = state.over or used >= limit and kind or nil
    state.warn = state.warn or used >= limit * M.WARNING_SHARE
  end
  -- It does not become less within the minute.
  return state, ask and not state.over
end

--- Counts what an answer cost. Does not wait for anything.
-- @treturn boolean whether it is to be told at once, by `sync`
function Budgets:count(plan, input, output)
  local minute = floor(self.now() / MINUTE_MS)
  self.store:incr(plan.input_key .. minute, input, 0, KEPT_SECONDS)
  self.store:incr(plan.output_key .. minute, output, 0, KEPT_SECONDS)
  self.untold[plan.known_key] = plan
  local state, ask = self:left(plan, true)
  return ask or state.over ~= nil
end

--- Whether a request may come.
-- @tparam table plan of `M.plan`
-- @tparam boolean shared whether Valkey is asked; without it a node has its share of the budget
-- @treturn table `input` and `output` as `{ limit, remaining }` where there is such a limit; `over`, which of them is
--   used up, if any; `warn`, whether the client is to be told; `reset_ms`, until the minute ends
function Budgets:check(plan, shared)
  local state, ask = self:left(plan, shared)
  if not ask then
    return state
  end
  if not self:sync(plan) then
    return (self:left(plan, false))
  end
  return (self:left(plan, true))
end

--- Tells what was counted since. To be called several times a second.
function Budgets:tick()
  local untold = self.untold
  self.untold = {}
  for key, plan in pairs(untold) do
    if not self:sync(plan) then
      self.untold[key] = plan
    end
  end
end

return M
