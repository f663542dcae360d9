--- Judges a served chain and its key, by OpenSSL's libcrypto: what nginx would only find out, or never, at start.

local ffi = require('ffi')

ffi.cdef([[
typedef struct causeway_bio causeway_bio;
typedef struct causeway_x509 causeway_x509;
typedef struct causeway_pkey causeway_pkey;
typedef struct causeway_time causeway_time;
typedef struct causeway_name causeway_name;
typedef struct causeway_store causeway_store;
typedef struct causeway_store_ctx causeway_store_ctx;
typedef struct causeway_stack causeway_stack;
causeway_bio *BIO_new_mem_buf(const void *data, int length);
int BIO_free(causeway_bio *bio);
causeway_x509 *PEM_read_bio_X509(causeway_bio *bio, causeway_x509 **out, void *callback, const char *password);
void X509_free(causeway_x509 *certificate);
causeway_pkey *PEM_read_bio_PrivateKey(causeway_bio *bio, causeway_pkey **out, void *callback, const char *password);
void EVP_PKEY_free(causeway_pkey *key);
int X509_check_private_key(const causeway_x509 *certificate, const causeway_pkey *key);
int X509_check_issued(causeway_x509 *issuer, causeway_x509 *subject);
const causeway_time *X509_get0_notAfter(const causeway_x509 *certificate);
const causeway_time *X509_get0_notBefore(const causeway_x509 *certificate);
int ASN1_TIME_diff(int *days, int *seconds, const causeway_time *from, const causeway_time *to);
causeway_name *X509_get_subject_name(const causeway_x509 *certificate);
causeway_name *X509_get_issuer_name(const causeway_x509 *certificate);
char *X509_NAME_oneline(const causeway_name *name, char *buffer, int size);
causeway_store *X509_STORE_new(void);
void X509_STORE_free(causeway_store *store);
int X509_STORE_load_locations(causeway_store *store, const char *file, const char *directory);
causeway_store_ctx *X509_STORE_CTX_new(void);
void X509_STORE_CTX_free(causeway_store_ctx *context);
int X509_STORE_CTX_init(causeway_store_ctx *context, causeway_store *store, causeway_x509 *leaf, causeway_stack *chain);
int X509_verify_cert(causeway_store_ctx *context);
int X509_STORE_CTX_get_error(const causeway_store_ctx *context);
const char *X509_verify_cert_error_string(long code);
causeway_stack *OPENSSL_sk_new_null(void);
int OPENSSL_sk_push(causeway_stack *stack, const void *item);
void OPENSSL_sk_free(causeway_stack *stack);
void ERR_clear_error(void);
]])

local function library()
  if pcall(function()
    return ffi.C.X509_verify_cert
  end) then
    return ffi.C
  end
  return ffi.load('libcrypto.so.3')
end

local C = library()

-- OpenSSL's codes for a chain that ends before a trusted authority (x509_vfy.h).
local INCOMPLETE = { [2] = true, [20] = true, [21] = true }

local M = {}

local function read_chain(pem)
  local bio = C.BIO_new_mem_buf(pem, #pem)
  local chain = {}
  while true do
    local certificate = C.PEM_read_bio_X509(bio, nil, nil, '')
    if certificate == nil then
      break
    end
    chain[#chain + 1] = ffi.gc(certificate, C.X509_free)
  end
  C.BIO_free(bio)
  C.ERR_clear_error()
  return chain
end

local function read_key(pem)
  local bio = C.BIO_new_mem_buf(pem, #pem)
  -- An empty password: an encrypted key fails, where OpenSSL would ask on the terminal.
  local key = C.PEM_read_bio_PrivateKey(bio, nil, nil, '')
  C.BIO_free(bio)
  C.ERR_clear_error()
  if key == nil then
    return nil
  end
  return ffi.gc(key, C.EVP_PKEY_free)
end

local function seconds_until(time)
  local days, seconds = ffi.new('int[1]'), ffi.new('int[1]')
  C.ASN1_TIME_diff(days, seconds, nil, time)
  return days[0] * 86400 + seconds[0]
end

local function name_of(name)
  local buffer = ffi.new('char[256]')
  return ffi.string(C.X509_NAME_oneline(name, buffer, 256))
end

local function subject(certificate)
  return name_of(C.X509_get_subject_name(certificate))
end

local function is_self_signed(certificate)
  return C.X509_check_issued(certificate, certificate) == 0
end

-- Whether clients that trust the given authorities can build a path from what is served.
local function verify(chain, authority_files)
  local store = ffi.gc(C.X509_STORE_new(), C.X509_STORE_free)
  for _, path in ipairs(authority_files) do
    C.X509_STORE_load_locations(store, path, nil)
  end
  C.ERR_clear_error()
  local stack = ffi.gc(C.OPENSSL_sk_new_null(), C.OPENSSL_sk_free)
  for i = 2, #chain do
    C.OPENSSL_sk_push(stack, chain[i])
  end
  local context = ffi.gc(C.X509_STORE_CTX_new(), C.X509_STORE_CTX_free)
  C.X509_STORE_CTX_init(context, store, chain[1], stack)
  if C.X509_verify_cert(context) == 1 then
    return true
  end
  local code = C.X509_STORE_CTX_get_error(context)
  C.ERR_clear_error()
  return false, code, ffi.string(C.X509_verify_cert_error_string(code))
end

--- Judges a chain and a key.
-- @tparam string chain_pem leaf first, then its issuers
-- @tparam string key_pem
-- @tparam {string,...} authority_files PEM files with the authorities that clients trust
-- @treturn number|nil seconds until the first of the chain expires
-- @treturn nil|string why they must not be served
function M.judge(chain_pem, key_pem, authority_files)
  local chain = read_chain(chain_pem)
  if #chain == 0 then
    return nil, 'the chain file holds no PEM certificate'
  end
  local key = read_key(key_pem)
  if not key then
    return nil, 'the key file holds no unencrypted PEM private key'
  end
  if C.X509_check_private_key(chain[1], key) ~= 1 then
    C.ERR_clear_error()
    return nil, 'the key does not match the certificate of ' .. subject(chain[1])
  end
  local expires = math.huge
  for _, certificate in ipairs(chain) do
    local left = seconds_until(C.X509_get0_notAfter(certificate))
    if left <= 0 then
      return nil, 'the certificate of ' .. subject(certificate) .. ' has expired'
    end
    if seconds_until(C.X509_get0_notBefore(certificate)) > 0 then
      return nil, 'the certificate of ' .. subject(certificate) .. ' is not valid yet'
    end
    expires = math.min(expires, left)
  end
  for i = 1, #chain - 1 do
    if C.X509_check_issued(chain[i + 1], chain[i]) ~= 0 then
      return nil,
        'the chain is out of order: ' .. subject(chain[i]) .. ' was not issued by ' .. subject(chain[i + 1])
    end
  end
  -- A certificate that signed itself is its own authority: served between load balancer and node, or in a test.
  if is_self_signed(chain[#chain]) then
    return expires
  end
  local ok, code, reason = verify(chain, authority_files)
  if ok then
    return expires
  end
  if INCOMPLETE[code] then
    local last = chain[#chain]
    return nil,
      'the chain is incomplete: the issuer of '
        .. subject(last)
        .. ', '
        .. name_of(C.X509_get_issuer_name(last))
        .. ', is neither in the chain file nor a trusted authority (tls.caFile)'
  end
  return nil, 'the chain does not verify: ' .. reason
end

return M
