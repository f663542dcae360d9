--- One answer that several clients read while it comes.
--
-- What it is for: identical requests that may be cached are sent once. Whoever fetches the answer pushes it in here,
-- piece by piece; everybody who asked for it reads from here, each at its own pace.
--
-- While the whole answer is held (it is no larger than `keep`), more readers may join, and it can be stored at its
-- end. From then on a piece is freed as soon as all readers have it, nobody may join, and the fetch waits while more
-- than `window` bytes are held: no piece is ever dropped, and a slow reader costs a bounded amount of memory.
--
-- Units: bytes. Shapes: a head is whatever the fetch gives; a reader is opaque but for `reader.flight`.

local concat = table.concat

local _M = {}
local Flight = {}
Flight.__index = Flight

local function nothing() end

--- A flight of which nothing has come yet.
-- @param options  `{ keep = bytes, window = bytes, account = function(bytes_added), on_closed_to_joiners, on_room }`;
--   `account` is told of what is held, `on_closed_to_joiners` is called once when nobody may join any more, `on_room`
--   when the fetch that found it full may go on
-- @return flight; `head`, `outcome` (`whole`, `cut` or `gone`) and `bytes` may be read
function _M.new(options)
  return setmetatable({
    keep = options.keep, window = options.window,
    account = options.account or nothing,
    on_closed_to_joiners = options.on_closed_to_joiners or nothing,
    on_room = options.on_room or nothing,
    head = nil, outcome = nil,
    -- Pieces by number; those from `first` to `last` are held. `unread` counts the readers that a piece waits for.
    pieces = {}, unread = {}, first = 1, last = 0,
    bytes = 0, held = 0,
    kept = true, full = false,
    readers = {}, reader_count = 0,
  }, Flight)
end

-- Frees what every reader has had.
function Flight:free()
  if self.kept then
    return
  end
  local pieces, unread, first, freed = self.pieces, self.unread, self.first, 0
  while first <= self.last and unread[first] <= 0 do
    freed = freed + #pieces[first]
    pieces[first], unread[first] = nil, nil
    first = first + 1
  end
  self.first = first
  if freed > 0 then
    self.held = self.held - freed
    self.account(-freed)
  end
  if self.full and self.held <= self.window then
    self.full = false
    self.on_room()
  end
end

local function wake_all(flight)
  for reader in pairs(flight.readers) do
    reader.wake()
  end
end

--- Adds a reader.
-- @param wake  called whenever there may be something new for it; must neither yield nor fail
-- @return reader, or nil where the beginning is gone
function Flight:join(wake)
  if not self.kept then
    return nil
  end
  local unread = self.unread
  for index = self.first, self.last do
    unread[index] = unread[index] + 1
  end
  local reader = { flight = self, at = 1, wake = wake }
  self.readers[reader] = true
  self.reader_count = self.reader_count + 1
  return reader
end

--- Takes a reader out; what was only held for it is freed.
function Flight:leave(reader)
  if not self.readers[reader] then
    return
  end
  self.readers[reader] = nil
  self.reader_count = self.reader_count - 1
  local unread = self.unread
  for index = reader.at, self.last do
    unread[index] = unread[index] - 1
  end
  self:free()
end

--- The next piece for a reader.
-- @return string, or nil where there is none (yet: see `outcome`)
function Flight:next(reader)
  local at = reader.at
  if at > self.last then
    return nil
  end
  local piece = self.pieces[at]
  reader.at = at + 1
  self.unread[at] = self.unread[at] - 1
  self:free()
  return piece
end

--- Whether a reader has had all that has come so far.
function Flight:is_drained(reader)
  return reader.at > self.last
end

--- Gives up holding the whole: nobody may join, and nothing can be stored.
function Flight:let_go()
  if self.kept then
    self.kept = false
    self.on_closed_to_joiners()
    self:free()
  end
end

--- The answer's head has come.
function Flight:open(head)
  self.head = head
  wake_all(self)
end

--- More of the answer has come.
-- @param piece  string, not empty
-- @return whether there is room for more; where not, `on_room` says when
function Flight:push(piece)
  local last = self.last + 1
  self.pieces[last], self.unread[last] = piece, self.reader_count
  self.last = last
  local size = #piece
  self.bytes, self.held = self.bytes + size, self.held + size
  self.account(size)
  if self.kept and self.bytes > self.keep then
    self:let_go()
  else
    self:free()
  end
  wake_all(self)
  self.full = not self.kept and self.held > self.window
  return not self.full
end

--- All of the answer, while it is held.
-- @return string or nil
function Flight:body()
  if not self.kept then
    return nil
  end
  return concat(self.pieces, '', 1, self.last)
end

--- Nothing more will come.
-- @param outcome  `whole`; `cut`: the answer broke off; `gone`: nothing came, and somebody else may be asked
function Flight:close(outcome)
  if self.outcome then
    return
  end
  self.outcome = outcome
  -- What its last readers still need is all that is held from now on.
  self:let_go()
  wake_all(self)
end

return _M
