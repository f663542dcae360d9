--- Documents in, a line each out: what the programs here have in common.

local M = {}

--- Reads documents from stdin, each behind its length as four bytes, big-endian, and writes a line each.
-- @param line_of  function(document) -> line
function M.run(line_of)
  io.stdout:setvbuf 'line'
  while true do
    local head = io.read(4)
    if not head then
      return
    end
    local a, b, c, d = head:byte(1, 4)
    local length = assert(d, 'a length is cut short') + c * 256 + b * 65536 + a * 16777216
    local document = length > 0 and assert(io.read(length), 'a document is cut short') or ''
    assert(#document == length, 'a document is cut short')
    io.write(line_of(document), '\n')
  end
end

return M
