local sha256 = require 'causeway.io.sha256'

describe('sha256', function()
  -- FIPS 180-4's own examples (NIST CSRC, SHA256.pdf).
  local KNOWN = {
    [''] = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    ['abc'] = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    ['abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'] =
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  }

  it('gives 64 digits, or the 32 bytes that they stand for', function()
    for text, hex in pairs(KNOWN) do
      assert.equal(hex, sha256.hex(text))
      local bytes = sha256.digest(text)
      assert.equal(32, #bytes)
      assert.equal(hex, (bytes:gsub('.', function(byte) return ('%02x'):format(byte:byte()) end)))
    end
  end)

  it('gives the same in pieces', function()
    local yields = 0
    local text = ('x'):rep(1000)
    local hex = sha256.hex_in_pieces(text, { every = 300, yield = function() yields = yields + 1 end })
    assert.same({ sha256.hex(text), 4 }, { hex, yields })
  end)
end)
