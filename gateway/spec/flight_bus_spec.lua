local NAMES = { 'flight_bus', 'flight_exports', 'flight_mirrors', 'mailbox' }
local STUBBED = { 'clock', 'workers' }
local PIECE, PIECES, PIECE_MS = ('x'):rep(1000), 400, 20

-- Two workers in steps of a millisecond, with the real bus, mailbox and flights: one fetches, and stands still for a
-- while; the other follows it.
describe('flight_bus', function()
  local now, running, lists, saved

  local function ngx_of()
    return {
      now = function() return now / 1000 end,
      log = function(...) error(table.concat({ ... }, ' ', 2)) end,
      ERR = 4,
      shared = {
        causeway_flights = {
          rpush = function(_, key, value)
            lists[key] = lists[key] or {}
            table.insert(lists[key], value)
            return #lists[key]
          end,
          lpop = function(_, key) return lists[key] and table.remove(lists[key], 1) end,
          delete = function(_, key) lists[key] = nil end,
        },
      },
      worker = { pid = function() return running.pid end },
      sleep = function(seconds) coroutine.yield(now + seconds * 1000) end,
      timer = {
        at = function(seconds, run, ...)
          local arguments = { ... }
          table.insert(running.threads, {
            at = now + seconds * 1000,
            routine = coroutine.create(function() run(false, unpack(arguments)) end),
          })
          return true
        end,
      },
    }
  end

  local function new_worker(pid)
    local worker = { pid = pid, threads = {} }
    running = worker
    for _, name in ipairs(NAMES) do
      package.loaded['causeway.io.' .. name] = nil
    end
    for _, name in ipairs(NAMES) do
      worker[name] = require('causeway.io.' .. name)
    end
    return worker
  end

  -- What is due in a worker.
  local function run(worker)
    running = worker
    local threads = worker.threads
    for index = #threads, 1, -1 do
      local thread = threads[index]
      if thread.at <= now then
        local ok, at = coroutine.resume(thread.routine)
        assert(ok, at)
        thread.at = at
        if coroutine.status(thread.routine) == 'dead' then
          table.remove(threads, index)
        end
      end
    end
  end

  before_each(function()
    now, lists, saved = 1000000, {}, { ngx = ngx }
    for _, list in ipairs { NAMES, STUBBED } do
      for _, name in ipairs(list) do
        saved[name] = package.loaded['causeway.io.' .. name]
      end
    end
    _G.ngx = ngx_of()
    package.loaded['causeway.io.clock'] = { monotonic_ms = function() return now end }
    package.loaded['causeway.io.workers'] = { is_alive = function() return true end }
  end)

  after_each(function()
    _G.ngx = saved.ngx
    for _, list in ipairs { NAMES, STUBBED } do
      for _, name in ipairs(list) do
        package.loaded['causeway.io.' .. name] = saved[name]
      end
    end
  end)

  -- Returns the bytes that the follower got, and how its flight ended.
  local function follow(stall_ms)
    local core_flight = require 'causeway.core.flight'
    local owner, follower = new_worker(1), new_worker(2)
    local flight, fetching = core_flight.new { keep = 1e7, window = 131072 }, true
    local mirror = core_flight.new { keep = 1e7, window = 131072 }
    running = owner
    owner.flight_bus.init(function(key) return key == 'key' and flight or nil end, function() return fetching end)
    owner.flight_bus.watch()
    local local_reader = flight:join(function() end)
    running = follower
    follower.flight_bus.init(function() end, function() return false end)
    follower.flight_bus.watch(true)
    follower.flight_mirrors.begin(mirror, 'key', 1)
    local reader = mirror:join(function() end)

    local stalls_from, pushed, got = now + 300, 0, 0
    local opens_at, ends_at = now + 50, now + 20000
    while not mirror.outcome and now < ends_at do
      now = now + 1
      if now < stalls_from or now >= stalls_from + stall_ms then
        run(owner)
        if now >= opens_at and not flight.head then
          flight:open { status = 200, headers = {} }
        end
        if flight.head and now % PIECE_MS == 0 and pushed < PIECES then
          pushed = pushed + 1
          flight:push(PIECE)
          while flight:next(local_reader) do end
          if pushed == PIECES then
            flight:close 'whole'
            flight:leave(local_reader)
            fetching = false
          end
        end
      end
      run(follower)
      local piece = mirror:next(reader)
      while piece do
        got = got + #piece
        piece = mirror:next(reader)
      end
    end
    return got, mirror.outcome
  end

  for _, stall_ms in ipairs { 0, 250, 350, 3000 } do
    it(('goes on after a worker stood still for %d ms while another follows it'):format(stall_ms), function()
      local got, outcome = follow(stall_ms)
      assert.same({ PIECES * #PIECE, 'whole' }, { got, outcome })
    end)
  end
end)
