local cool_down = require 'causeway.core.cool_down'

-- Two workers of one node: what they share, each with a state of its own.
local function node()
  local clock = { s = 0 }
  local entries = {}
  local store = {}
  function store.get(_, key)
    local entry = entries[key]
    if entry and entry.expires and clock.s >= entry.expires then
      entries[key] = nil
      return nil
    end
    return entry and entry.value
  end
  function store.set(_, key, value, ttl)
    entries[key] = { value = value, expires = ttl and clock.s + ttl }
    return true
  end
  function store.add(_, key, value, ttl)
    if store.get(nil, key) ~= nil then
      return nil, 'exists'
    end
    return store.set(nil, key, value, ttl)
  end
  function store.delete(_, key)
    entries[key] = nil
  end
  local function worker()
    return cool_down.new('service', store, function()
      return clock.s
    end, 2)
  end
  return clock, worker(), worker()
end

it('is up until a use fails, and then down for all workers', function()
  local _, one, other = node()
  local generation = one:generation()
  assert.is_truthy(generation)
  assert.is_true(one:failed(generation))
  assert.is_nil(one:generation())
  assert.is_nil(other:generation())
  -- A second one whose use had begun before says nothing new.
  assert.is_false(other:failed(generation))
end)

it('is looked for after a second by one worker at a time, and comes back for all', function()
  local clock, one, other = node()
  local generation = one:generation()
  one:failed(generation)
  clock.s = 0.9
  assert.is_nil(one:begin_look())
  clock.s = 1
  local look = one:begin_look()
  assert.is_truthy(look)
  assert.is_nil(other:begin_look())
  one:looked(look, true)
  assert.equal(look, other:generation())
  assert.not_equal(generation, look)
  assert.is_nil(other:begin_look())
  -- A failure from before the recovery says nothing about after it.
  assert.is_false(other:failed(generation))
  assert.equal(look, one:generation())
end)

local function seconds_until_look(clock, one)
  local began = clock.s
  while true do
    local look = one:begin_look()
    if look then
      return clock.s - began, look
    end
    clock.s = clock.s + 0.25
  end
end

it('is looked for every second', function()
  local clock, one = node()
  one:failed(one:generation())
  for _ = 1, 5 do
    local seconds, look = seconds_until_look(clock, one)
    assert.equal(1, seconds)
    one:looked(look, false)
  end
end)

it('is left alone for longer where it fails soon after it came back, for five seconds at most', function()
  local clock, one = node()
  local waited = {}
  for i = 1, 5 do
    one:failed(one:generation())
    local seconds, look = seconds_until_look(clock, one)
    waited[i] = seconds
    one:looked(look, true)
  end
  assert.same({ 1, 2, 4, 5, 5 }, waited)
  clock.s = clock.s + 60
  one:failed(one:generation())
  assert.equal(1, (seconds_until_look(clock, one)))
end)

it('is looked for again where the worker that looked has died', function()
  local clock, one, other = node()
  one:failed(one:generation())
  clock.s = 1
  assert.is_truthy(one:begin_look())
  clock.s = 2.9
  assert.is_nil(other:begin_look())
  clock.s = 3
  assert.is_truthy(other:begin_look())
end)
