--- A world of its own: a clock that moves from event to event, chance that a seed determines, and processes that wait.
--
-- Units: milliseconds. Shapes: a process belongs to an owner (a worker) or to nobody; one whose owner is dead never
-- goes on. `world.current` is the owner of the process that runs.

local bit = require 'bit'

local M = {}
local World = {}
World.__index = World

function M.new(seed)
  return setmetatable({
    now = 0, seq = 0, heap = {}, size = 0, current = nil,
    state = bit.bxor(seed * 2654435761 % 4294967296, 0x9E3779B9),
  }, World)
end

--- A number from 0 to below 1 (xorshift).
function World:random()
  local x = self.state
  if x == 0 then
    x = 1
  end
  x = bit.bxor(x, bit.lshift(x, 13))
  x = bit.bxor(x, bit.rshift(x, 17))
  x = bit.bxor(x, bit.lshift(x, 5))
  self.state = x
  return (x % 4294967296) / 4294967296
end

function World:between(least, most)
  return least + math.floor(self:random() * (most - least + 1))
end

function World:chance(share)
  return self:random() < share
end

function World:pick(list)
  return list[self:between(1, #list)]
end

local function before(a, b)
  return a.at < b.at or a.at == b.at and a.seq < b.seq
end

--- Calls a function after a while.
function World:after(ms, call)
  self.seq = self.seq + 1
  local event = { at = self.now + ms, seq = self.seq, call = call }
  local heap, at = self.heap, self.size + 1
  self.size = at
  while at > 1 do
    local parent = math.floor(at / 2)
    if not before(event, heap[parent]) then
      break
    end
    heap[at] = heap[parent]
    at = parent
  end
  heap[at] = event
end

local function take(self)
  local heap, first = self.heap, self.heap[1]
  local last = heap[self.size]
  heap[self.size] = nil
  self.size = self.size - 1
  local at, size = 1, self.size
  if size > 0 then
    while true do
      local child = at * 2
      if child > size then
        break
      end
      if child < size and before(heap[child + 1], heap[child]) then
        child = child + 1
      end
      if not before(heap[child], last) then
        break
      end
      heap[at] = heap[child]
      at = child
    end
    heap[at] = last
  end
  return first
end

--- Lets time pass until a moment.
function World:run(moment)
  while self.size > 0 and self.heap[1].at <= moment do
    local event = take(self)
    self.now = event.at
    event.call()
  end
  self.now = moment
end

local function resume(world, process)
  local owner = process.owner
  if owner and owner.dead then
    return
  end
  local outer = world.current
  world.current = owner
  local ok, problem = coroutine.resume(process.thread)
  world.current = outer
  if not ok then
    error(problem .. '\n' .. debug.traceback(process.thread), 0)
  end
end

--- Starts a process now.
function World:spawn(owner, call)
  local process = { owner = owner }
  process.thread = coroutine.create(function()
    call()
  end)
  self.processes = self.processes or setmetatable({}, { __mode = 'k' })
  self.processes[process.thread] = process
  resume(self, process)
end

--- Waits, in a process.
function World:sleep(ms)
  local process = self.processes[coroutine.running()]
  self:after(ms, function()
    resume(self, process)
  end)
  coroutine.yield()
end

--- Waits for a signal, in a process: a table whose `done` others set by `signal`.
function World:wait(signal)
  if signal.done then
    return
  end
  signal[#signal + 1] = self.processes[coroutine.running()]
  coroutine.yield()
end

--- Wakes all who wait for a signal.
function World:signal(signal)
  signal.done = true
  for index = 1, #signal do
    local process = signal[index]
    self:after(0, function()
      resume(self, process)
    end)
  end
end

return M
