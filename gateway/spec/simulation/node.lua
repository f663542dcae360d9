--- A node of the simulation: shared memory, workers with their own view of the registry, a clock that may be wrong.

local shared_dict = require 'tools.shared_dict'
local stubs = require 'simulation.stubs'

local M = {}
local Node = {}
Node.__index = Node

local CREDENTIALS = '{"version":1,"credentials":{"main":"secret"}}'
local NODE_BYTES = 1048576

local function slab(key, value)
  local bytes = 68 + (key and #key or 0) + (type(value) == 'string' and #value or 8)
  return bytes > 2048 and math.ceil(bytes / 4096) * 4096 or bytes
end

local function new_shared(node)
  local function clock()
    return stubs.EPOCH_MS + node.world.now + node.skew_ms
  end
  local function dict(capacity)
    return shared_dict.new { clock = clock, capacity = capacity, charge = slab }
  end
  return {
    causeway_cache = dict(NODE_BYTES),
    causeway_cache_index = dict(NODE_BYTES * 2),
    causeway_cache_shares = dict(NODE_BYTES),
    causeway_documents = dict(),
    causeway_proven = dict(),
  }
end

--- A node that runs.
-- @param world
-- @param options  { id, workers = number, skew_ms, source = of simulation.registry, alter = function(worker) or nil }
function M.new(world, options)
  local node = setmetatable({
    world = world, id = options.id, skew_ms = options.skew_ms, source = options.source,
    worker_count = options.workers, alter = options.alter, workers = {}, generation = 0,
    -- When the source of this node got to know of each purge is the source's matter.
    source_is_silent = false,
  }, Node)
  node:start()
  return node
end

function Node:start_worker(id)
  local worker = { node = self, id = id, dead = false }
  local outer = self.world.current
  self.world.current = worker
  worker.documents = stubs.instantiate('causeway.io.documents', {})
  worker.cache = stubs.instantiate('causeway.io.cache', { ['causeway.io.documents'] = worker.documents })
  worker.documents.init()
  worker.documents.start()
  worker.cache.start()
  if self.alter then
    self.alter(worker)
  end
  self.world.current = outer
  self.workers[id + 1] = worker
end

--- Begins anew, with nothing in memory.
function Node:start()
  self.shared = new_shared(self)
  self.flights = {}
  self.generation = self.generation + 1
  for id = 0, self.worker_count - 1 do
    self:start_worker(id)
  end
end

function Node:stop()
  for _, worker in ipairs(self.workers) do
    worker.dead = true
  end
  self.workers = {}
end

function Node:restart()
  self:stop()
  self:start()
end

--- A worker dies; another takes its place. What all workers share stays.
function Node:lose_worker(id)
  self.workers[id + 1].dead = true
  for key, flight in pairs(self.flights) do
    if flight.worker == self.workers[id + 1] then
      self.flights[key] = nil
    end
  end
  self:start_worker(id)
end

--- As io/source, of this node.
function Node:read_source(address)
  if address == 'credentials' then
    return CREDENTIALS
  end
  local text = self.source:text_for(self)
  self.world:sleep(self.world:between(0, self.source.most_delay_ms))
  if self.source_is_silent then
    return nil, 'silent'
  end
  return text
end

return M
