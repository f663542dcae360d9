--- Keeps a parsed document up to date from its source: a good change replaces it, a broken one is reported once and the
-- last good one stays. It also stays in memory that workers share: one that starts while the source is broken or not
-- yet read (after a reload, or in place of one that died) serves with what the others last found good.

local clock = require('causeway.io.clock')
local log = require('causeway.io.log')
local source = require('causeway.io.source')

local M = {}
M.__index = M

local SHARED = 'causeway_documents'

--- A document to be kept.
-- @tparam string name how messages call it
-- @tparam string address where it is read from, see io/source
-- @tparam function parse text -> value | nil, message; the message must hold no secret
-- @param[opt] absent the value for as long as the source has never been there; without it, it must be there
function M.new(name, address, parse, absent)
  return setmetatable({
    name = name,
    address = address,
    parse = parse,
    absent = absent,
    --- The last good value; nil before the first.
    value = nil,
    -- When the value was last seen to be what the source holds, and when the look began whose finding counts, both as
    -- clock.monotonic_ms, which no change of the time of day makes younger.
    confirmed_ms = nil,
    looked_ms = 0,
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

-- Notes that the source held what is served when the last look began.
function M:confirm()
  self.confirmed_ms = self.looked_ms
  ngx.shared[SHARED]:set(self:shared_key() .. ' confirmed', self.confirmed_ms)
end

--- How long ago the source was last seen to hold what is served.
-- @treturn number|nil seconds; nil where it never was
function M:age_seconds()
  local confirmed_ms = self.confirmed_ms
  return confirmed_ms and (clock.monotonic_ms() - confirmed_ms) / 1000
end

--- Takes over what other workers last found good. For a worker that starts.
-- @treturn boolean whether a value is there
function M:restore()
  if self.text == nil then
    local text = ngx.shared[SHARED]:get(self:shared_key())
    local value = text and self.parse(text)
    if value ~= nil then
      self.text, self.value = text, value
      self.confirmed_ms = ngx.shared[SHARED]:get(self:shared_key() .. ' confirmed')
    end
  end
  return self.value ~= nil
end

-- What to make of a source that cannot be read.
function M:miss(read_error, missing)
  self:restore()
  -- One that was there once has something to say again.
  if missing and self.absent ~= nil and self.text == nil then
    self.value, self.broken_text, self.reported = self.absent, nil, nil
    self:confirm()
    return true
  end
  if self.broken_text ~= false then
    self.broken_text = false
    self.refused = self.refused + 1
  end
  self:report(read_error)
  return self.value ~= nil
end

--- Reads the source and takes over what it holds, if it has changed and is good. Never raises.
-- @treturn boolean whether a value is there
function M:refresh()
  local began_ms = clock.monotonic_ms()
  local text, read_error, missing = source.read(self.address)
  -- A later look may have come back sooner.
  if began_ms < self.looked_ms then
    return self.value ~= nil
  end
  self.looked_ms = began_ms
  if not text then
    return self:miss(read_error, missing)
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
  local first = self.text == nil
  self.text, self.value, self.broken_text, self.reported = text, value, nil, nil
  self:share(text)
  self:confirm()
  if not first then
    log.once('notice', self.name .. ' reloaded')
  end
  return true
end

return M
