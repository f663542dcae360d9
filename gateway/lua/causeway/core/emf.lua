--- One line of the CloudWatch Embedded Metric Format.
--
-- What it is for: the log phase writes one such line a request, timers write them for gauges; CloudWatch turns them
-- into metrics. `log_format` cannot: an empty variable or a list (`0.1, 0.2`) makes its line invalid JSON, and
-- CloudWatch drops invalid lines without a word.
--
-- Units: timestamps are milliseconds since 1970, metric values are in the catalogue's unit.
-- Shapes: the catalogue is the generated `causeway.core.metrics`: `{ Name = { unit, dimensions = { { name … } … } } }`.
-- A metric is published under those of its dimension sets whose dimensions the line has all as properties; a set with
-- one missing is left out, for CloudWatch would refuse it. Which metrics and dimensions are there repeats from line to
-- line, so that part of the line is kept and reused.

local buffer = require 'string.buffer'
local text = require 'causeway.core.text'

local byte = string.byte
local concat = table.concat
local find = string.find
local floor = math.floor
local format = string.format
local sort = table.sort
local tobit = require('bit').tobit
local quote, repair, truncate = text.quote, text.repair, text.truncate

local _M = {}

_M.NAMESPACE = 'Causeway'
--- Longest string value of a property, in bytes as it stands in the line; the rest is cut off.
_M.MAX_STRING = 256
--- The format's own limits.
_M.MAX_METRICS = 100
_M.MAX_DIMENSIONS = 30
--- Property names are constants of the code. More than this many means that data has become a name.
_M.MAX_PROPERTY_NAMES = 256
-- Combinations of metrics and dimensions that are kept; far more than the phases make.
local MAX_HEADS = 512
-- Members that are kept, of some hundred bytes each at most.
local MAX_MEMBERS = 4096

--- Properties that are another for each request: keeping their literals would only drive out the others.
_M.UNIQUE = { upstreamRequestId = true }
--- Properties that Causeway makes itself of letters, digits, `_`, `-`, `:` and `.`, another for each request.
_M.PLAIN = { requestId = true, startTime = true }

local SEPARATOR = '\1'
-- Numbers hold 53 bits exactly; that many marks fit into one.
local BITS = 52

local function sets_json(sets)
  local out = {}
  for index, set in ipairs(sets) do
    local names = {}
    for position, name in ipairs(set) do
      names[position] = quote(name)
    end
    out[index] = '[' .. concat(names, ',') .. ']'
  end
  return '[' .. concat(out, ',') .. ']'
end

-- What every line needs of a catalogue, made once. Weak keys: a catalogue that is gone takes this with it.
local compiled = setmetatable({}, { __mode = 'k' })

local function compile(catalogue)
  local names, dimensions, is_dimension, entry, key, sets = {}, {}, {}, {}, {}, {}
  for name, metric in pairs(catalogue) do
    names[#names + 1] = name
    entry[name] = '{"Name":' .. quote(name) .. ',"Unit":' .. quote(metric.unit) .. '}'
    key[name] = quote(name) .. ':'
    sets[name] = {}
    for _, set in ipairs(metric.dimensions) do
      assert(#set <= _M.MAX_DIMENSIONS, 'emf: too many dimensions in one set of ' .. name)
      sets[name][concat(set, SEPARATOR)] = true
      for _, dimension in ipairs(set) do
        if not is_dimension[dimension] then
          is_dimension[dimension] = true
          dimensions[#dimensions + 1] = dimension
        end
      end
    end
  end
  sort(names)
  sort(dimensions)
  -- Each metric and dimension has a bit in one of two numbers, which together say what a line has.
  local low, high = {}, {}
  for index = 1, #names do
    local name = names[index]
    low[name] = index <= BITS and 2 ^ (index - 1) or 0
    high[name] = index > BITS and 2 ^ (index - BITS - 1) or 0
  end
  local first = math.max(#names - BITS, 0)
  assert(first + #dimensions <= BITS, 'emf: too many metrics and dimensions in the catalogue')
  local dimension_bit = {}
  for index = 1, #dimensions do
    dimension_bit[index] = 2 ^ (first + index - 1)
  end
  local made = {
    names = names, dimensions = dimensions, is_dimension = is_dimension, entry = entry, key = key, sets = sets,
    low = low, high = high, dimension_bit = dimension_bit,
    heads = {}, head_count = 0,
    -- Property names with their JSON; grows as names turn up.
    property_count = 0, property_key = {},
    -- Whole members that were written lately, by name and value.
    members = {}, member_count = 0,
  }
  compiled[catalogue] = made
  return made
end

-- Dimension values that CloudWatch takes: not empty, not blank.
local function is_dimension_value(value)
  local kind = type(value)
  if kind == 'number' then
    return true
  elseif kind ~= 'string' or value == '' then
    return false
  end
  -- The pattern only for the rare value that begins with white space.
  return byte(value) > 32 or find(value, '%S') ~= nil
end

local function unknown_metric(catalogue, metrics)
  for name in pairs(metrics) do
    if not catalogue[name] then
      error('emf: metric not in the catalogue: ' .. tostring(name), 3)
    end
  end
end

local function assert_dimensions(made, name, sets)
  for _, set in ipairs(sets) do
    if not made.sets[name][concat(set, SEPARATOR)] then
      error('emf: dimensions not in the catalogue for ' .. name .. ': ' .. concat(set, ', '), 4)
    end
  end
end

-- The array CloudWatchMetrics: metrics with the same dimension sets share one entry.
local function build_head(catalogue, made, directives, properties, shared)
  local groups, order = {}, {}
  for _, directive in ipairs(directives) do
    for _, name in ipairs(made.names) do
      local value = directive.metrics[name]
      if value and value == value and value - value == 0 then
        if directive.dimensions then
          assert_dimensions(made, name, directive.dimensions)
        end
        local sets = {}
        for _, set in ipairs(directive.dimensions or catalogue[name].dimensions) do
          local whole = true
          for _, dimension in ipairs(set) do
            whole = whole and (shared.has[dimension] or is_dimension_value(properties[dimension]))
          end
          if whole then
            sets[#sets + 1] = set
          end
        end
        if #sets > 0 then
          local dimensions = sets_json(sets)
          local group = groups[dimensions]
          if not group then
            group = {}
            groups[dimensions] = group
            order[#order + 1] = dimensions
          end
          group[#group + 1] = made.entry[name]
          assert(#group <= _M.MAX_METRICS, 'emf: more than 100 metrics in one directive')
        end
      end
    end
  end
  for index, dimensions in ipairs(order) do
    order[index] = '{"Namespace":' .. quote(_M.NAMESPACE) .. ',"Dimensions":' .. dimensions .. ',"Metrics":['
      .. concat(groups[dimensions], ',') .. ']}'
  end
  return '[' .. concat(order, ',') .. ']'
end

local function add_property_name(made, catalogue, name)
  if type(name) ~= 'string' or name == '_aws' or catalogue[name] then
    error('emf: not a name for a property: ' .. tostring(name), 3)
  end
  if made.property_count == _M.MAX_PROPERTY_NAMES then
    error('emf: too many different property names', 3)
  end
  made.property_count = made.property_count + 1
  made.property_key[name] = quote(name) .. ':'
  return made.property_key[name]
end

local THOUSANDTHS = {}
for index = 0, 999 do
  THOUSANDTHS[index] = format('.%03d,', index)
end
-- Beyond it a number is written as a float, which takes ten times as long.
local MAX_INTEGER = 2 ^ 31 - 1

-- A number, and the comma behind it. Those with up to three decimals, the rule, are put together of integers, which
-- `tobit` makes them for LuaJIT too.
local function put_number(out, value)
  if value >= 0 and value <= MAX_INTEGER then
    local whole = floor(value)
    if whole == value then
      out:put(tobit(whole), ',')
      return
    end
    local thousandths = floor(value * 1000 + 0.5)
    if thousandths <= MAX_INTEGER and thousandths / 1000 == value then
      out:put(tobit(whole), THOUSANDTHS[thousandths - whole * 1000])
      return
    end
  end
  out:put(format('%.14g', value), ',')
end

-- Puts the metrics' values; returns the bits of those that are there.
local function put_metrics(out, catalogue, made, metrics, low, high)
  local key, low_bits, high_bits = made.key, made.low, made.high
  for name, value in pairs(metrics) do
    local prefix = key[name]
    if not prefix then
      unknown_metric(catalogue, metrics)
    end
    if type(value) ~= 'number' then
      error('emf: the value of ' .. name .. ' is not a number but ' .. type(value), 3)
    end
    -- NaN differs from itself; an infinity minus itself is NaN.
    if value - value == 0 then
      out:put(prefix)
      put_number(out, value)
      low, high = low + low_bits[name], high + high_bits[name]
    end
  end
  return low, high
end

-- A string's literal. Escapes and repaired bytes count as what they become: a client that sends little else must not
-- make a line that a pipe takes in two pieces.
local function string_json(value)
  local limit = _M.MAX_STRING
  local literal = quote(truncate(value, limit))
  if #literal <= limit + 2 then
    return literal
  end
  value = truncate(repair(value), limit)
  literal = quote(value)
  while #literal > limit + 2 do
    value = truncate(value, floor(#value * limit / #literal))
    literal = quote(value)
  end
  return literal
end

-- The member of a property, with the comma behind it; nil for a number that JSON cannot hold.
local function member_json(made, catalogue, name, value)
  local prefix, kind = made.property_key[name] or add_property_name(made, catalogue, name), type(value)
  if kind == 'string' then
    return prefix .. string_json(value) .. ','
  elseif kind == 'boolean' then
    return prefix .. (value and 'true,' or 'false,')
  elseif kind ~= 'number' then
    error('emf: the property ' .. name .. ' is a ' .. kind, 3)
  elseif value - value ~= 0 then
    return nil
  elseif made.is_dimension[name] then
    -- The format wants dimensions as strings.
    return prefix .. '"' .. format('%.14g', value) .. '",'
  end
  return prefix .. format('%.14g', value) .. ','
end

local function keep_member(made, name, value, member)
  if made.member_count == MAX_MEMBERS then
    made.members, made.member_count = {}, 0
  end
  local row = made.members[name]
  if not row then
    row = {}
    made.members[name] = row
  end
  row[value] = member
  made.member_count = made.member_count + 1
end

-- Most values come again and again (methods, paths, models, consumers): their members are kept whole, which spares a
-- line most of its work. Of those that do not, the members are put as they come.
local function put_properties(out, catalogue, made, properties)
  local key, unique, plain = made.property_key, _M.UNIQUE, _M.PLAIN
  for name, value in pairs(properties) do
    local row = made.members[name]
    local member = row and row[value]
    if member then
      out:put(member)
    elseif plain[name] then
      out:put(key[name] or add_property_name(made, catalogue, name), '"', value, '",')
    else
      member = member_json(made, catalogue, name, value)
      if member then
        out:put(member)
        -- What is longer would keep all of itself.
        if not unique[name] and (type(value) ~= 'string' or #value <= _M.MAX_STRING) then
          keep_member(made, name, value, member)
        end
      end
    end
  end
end

-- What no properties are put into.
local NOTHING = { members = '', has = {}, bits = 0 }

--- Properties that many lines have in common, put into JSON once.
-- @param catalogue   the generated table of metrics
-- @param properties  as those of `put`
-- @return a table to be given to `put`; it holds nothing of `properties`. Throws what `put` throws of properties
function _M.share(catalogue, properties)
  local made = compiled[catalogue] or compile(catalogue)
  local members, has, bits = {}, {}, 0
  for name, value in pairs(properties) do
    members[#members + 1] = member_json(made, catalogue, name, value)
  end
  for index, name in ipairs(made.dimensions) do
    if is_dimension_value(properties[name]) then
      has[name] = true
      bits = bits + made.dimension_bit[index]
    end
  end
  return { members = concat(members), has = has, bits = bits }
end

-- The same metric in two directives is one member of the line, so it can have one value only.
local function assert_no_conflict(directives)
  local seen = {}
  for _, directive in ipairs(directives) do
    for name, value in pairs(directive.metrics) do
      if seen[name] then
        error('emf: a metric is given in two directives: ' .. name .. ' = ' .. tostring(value), 3)
      end
      seen[name] = true
    end
  end
end

local function keep_head(made, low, high, head)
  if made.head_count == MAX_HEADS then
    made.heads, made.head_count = {}, 0
  end
  local row = made.heads[low]
  if not row then
    row = {}
    made.heads[low] = row
  end
  row[high] = head
  made.head_count = made.head_count + 1
end

-- The last timestamp that was written: many lines are of one millisecond.
local written = { ms = -1, text = '' }

local function timestamp_text(ms)
  if written.ms ~= ms then
    written.ms, written.text = ms, format('%.0f', ms)
  end
  return written.text
end

--- Puts one EMF line behind what a buffer holds, without a line end. Where it throws, part of the line may be there.
-- @param out           `string.buffer`
-- @param catalogue     the generated table of metrics
-- @param timestamp_ms  milliseconds since 1970
-- @param directives    list of `{ metrics = { Name = number }, dimensions = nil or a list of dimension sets }`. Without
--   `dimensions` each metric has its own of the catalogue; with them, only these, each of which the catalogue must
--   have. NaN and infinite values are left out. Each metric stands in one directive only.
-- @param properties    `{ name = string | number | boolean }`: the dimensions' values and whatever else helps a reader
-- @param shared        optional, of `share`: further properties, none of which stands in `properties` too
-- Throws on what only a programming error can cause: an unknown metric or dimension, a value of a wrong type, a
-- property called like a metric.
function _M.put(out, catalogue, timestamp_ms, directives, properties, shared)
  local made = compiled[catalogue] or compile(catalogue)
  local directive_count = #directives
  if directive_count > 1 then
    assert_no_conflict(directives)
  end
  shared = shared or NOTHING
  out:put('{', shared.members)
  put_properties(out, catalogue, made, properties)
  local low, high, explicit = 0, shared.bits, directive_count > 1
  for index = 1, directive_count do
    local directive = directives[index]
    low, high = put_metrics(out, catalogue, made, directive.metrics, low, high)
    explicit = explicit or directive.dimensions ~= nil
  end
  local head
  if explicit then
    -- Rare: gauges with dimensions of their own. What is kept below is by metric, not by directive.
    head = build_head(catalogue, made, directives, properties, shared)
  else
    local dimensions, bits = made.dimensions, made.dimension_bit
    for index = 1, #dimensions do
      if is_dimension_value(properties[dimensions[index]]) then
        high = high + bits[index]
      end
    end
    local row = made.heads[low]
    head = row and row[high]
    if not head then
      head = build_head(catalogue, made, directives, properties, shared)
      keep_head(made, low, high, head)
    end
  end
  -- Last: which metrics and dimensions there are is known only now. JSON's members have no order, and AWS's own
  -- libraries (awslabs/aws-embedded-metrics-node, LogSerializer) do not begin with this one either.
  out:put('"_aws":{"Timestamp":', timestamp_text(floor(timestamp_ms)), ',"CloudWatchMetrics":', head, '}}')
end

local whole = buffer.new()

--- One EMF line, without a line end.
-- @return string. Arguments and errors are those of `put`
function _M.line(...)
  whole:reset()
  _M.put(whole, ...)
  return whole:tostring()
end

return _M
