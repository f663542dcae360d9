--- Usage metering of an answer, as its bytes pass.
--
-- What it is for: token metrics and budgets. A meter looks at a copy of the bytes; it never holds or changes them.
-- Units: tokens. Shapes: both meters have `:feed(chunk)` and `:finish(aborted, strict) -> result`, where `strict` has
-- all of an answer looked at whose end is not known to be one; for the result see `usage_state`.

local usage_json = require 'causeway.core.usage_json'
local usage_sse = require 'causeway.core.usage_sse'

local _M = {}

--- A meter for one JSON document.
-- @param max_bytes  largest answer that is read; default 4 MiB
-- @return meter
_M.json = usage_json.new

--- A meter for a stream of server-sent events.
-- @return meter
_M.sse = usage_sse.new

return _M
