--- Messages between the workers of a node: each has a list of its own in memory that all share, named by its pid. They
-- come in the order in which they were sent, and stay until they are read; where there is no room, the sender is told.

local M = {}

local DICTIONARY = 'causeway_flights'
local PREFIX = 'in:'

local own

local function dictionary()
  return ngx.shared[DICTIONARY]
end

--- Sends a message.
-- @tparam number pid the worker
-- @tparam string kind one letter
-- @tparam string id what it is about; without spaces
-- @tparam[opt=''] string text any bytes
-- @treturn boolean whether there was room
function M.send(pid, kind, id, text)
  return dictionary():rpush(PREFIX .. pid, kind .. id .. ' ' .. (text or '')) ~= nil
end

--- Takes this worker's next message.
-- @treturn string|nil kind; nil where there is none
-- @treturn string id
-- @treturn string text
function M.take()
  own = own or PREFIX .. ngx.worker.pid()
  local message = dictionary():lpop(own)
  if not message then
    return nil
  end
  local space = message:find(' ', 2, true)
  return message:sub(1, 1), message:sub(2, space - 1), message:sub(space + 1)
end

--- Throws away what a worker that is gone has not read.
function M.forget(pid)
  dictionary():delete(PREFIX .. pid)
end

return M
