local cjson = require 'cjson.safe'
local api_error = require 'causeway.core.error'

describe('error', function()
  it('has the type that the API has for each status', function()
    for status, kind in pairs {
      [400] = 'invalid_request_error', [401] = 'authentication_error', [402] = 'billing_error',
      [403] = 'permission_error',
      [404] = 'not_found_error', [405] = 'invalid_request_error', [408] = 'timeout_error', [409] = 'conflict_error',
      [413] = 'request_too_large', [414] = 'invalid_request_error', [429] = 'rate_limit_error',
      [431] = 'invalid_request_error', [500] = 'api_error', [502] = 'api_error', [503] = 'api_error',
      [504] = 'timeout_error', [529] = 'overloaded_error',
    } do
      assert.same({ type = 'error', error = { type = kind, message = 'm' }, request_id = 'req_1' },
        cjson.decode(api_error.body(status, 'm', 'req_1')))
    end
  end)

  it('takes a type of the caller', function()
    assert.equal('overloaded_error', cjson.decode(api_error.body(503, 'm', 'r', 'overloaded_error')).error.type)
  end)

  it('is valid JSON whatever the message holds', function()
    local decoded = assert(cjson.decode(api_error.body(400, 'bad "path" \\ \n \255', 'r"')))
    assert.equal('bad "path" \\ \n \239\191\189', decoded.error.message)
    assert.equal('r"', decoded.request_id)
    assert.equal(cjson.null, cjson.decode(api_error.body(400, 'm')).request_id)
  end)
end)
