--- Serves the certificate that io/certificate last found good.

local certificate = require('causeway.io.certificate')
local ssl = require('ngx.ssl')

local M = {}

function M.run()
  local chain, key = certificate.current()
  if not chain then
    return
  end
  ssl.clear_certs()
  local ok, ssl_error = ssl.set_cert(chain)
  if ok then
    ok, ssl_error = ssl.set_priv_key(key)
  end
  if not ok then
    ngx.log(ngx.ERR, 'causeway: the certificate cannot be served: ', ssl_error)
    return ngx.exit(ngx.ERROR)
  end
end

return M
