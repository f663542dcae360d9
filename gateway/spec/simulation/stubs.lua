--- What the data plane's io stands on, in the simulation: nginx, its clock, its shared memory, the registry's source
-- and Valkey, all of the node whose process runs. Everything above them is the real code.

local M = {}

-- The wall clock at the beginning of every world.
M.EPOCH_MS = 1795430000000

local world

--- Makes a world the one that all stubs speak of.
function M.enter(another)
  world = another
end

local function node()
  return world.current.node
end

local settings = {}

--- The settings that the code reads.
function M.configure(values)
  for name in pairs(settings) do
    settings[name] = nil
  end
  for name, value in pairs(values) do
    settings[name] = value
  end
end

local function every(seconds, call)
  local owner = world.current
  local function tick()
    if not owner.dead then
      world:spawn(owner, function()
        call(false)
      end)
      world:after(seconds * 1000, tick)
    end
  end
  world:after(seconds * 1000, tick)
  return true
end

local ngx_stub = {
  ERR = 4, WARN = 5, NOTICE = 6,
  log = function() end,
  now = function()
    return (M.EPOCH_MS + world.now + node().skew_ms) / 1000
  end,
  shared = setmetatable({}, {
    __index = function(_, name)
      return node().shared[name]
    end,
  }),
  timer = {
    every = every,
    at = function(seconds, call, ...)
      local owner, given = world.current, { ... }
      world:after(seconds * 1000, function()
        if not owner.dead then
          world:spawn(owner, function()
            call(false, unpack(given))
          end)
        end
      end)
      return true
    end,
  },
}

local loaded = {
  ['causeway.settings'] = settings,
  ['causeway.io.clock'] = {
    -- Not moved by whoever sets the time of day.
    monotonic_ms = function()
      return world.now
    end,
  },
  ['causeway.io.log'] = {
    once = function() end,
    is_speaker = function()
      return world.current.id == 0
    end,
  },
  ['causeway.io.source'] = {
    read = function(address)
      return node():read_source(address)
    end,
  },
  ['causeway.io.valkey'] = {
    enabled = function()
      return settings.valkey ~= nil
    end,
    key = function(...)
      return 'cw:' .. settings.environment .. ':' .. table.concat({ ... }, ':')
    end,
    call = function(...)
      return world.valkey:call(node(), ...)
    end,
    pipeline = function(commands)
      return world.valkey:pipeline(node(), commands)
    end,
    script = function(script, keys, args)
      return world.valkey:script(node(), script, keys, args)
    end,
  },
}

--- Puts the stubs where the code looks for what they stand for. For the whole of a spec file, which busted keeps apart.
function M.install()
  for name, stub in pairs(loaded) do
    package.loaded[name] = stub
  end
  rawset(_G, 'ngx', ngx_stub)
end

local chunks = {}

--- An instance of a module of its own, as each worker has one.
-- @param name       of the module
-- @param overrides  other instances that it is to see: name -> module
function M.instantiate(name, overrides)
  local chunk = chunks[name]
  if not chunk then
    chunk = assert(loadfile(assert(package.searchpath(name, package.path))))
    chunks[name] = chunk
  end
  -- Functions keep the environment that was set when they were made.
  setfenv(chunk, setmetatable({
    require = function(wanted)
      return overrides[wanted] or require(wanted)
    end,
  }, { __index = _G }))
  return chunk(name)
end

return M
