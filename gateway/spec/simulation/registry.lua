--- The registry's source, as the nodes of the simulation see it: each a little later than the last.

local cjson = require 'cjson'

local M = {}
local Source = {}
Source.__index = Source

--- A source.
-- @param world
-- @param consumers      list of ids
-- @param most_lag_ms    how much later a node's source may hold a new document
-- @param most_delay_ms  how long a reading may take
function M.new(world, consumers, most_lag_ms, most_delay_ms)
  local source = setmetatable({
    world = world, consumers = consumers, most_lag_ms = most_lag_ms, most_delay_ms = most_delay_ms,
    purges = {}, versions = {}, lags = {}, count = 0,
  }, Source)
  source.versions[1] = { at = -math.huge, text = source:write() }
  return source
end

function Source:write()
  local consumers = {}
  for index, id in ipairs(self.consumers) do
    consumers[index] = { id = id, keys = { { id = 'k', sha256 = ('%064x'):format(index) } } }
  end
  local words = { consumers = {} }
  for _, purge in ipairs(self.purges) do
    if purge.consumer then
      words.consumers[purge.consumer] = purge.word
    else
      words.all = purge.word
    end
  end
  if not next(words.consumers) then
    words.consumers = nil
  end
  local purges = next(words) and words or nil
  return cjson.encode { version = 1, consumers = consumers, purges = purges }
end

--- Purges one consumer, or all.
function Source:purge(consumer)
  self.count = self.count + 1
  local word = ('2026-11-23T18:00:00.%03dZ-%08x'):format(self.count % 1000, self.count)
  self.purges[#self.purges + 1] = { at = self.world.now, consumer = consumer, word = word }
  self.versions[#self.versions + 1] = { at = self.world.now, text = self:write() }
end

--- How much later than the others' a node's source is.
function Source:lag_of(node)
  local lag = self.lags[node]
  if not lag then
    lag = self.world:between(0, self.most_lag_ms)
    self.lags[node] = lag
  end
  return lag
end

function Source:text_for(node)
  local known = self.world.now - self:lag_of(node)
  for index = #self.versions, 1, -1 do
    if self.versions[index].at <= known then
      return self.versions[index].text
    end
  end
  return nil
end

return M
