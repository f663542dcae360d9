--- Messages for operators. Every worker sees every change; one of them says it.

local M = {}

local LEVELS = { notice = ngx.NOTICE, warn = ngx.WARN, error = ngx.ERR }

--- Whether this worker is the one that speaks for the node: gauges, and messages that would come from each worker.
function M.is_speaker()
  return ngx.worker.id() == 0 or ngx.get_phase() == 'init'
end

--- Logs a message from one worker only. It must hold no credential, prompt or answer.
-- @tparam string level notice, warn or error
-- @tparam string message one line
function M.once(level, message)
  if M.is_speaker() then
    ngx.log(LEVELS[level], 'causeway: ', message)
  end
end

return M
