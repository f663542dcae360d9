--- Keeps a parsed document up to date from its source: a good change replaces it, a broken one is reported once and the
-- last good one stays. It also stays in memory that workers share: one that starts while the source is broken or not
-- yet read (after a reload, or in place of one that died) serves with what the others last found good.

local log = require('causeway.io.log')
local source = require('causeway.io.source')

local M = {}
M.__index = M

local SHARED = 'causeway_documents'

--- A document to be kept.
-- @tparam string name how messages call it
-- @tparam string address where it is read from, see io/source
-- @tparam function parse text -> value | nil, message; the message must hold no secret
function M.new(name, address, parse)
  return setmetatable({
    name = name,
    address = address,
    parse = parse,
    --- The last good value; nil before the first.
    value = nil,
    --- When the value was last seen to be what the source holds, as ngx.now.
    confirmed_at = nil,
    --- Broken documents seen so far.
    refused = 0,
    text = nil,
    broken_text = nil,
    reported = nil,
  }, M)
end

function M:report(message)
  if self.reported ~= message then
    self.reported = message
    log.once('warn', self.name .. ' refused: ' .. message .. (self.value and '; the last good one serves on' or ''))
  end
end

-- By address too: after a reload, another source's document is not this one's.
function M:shared_key()
  return self.name .. ' ' .. self.address
end

function M:share(text)
  local shared = ngx.shared[SHARED]
  -- Each worker comes by; the first has done it.
  if shared:get(self:shared_key()) == text then
    return
  end
  local ok, share_error = shared:safe_set(self:shared_key(), text)
  if not ok then
    log.once('warn', self.name .. ' cannot be kept for workers that start later: ' .. share_error)
  end
end

-- Notes that the source holds what is served.
function M:confirm()
  self.confirmed_at = ngx.now()
  ngx.shared[SHARED]:set(self:shared_key() .. ' confirmed', self.confirmed_at)
end

--- Takes over what other workers last found good. For a worker that starts.
-- @treturn boolean whether a value is there
function M:restore()
  if self.value ~= nil then
    return true
  end
  local text = ngx.shared[SHARED]:get(self:shared_key())
  local value = text and self.parse(text)
  if value ~= nil then
    self.text, self.value = text, value
    self.confirmed_at = ngx.shared[SHARED]:get(self:shared_key() .. ' confirmed')
  end
  return self.value ~= nil
end

--- Reads the source and takes over what it holds, if it has changed and is good. Never raises.
-- @treturn boolean whether a value is there
function M:refresh()
  local text, read_error = source.read(self.address)
  if not text then
    if self.broken_text ~= false then
      self.broken_text = false
      self.refused = self.refused + 1
    end
    self:restore()
    self:report(read_error)
    return self.value ~= nil
  end
  if text == self.text then
    self:confirm()
    self.broken_text = nil
    self.reported = nil
    return true
  end
  if text == self.broken_text then
    return self:restore()
  end
  local value, message = self.parse(text)
  if value == nil then
    self.broken_text = text
    self.refused = self.refused + 1
    -- Another worker may have read it while it was good.
    self:restore()
    self:report(message)
    return self.value ~= nil
  end
  local first = self.value == nil
  self.text, self.value, self.broken_text, self.reported = text, value, nil, nil
  self:share(text)
  self:confirm()
  if not first then
    log.once('notice', self.name .. ' reloaded')
  end
  return true
end

return M
