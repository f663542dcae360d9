--- What is known so far of an answer's usage, and how the API's `usage` objects change it.
--
-- What it is for: `usage_json` and `usage_sse` read different shapes and give the same result.
-- Units: tokens. Shapes: the result is
--   { model                      string or nil
--     input, output, cache_read, cache_write_5m, cache_write_1h
--                                numbers; all nil where no usage was seen and nothing could be estimated
--     estimated                  true where `output` was estimated because the answer was cut
--     in_band_error              the type of an error inside the answer (`overloaded_error` …), else nil
--     complete                   true where the answer is whole
--     aborted                    what the caller said of how it ended
--     unread }                   true where the answer was too large to read

local huge = math.huge

local _M = {}

--- Bytes of answer text that count as one token where tokens must be estimated. English prose has about four; code and
-- other scripts have fewer, so the estimate is rather low than high. It is only ever used for answers that were cut.
_M.BYTES_PER_TOKEN = 4

-- Named here, each has its place from the start: a table that grows is copied each time.
local function result_with(none)
  return {
    estimated = false, complete = false, aborted = false, unread = false,
    model = none, input = none, output = none, cache_read = none, cache_write_5m = none, cache_write_1h = none,
  }
end

--- A result in which nothing is known yet.
-- @return result
function _M.new()
  return result_with(nil)
end

-- A number of tokens, or nil for null, absence and nonsense.
local function tokens(value)
  if type(value) == 'number' and value >= 0 and value < huge then
    return value
  end
  return nil
end

--- Text, or nil for null, absence and nonsense.
-- @param value  anything
-- @return string or nil
function _M.text(value)
  if type(value) == 'string' then
    return value
  end
  return nil
end

--- Takes over one `usage` object. Usage in a stream is cumulative, so the latest number wins; null and absence leave
-- what was known.
-- @param result  result
-- @param usage   decoded JSON, of any type
function _M.take(result, usage)
  if type(usage) ~= 'table' then
    return
  end
  result.input = tokens(usage.input_tokens) or result.input
  result.output = tokens(usage.output_tokens) or result.output
  result.cache_read = tokens(usage.cache_read_input_tokens) or result.cache_read
  local total = tokens(usage.cache_creation_input_tokens)
  local split = usage.cache_creation
  local short, long
  if type(split) == 'table' then
    short, long = tokens(split.ephemeral_5m_input_tokens), tokens(split.ephemeral_1h_input_tokens)
  end
  if short or long then
    short, long = short or 0, long or 0
    if total and total > short + long then
      short = total - long -- what the split leaves out is taken for the usual kind
    end
    result.cache_write_5m, result.cache_write_1h = short, long
  elseif total then
    -- No split: all of it counts as 5 m, but for what an earlier event has said of 1 h.
    long = result.cache_write_1h or 0
    long = long < total and long or total
    result.cache_write_5m, result.cache_write_1h = total - long, long
  end
end

--- Ends a result: once anything is known, what is not known is none.
-- @param result   result
-- @param aborted  whether the answer was cut off
-- @return result
function _M.close(result, aborted)
  result.aborted = aborted and true or false
  if result.input or result.output or result.cache_read or result.cache_write_5m then
    result.input = result.input or 0
    result.output = result.output or 0
    result.cache_read = result.cache_read or 0
    result.cache_write_5m = result.cache_write_5m or 0
    result.cache_write_1h = result.cache_write_1h or 0
  end
  return result
end

return _M
