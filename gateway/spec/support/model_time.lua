--- Threads on a clock of the test's own: whoever sleeps goes on when it is time.

local _M = {}
local Time = {}
Time.__index = Time

--- @return a clock `{ ms = … }` with `:spawn`, `:sleep` and `:run`
function _M.new(ms)
  return setmetatable({ ms = ms or 1000000, waiting = {} }, Time)
end

function Time:at(ms, thread)
  local list = self.waiting
  local index = #list + 1
  while index > 1 and list[index - 1].ms > ms do
    index = index - 1
  end
  table.insert(list, index, { ms = ms, thread = thread })
end

--- Starts a function as a thread, at once or later.
function Time:spawn(run, after_ms)
  self:at(self.ms + (after_ms or 0), coroutine.create(run))
end

--- Within a thread: goes on later.
function Time.sleep(_, ms)
  coroutine.yield(ms)
end

--- Lets all threads run up to a moment.
function Time:run(until_ms)
  local list = self.waiting
  while list[1] and list[1].ms <= until_ms do
    local first = table.remove(list, 1)
    self.ms = math.max(self.ms, first.ms)
    local ok, pause = coroutine.resume(first.thread)
    assert(ok, ok or (tostring(pause) .. debug.traceback(first.thread)))
    if coroutine.status(first.thread) ~= 'dead' then
      self:at(self.ms + pause, first.thread)
    end
  end
  self.ms = until_ms
end

return _M
