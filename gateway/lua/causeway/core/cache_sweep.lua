--- Gives back what copies hold that nobody can see any more: expired ones, and those from before a purge, which only
-- their old key would find. One worker does it, every second or so, a piece at a time.

local M = {}
local Sweep = {}
Sweep.__index = Sweep

-- Copies of one consumer that one call drops at most.
local MAX_SWEPT = 64
-- How long an empty account is kept.
local IDLE_SECONDS = 60

--- The sweeper of a node.
-- @tparam table ledger of core/cache_ledger
-- @tparam function epoch consumer id -> its current epoch; nil where it is not known
function M.new(ledger, epoch)
  return setmetatable({ ledger = ledger, epoch = epoch, suspects = {} }, Sweep)
end

-- An account without any copy: its charge was left behind by a worker that died, if it was the same the last time.
function Sweep:settle(consumer, suspects)
  local ledger = self.ledger
  local held = ledger:held(consumer)
  if held == 0 then
    ledger:forget(consumer, IDLE_SECONDS)
  elseif ledger:copies(consumer) == 0 then
    if self.suspects[consumer] == held then
      ledger:release(consumer, held)
    else
      suspects[consumer] = held
    end
  end
end

--- Drops some of what is nothing worth any more.
function Sweep:run()
  local ledger, suspects = self.ledger, {}
  for _, consumer in ipairs(ledger:consumers()) do
    local epoch, left = self.epoch(consumer), MAX_SWEPT
    while left > 0 and ledger:drop_leftover(consumer, epoch) do
      left = left - 1
    end
    self:settle(consumer, suspects)
  end
  self.suspects = suspects
end

return M
