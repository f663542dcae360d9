local flight = require 'causeway.core.flight'

local function nothing() end

-- A flight that counts what it holds and how often it called back.
local function new(keep, window)
  local seen = { held = 0, closed = 0, room = 0 }
  local made = flight.new({
    keep = keep or 100, window = window or 20,
    account = function(bytes) seen.held = seen.held + bytes end,
    on_closed_to_joiners = function() seen.closed = seen.closed + 1 end,
    on_room = function() seen.room = seen.room + 1 end,
  })
  return made, seen
end

local function drain(made, reader)
  local out = {}
  for piece in function() return made:next(reader) end do
    out[#out + 1] = piece
  end
  return table.concat(out)
end

describe('a flight', function()
  it('gives each reader all of it, also one that joins late', function()
    local made = new()
    local first = made:join(nothing)
    made:open({ status = 200 })
    made:push('one ')
    assert.equal('one ', drain(made, first))
    local late = made:join(nothing)
    made:push('two')
    assert.equal('two', drain(made, first))
    assert.equal('one two', drain(made, late))
    assert.equal('one two', made:body())
    assert.is_nil(made:next(late))
    assert.is_true(made:is_drained(late))
  end)

  it('wakes its readers for the head, each piece and the end', function()
    local made, woken = new(), 0
    made:join(function() woken = woken + 1 end)
    made:open({})
    made:push('x')
    made:close('whole')
    made:close('cut')
    assert.equal(3, woken)
    assert.equal('whole', made.outcome)
  end)

  it('holds nothing once its end was read', function()
    local made, seen = new()
    local reader, slow = made:join(nothing), made:join(nothing)
    made:push('12345')
    drain(made, reader)
    made:close('whole')
    assert.equal(5, seen.held)
    assert.equal(1, seen.closed)
    assert.is_nil(made:join(nothing))
    assert.is_nil(made:body())
    drain(made, slow)
    assert.equal(0, seen.held)
  end)

  it('holds nothing once those who did not read to the end have left', function()
    local made, seen = new()
    local reader = made:join(nothing)
    made:push('12345')
    made:close('cut')
    made:leave(reader)
    made:leave(reader)
    assert.equal(0, seen.held)
    assert.equal(0, made.reader_count)
  end)

  it('holds all of it without readers, up to its bound', function()
    local made, seen = new(10)
    made:leave(made:join(nothing))
    assert.is_true(made:push('1234567890'))
    assert.equal('1234567890', made:body())
    made:push('x')
    assert.equal(0, seen.held)
    assert.equal(1, seen.closed)
  end)

  it('above its limit waits for the slowest reader, and loses nothing', function()
    local made, seen = new(10, 20)
    local quick, slow = made:join(nothing), made:join(nothing)
    assert.is_true(made:push(('a'):rep(10)))
    assert.is_true(made:push(('b'):rep(10)))
    assert.is_nil(made:join(nothing))
    assert.is_nil(made:body())
    assert.is_false(made:push('c'))
    drain(made, quick)
    assert.equal(0, seen.room)
    assert.equal(21, seen.held)
    assert.equal(('a'):rep(10), made:next(slow))
    assert.equal(1, seen.room)
    assert.equal(('b'):rep(10) .. 'c', drain(made, slow))
    assert.equal(1, seen.room)
    assert.equal(0, seen.held)
  end)

  it('that is full goes on when the slowest reader leaves', function()
    local made, seen = new(10, 20)
    local slow = made:join(nothing)
    made:join(nothing)
    made:push(('a'):rep(30))
    for reader in pairs(made.readers) do
      if reader ~= slow then
        drain(made, reader)
      end
    end
    assert.equal(0, seen.room)
    made:leave(slow)
    assert.equal(1, seen.room)
  end)

  it('gives every reader the same bytes and accounts for all of them, whatever they do', function()
    math.randomseed(4)
    for _ = 1, 500 do
      local made, seen = new(math.random(0, 60), math.random(1, 20))
      local sent, readers = '', {}
      for _ = 1, math.random(1, 80) do
        local what = math.random(6)
        if what == 1 then
          local reader = made:join(nothing)
          assert.equal(made.kept, reader ~= nil)
          if reader then
            readers[reader] = ''
          end
        elseif what == 2 and next(readers) and math.random(4) == 1 then
          local reader = next(readers)
          made:leave(reader)
          readers[reader] = nil
        elseif what <= 4 and not made.full then
          local piece = ('%d'):format(math.random(1, 99999))
          sent = sent .. piece
          assert.equal(made:push(piece), not made.full)
        else
          for reader, had in pairs(readers) do
            if math.random(2) == 1 then
              readers[reader] = had .. (made:next(reader) or '')
            end
          end
        end
        assert.is_true(seen.held >= 0 and seen.held <= #sent)
        for _, had in pairs(readers) do
          assert.equal(sent:sub(1, #had), had)
        end
      end
      made:close('whole')
      for reader, had in pairs(readers) do
        assert.equal(sent, had .. drain(made, reader))
      end
      assert.equal(0, seen.held)
    end
  end)
end)
