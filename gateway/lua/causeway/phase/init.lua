--- Before the workers are forked: settings, every module (so that workers share their code), and the certificate, which
-- nginx must not start with if it is a bad one.

local settings = require('causeway.settings')

local M = {}

function M.run(settings_path)
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
