--- Before the workers are forked: settings, every module (so that workers share their code), and the certificate, which
-- nginx must not start with if it is a bad one.

local jit = require('jit')
local settings = require('causeway.settings')

local M = {}

-- A phase is one long trace, which LuaJIT gives up on with the bounds that it comes with: it then compiles pieces and
-- interprets what is between them (measured: 4 % of a request's time).
local TRACES = { 'maxrecord=20000', 'maxirconst=4000', 'maxsnap=4000', 'maxside=1000' }

function M.run(settings_path)
  jit.opt.start(unpack(TRACES))
  settings.load(settings_path)
  require('causeway.io.drain').init()
  require('causeway.io.dns').init(settings.resolvers)
  require('causeway.io.breaker').init()
  require('causeway.io.documents').init()
  require('causeway.io.certificate').init(settings.certificate)
  require('causeway.io.valkey').init(os.getenv)
  require('causeway.io.fleet').init()
  require('causeway.io.fetch').init()
  for _, phase in ipairs({
    'access',
    'balancer',
    'body_filter',
    'cached_answer',
    'certificate',
    'exit_worker',
    'fetched',
    'header_filter',
    'health',
    'init_worker',
    'log',
    'next_attempt',
    'own_error',
    'probe',
    'rewrite',
    'uncached',
  }) do
    require('causeway.phase.' .. phase)
  end
end

return M
