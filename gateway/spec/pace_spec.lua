local pace = require 'causeway.core.pace'

describe('a pace', function()
  local one
  before_each(function()
    one = pace.new({ idle_ms = 3, busy_ms = 1, calm_ms = 100 })
  end)

  it('is slow where nothing has come', function()
    assert.equal(3, one:wait_ms(0))
    assert.equal(3, one:wait_ms(1e9))
  end)

  it('is quick for a while after something has come, each time anew', function()
    one:stir(1000)
    assert.equal(1, one:wait_ms(1000))
    assert.equal(1, one:wait_ms(1099))
    assert.equal(3, one:wait_ms(1100))
    one:stir(1090)
    assert.equal(1, one:wait_ms(1189))
    assert.equal(3, one:wait_ms(1190))
  end)
end)
