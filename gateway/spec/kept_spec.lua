local kept = require 'causeway.core.kept'

describe('what is kept by a text', function()
  it('is found again, and given back as it is kept', function()
    local known = kept.new(10, 100)
    local value = {}
    assert.is_nil(known.values['a'])
    assert.equal(value, kept.keep(known, 'a', value))
    assert.equal(value, known.values['a'])
  end)

  it('is nothing of a text that is too long', function()
    local known = kept.new(10, 3)
    assert.equal(1, kept.keep(known, '1234', 1))
    assert.is_nil(known.values['1234'])
    assert.equal(2, kept.keep(known, '123', 2))
    assert.equal(2, known.values['123'])
  end)

  it('is never more than so many, whatever comes, and the newest is among them', function()
    local known = kept.new(7, 100)
    for number = 1, 1000 do
      kept.keep(known, 'text ' .. number, number)
      local count = 0
      for _ in pairs(known.values) do
        count = count + 1
      end
      assert.is_true(count <= 7)
      assert.equal(number, known.values['text ' .. number])
    end
  end)

  it('is all of them up to that many', function()
    local known = kept.new(7, 100)
    for number = 1, 7 do
      kept.keep(known, 'text ' .. number, number)
    end
    for number = 1, 7 do
      assert.equal(number, known.values['text ' .. number])
    end
  end)

  it('can be forgotten', function()
    local known = kept.new(2, 100)
    kept.keep(known, 'a', 1)
    kept.clear(known)
    assert.is_nil(known.values['a'])
    kept.keep(known, 'b', 2)
    kept.keep(known, 'c', 3)
    assert.equal(2, known.values['b'])
  end)
end)
