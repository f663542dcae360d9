--- How often to look for what may come at any time: often while it comes, seldom while it does not.
--
-- Units: milliseconds, of one clock that never steps back.

local M = {}
M.__index = M

--- @tparam table rules `idle_ms` and `busy_ms`: how long to wait before the next look; `calm_ms`: how long after
-- something has come it is idle again
function M.new(rules)
  return setmetatable({ rules = rules, busy_until = 0 }, M)
end

--- Something has come, or is expected.
function M:stir(now)
  self.busy_until = now + self.rules.calm_ms
end

--- How long to wait before the next look.
-- @treturn number
function M:wait_ms(now)
  return now < self.busy_until and self.rules.busy_ms or self.rules.idle_ms
end

return M
