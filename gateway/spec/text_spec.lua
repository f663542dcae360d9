local cjson = require 'cjson.safe'
local text = require 'causeway.core.text'

describe('text', function()
  it('tells well-formed UTF-8 from malformed', function()
    for _, good in ipairs { '', 'abc', 'é', '€', '😀', '\244\143\191\191', '\237\159\191' } do
      assert.is_true(text.is_utf8(good), good)
    end
    for _, bad in ipairs {
      '\128', 'a\255', '\192\174', '\193\191', '\224\159\191', '\237\160\128', '\240\143\191\191', '\244\144\128\128',
      '\245\128\128\128', 'é\195', '€\226\130', '😀\240\159\152',
    } do
      assert.is_false(text.is_utf8(bad))
    end
  end)

  it('replaces every malformed byte and nothing else', function()
    assert.equal('aé€😀', text.repair('aé€😀'))
    assert.equal('a\239\191\189b', text.repair('a\255b'))
    assert.equal('é\239\191\189', text.repair('é\195'))
    assert.equal('\239\191\189\239\191\189é', text.repair('\192\174é'))
  end)

  it('cuts between characters', function()
    assert.equal('abc', text.truncate('abc', 3))
    assert.equal('ab', text.truncate('abc', 2))
    assert.equal('a', text.truncate('aé', 2))
    assert.equal('aé', text.truncate('aéb', 3))
    assert.equal('', text.truncate('😀', 3))
    assert.equal('', text.truncate('abc', 0))
  end)

  it('quotes any byte as JSON on one line', function()
    assert.equal('"plain"', text.quote('plain'))
    assert.equal([["a\"b\\c\n\u0000\u001f"]], text.quote('a"b\\c\n\0\31'))
    local all = {}
    for code = 0, 255 do
      all[code + 1] = string.char(code)
    end
    local quoted = text.quote(table.concat(all))
    assert.is_nil(quoted:find('[\r\n%z]'))
    local decoded = assert(cjson.decode('[' .. quoted .. ']'))[1]
    assert.is_true(text.is_utf8(decoded))
    assert.equal(table.concat(all, '', 1, 128), decoded:sub(1, 128))
  end)

  it('passes DEL through unescaped', function()
    assert.equal('"a\127"', text.quote('a\127'))
  end)
end)
