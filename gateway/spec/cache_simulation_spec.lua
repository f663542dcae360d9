-- Thousands of random lives of a few nodes, held against what docs/caching.md promises. CAUSEWAY_TEST_SEED repeats one
-- run, CAUSEWAY_LONG_TESTS=1 makes it a long one.

require('simulation.stubs').install()

local broken = require 'simulation.broken'
local schedule = require 'simulation.schedule'

local LONG = os.getenv 'CAUSEWAY_LONG_TESTS' == '1'
local LIVES = LONG and 20000 or 600
-- Lives in which a broken rule must show.
local ENOUGH = 2000
local first = tonumber(os.getenv 'CAUSEWAY_TEST_SEED' or '') or os.time() % 1000000

describe(('the cache in %d random lives (CAUSEWAY_TEST_SEED=%d repeats them)'):format(LIVES, first), function()
  it('shows no client more than it may see at worst', function()
    local seen = {}
    for seed = first, first + LIVES - 1 do
      local judge = schedule.run(seed)
      assert(not judge.found, ('seed %d: %s'):format(seed, judge.found))
      for what, count in pairs(judge.seen) do
        seen[what] = (seen[what] or 0) + count
      end
    end
    -- They are no empty exercise.
    for what, least in pairs {
      ['HIT l1'] = 10, ['HIT l2'] = 10, STALE = 5, MISS = 50, joined = 10, BYPASS = 20, FAILED = 20,
      REFUSED = 1, ['before a purge'] = 4,
    } do
      assert.is_true((seen[what] or 0) >= least * LIVES / 2, ('%s: %d'):format(what, seen[what] or 0))
    end
  end)

  for what, case in pairs(broken) do
    it('finds out when ' .. what, function()
      local kept = {}
      for module, functions in pairs(case.modules or {}) do
        kept[module] = {}
        for name, broken_one in pairs(functions) do
          kept[module][name] = module[name]
          module[name] = broken_one
        end
      end
      local rule
      for seed = first, first + ENOUGH - 1 do
        local judge = schedule.run(seed, { alter = case.break_it, needs = case.needs })
        if judge.found then
          rule = judge.rule
          break
        end
      end
      for module, functions in pairs(kept) do
        for name, real in pairs(functions) do
          module[name] = real
        end
      end
      assert.is_truthy((' ' .. table.concat(case.rules, ' ')):find(rule or 'nothing', 1, true), rule)
    end)
  end
end)
