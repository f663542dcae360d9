local conditional = require 'causeway.core.conditional'

describe('If-None-Match', function()
  it('matches any of a list, weakly, and everything by a star', function()
    for _, header in ipairs({
      '"a"', 'W/"a"', '"b", "a"', '"b",W/"a"', ' "a" ', '*', ' * ', '"x,y" , "a"', { '"b"', '"a"' },
    }) do
      assert.is_true(conditional.matches(header, '"a"'))
      assert.is_true(conditional.matches(header, 'W/"a"'))
    end
  end)

  it('matches nothing else', function()
    for _, header in ipairs({ '', '"b"', 'a', '"A"', '""', '"a', '"*"', '*, "b"', '"aa"', '"a b"' }) do
      assert.is_false(conditional.matches(header, '"a"'))
    end
    assert.is_false(conditional.matches(nil, '"a"'))
  end)
end)
