--- Fetches an answer for all who wait for it, apart from any client's request: by a timer, through an internal listener
-- of this nginx, so that its way to the upstream is everybody's. It goes on as long as one client waits, whichever.
--
-- Who may use that listener: its socket lies in a directory that is nginx's alone, and what comes in must hold a token
-- that only this nginx knows.

local api_error = require('causeway.core.error')
local answer_reader = require('causeway.core.http_answer')
local judge_of = require('causeway.core.judge')
local semaphore = require('ngx.semaphore')
local settings = require('causeway.settings')
local sha256 = require('causeway.io.sha256')

local M = {}

--- The header by which a fetch says whose it is: token, id of the request that began it, consumer, and the upstream
-- credential that is that consumer's own, or `-`.
M.HEADER = 'X-Causeway-Fetch'

local STATE, TOKEN = 'causeway_state', 'fetch_token'
local CONNECT_MS, SEND_MS = 5000, 60000
-- How often a fetch that hears nothing looks whether anybody still waits for it.
local LOOK_SECONDS = 0.25
-- As much as is read at once: what nginx writes at once.
local MOST_BYTES = 16384
-- As much as is sent at once: http-lua keeps a buffer of the largest until the timer ends.
local PIECE_BYTES = 65536
-- What is not left to the garbage collector, which goes by the number of things and would let some of these pile up.
local LARGE_BYTES = 4194304
local BROKEN = 'The upstream could not be reached or broke the connection.'
local SILENT = 'The upstream did not answer in time.'

local function random_hex(count)
  local handle = assert(io.open('/dev/urandom', 'rb'))
  local bytes = handle:read(count)
  handle:close()
  return (bytes:gsub('.', function(character)
    return ('%02x'):format(character:byte())
  end))
end

--- Makes the token, in the master, where there is none yet: a reload keeps it.
function M.init()
  if settings.fetch then
    ngx.shared[STATE]:safe_add(TOKEN, random_hex(32))
  end
end

--- The token of this nginx.
function M.token()
  return ngx.shared[STATE]:get(TOKEN)
end

--- The entity tag of an answer: the same for the same bytes, whichever node says it.
function M.etag(body)
  return '"' .. sha256.hex(body):sub(1, 32) .. '"'
end

--- The copy that may stand in for an answer that the upstream does not give.
-- @tparam table cache of core/cache
-- @tparam table place
-- @treturn table|boolean `{ entry, age = seconds, at = when that was its age }`; false where there is none
function M.stand_in(cache, place)
  local entry, age = cache:stale(place)
  return entry and { entry = entry, age = age, at = ngx.now() } or false
end

local function send(socket, head, body)
  local ok, problem = socket:send(head)
  local from = 1
  while ok and from <= #body do
    ok, problem = socket:send(body:sub(from, from + PIECE_BYTES - 1))
    from = from + PIECE_BYTES
  end
  return ok, problem
end

local function connect(job)
  local socket = ngx.socket.tcp()
  socket:settimeouts(CONNECT_MS, SEND_MS, LOOK_SECONDS * 1000)
  local ok, problem = socket:connect('unix:' .. settings.fetch.socket)
  if not ok then
    return nil, 'connect: ' .. problem
  end
  local whose = { M.token(), job.request_id, job.place.consumer, job.upstream_credential or '-' }
  local head = {
    job.method, ' ', job.target, ' HTTP/1.1\r\nHost: causeway\r\nConnection: close\r\n',
    M.HEADER, ': ', table.concat(whose, ' '), '\r\n',
    job.header_lines, job.body and ('Content-Length: %d\r\n'):format(#job.body) or '', '\r\n',
  }
  ok, problem = send(socket, head, job.body or '')
  -- The body may be large, and the fetch take long.
  local large = job.body and #job.body > LARGE_BYTES
  job.body, job.header_lines = nil, nil
  if large then
    collectgarbage()
  end
  if not ok then
    socket:close()
    return nil, 'send: ' .. problem
  end
  return socket
end

local Fetch = {}
Fetch.__index = Fetch

-- An answer of our own to all who wait; where some of another has gone out already, that one ends here.
function Fetch:fail(status, reason, message, problem)
  local flight, job = self.flight, self.job
  if problem then
    ngx.log(ngx.ERR, 'causeway: a fetch failed: ', problem)
  end
  if flight.head then
    return flight:close('cut')
  end
  local body = api_error.body(status, message, job.request_id)
  self:open({
    status = status,
    headers = { { 'content-type', 'application/json' }, { 'request-id', job.request_id } },
    length = #body,
    refusal = reason,
    failed = true,
  })
  flight:push(body)
  flight:close('whole')
end

-- Hands the head on. Where it is a failure, the copy that may stand in for it is looked up once for all who wait.
function Fetch:open(head)
  if head.failed then
    head.stand_in = M.stand_in(self.cache, self.job.place)
  end
  self.flight:open(head)
end

-- Keeps the answer. Nothing in here waits until the node's own tier has it, so that no reader, once it has had the last
-- byte, can ask again and not find it.
function Fetch:store(body)
  local place, judge = self.job.place, self.judge
  local entry = {
    status = judge.status,
    headers = judge:kept_headers(),
    body = body,
    stored_at = self.answered_at,
    etag = M.etag(body),
    stream = judge.is_stream,
    consumer = place.consumer,
  }
  if self.cache:store(place, entry, self.on_kept) then
    ngx.shared[STATE]:incr('cache_stores:' .. self.job.class, 1, 0)
  end
end

-- What has come of the body goes to the readers as soon as it is clear what it belongs to.
function Fetch:pass_on(piece, done)
  local flight, judge = self.flight, self.judge
  if not flight.head then
    self.waiting[#self.waiting + 1] = piece
    if not judge:is_decided() and not done then
      return
    end
    piece, self.waiting = table.concat(self.waiting), nil
    self:open({
      status = judge.status,
      headers = judge.headers,
      length = judge.length,
      refusal = judge.refusal,
      is_stream = judge.is_stream,
      failed = judge:is_failure(),
    })
  end
  if piece ~= '' then
    flight:push(piece)
  end
end

-- The next bytes of the answer. Returns whether there will be more.
function Fetch:take(bytes)
  local answer = self.answer
  local piece, problem = answer:feed(bytes)
  if not piece then
    self:fail(502, 'fetch_failed', BROKEN, problem)
    return false
  end
  if answer.head and not self.judge then
    self.judge = judge_of.new(answer.head)
    self.answered_at = ngx.now() * 1000
    self.waiting = {}
  end
  if not self.judge then
    return true
  end
  self.judge:feed(piece)
  self:pass_on(piece, answer.done)
  if answer.done then
    self:finish()
  end
  return not answer.done
end

function Fetch:finish()
  local flight = self.flight
  -- What its last client left before the end is not kept, as nobody's call would be.
  local body = not self:is_pointless() and self.judge:may_store() and flight:body()
  local can_store = body and self.judge:can_store(body)
  flight:close('whole')
  if can_store then
    self:store(body)
  end
end

-- Whether there is nobody left for whom to go on. As with any request, what nobody waits for is neither paid for nor
-- stored: those who have left hold no place any more that would bound how many such calls there are.
function Fetch:is_pointless()
  return self.flight.reader_count == 0
end

-- Waits until the slowest reader has made room. Returns whether it is worth going on.
function Fetch:await_room()
  while self.flight.full do
    if self:is_pointless() then
      return false
    end
    self.room:wait(LOOK_SECONDS)
  end
  return true
end

function Fetch:run()
  local socket, problem = connect(self.job)
  if not socket then
    -- The internal listener has not had all of it, so no upstream was asked: whoever waits may still go another way.
    ngx.log(ngx.ERR, 'causeway: a fetch cannot begin: ', problem)
    return self.flight:close('gone')
  end
  local silent = 0
  while self:await_room() and not self:is_pointless() do
    local bytes, read_problem = socket:receiveany(MOST_BYTES)
    if bytes then
      silent = 0
      if not self:take(bytes) then
        break
      end
    elseif read_problem ~= 'timeout' then
      if self.judge and self.answer:finish() then
        self:pass_on('', true)
        self:finish()
      else
        self:fail(502, 'fetch_failed', BROKEN)
      end
      break
    else
      silent = silent + LOOK_SECONDS
      if silent > self.job.silent_seconds then
        self:fail(504, 'fetch_timeout', SILENT, 'the internal listener is silent')
        break
      end
    end
  end
  socket:close()
  self.flight:close('cut')
end

--- Fetches. For a timer.
-- @tparam table flight of core/flight; its `on_room` is `fetch.on_room`
-- @tparam table job what to fetch:
--   { place = of core/cache, class, request_id, method, target, header_lines = text, body = string or nil,
--     silent_seconds = how long the internal listener may say nothing }
-- @tparam table cache of core/cache
-- @tparam function on_kept called once the node's own tier has the answer, where it is stored
function M.run(flight, job, cache, on_kept)
  local fetch = setmetatable({
    flight = flight, job = job, cache = cache, on_kept = on_kept,
    answer = answer_reader.new(), judge = nil,
    room = semaphore.new(0),
  }, Fetch)
  flight.on_room = function()
    fetch.room:post(1)
  end
  local ok, problem = xpcall(fetch.run, debug.traceback, fetch)
  if not ok then
    ngx.log(ngx.ERR, 'causeway: a fetch broke off: ', problem)
    flight:close(flight.head and 'cut' or 'gone')
  end
end

return M
