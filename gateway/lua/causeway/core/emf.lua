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

local text = require 'causeway.core.text'

local concat = table.concat
local find = string.find
local floor = math.floor
local format = string.format
local sort = table.sort
local quote, truncate = text.quote, text.truncate

local _M = {}

_M.NAMESPACE = 'Causeway'
--- Longest string value of a property in bytes; the rest is cut off.
_M.MAX_STRING = 256
--- The format's own limits.
_M.MAX_METRICS = 100
_M.MAX_DIMENSIONS = 30
--- Property names are constants of the code. More than this many means that data has become a name.
_M.MAX_PROPERTY_NAMES = 256
-- Combinations of metrics and dimensions that are kept; far more than the phases make.
local MAX_HEADS = 512

local SEPARATOR, SECTION = '\1', '\2'

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
    key[name] = ',' .. quote(name) .. ':'
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
  local made = {
    names = names, dimensions = dimensions, is_dimension = is_dimension, entry = entry, key = key, sets = sets,
    heads = {}, head_count = 0,
    -- Property names in order, with their JSON; grows as names turn up.
    properties = {}, property_key = {},
  }
  compiled[catalogue] = made
  return made
end

-- Dimension values that CloudWatch takes: not empty, not blank.
local function has_dimension(properties, name)
  local value = properties[name]
  local kind = type(value)
  return kind == 'number' or kind == 'string' and find(value, '%S') ~= nil
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
local function build_head(catalogue, made, directives, properties)
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
            whole = whole and has_dimension(properties, dimension)
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
  if #made.properties == _M.MAX_PROPERTY_NAMES then
    error('emf: too many different property names', 3)
  end
  made.properties[#made.properties + 1] = name
  made.property_key[name] = ',' .. quote(name) .. ':'
  sort(made.properties)
end

-- Used by one call at a time: `line` does not yield. A table a line would be garbage a line.
local signature, out = {}, {}

-- Puts the metrics' values into `out` after `count` and their names into `signature`.
local function add_metrics(catalogue, made, metrics, count, marks)
  local names, key = made.names, made.key
  local given = 0
  for index = 1, #names do
    local name = names[index]
    local value = metrics[name]
    if value ~= nil then
      given = given + 1
      if type(value) ~= 'number' then
        error('emf: the value of ' .. name .. ' is not a number but ' .. type(value), 3)
      end
      -- NaN differs from itself; an infinity minus itself is NaN.
      if value - value == 0 then
        count = count + 1
        out[count] = key[name]
        count = count + 1
        out[count] = format('%.14g', value)
        marks = marks + 1
        signature[marks] = name
      end
    end
  end
  for _ in pairs(metrics) do
    given = given - 1
  end
  if given ~= 0 then
    unknown_metric(catalogue, metrics)
  end
  return count, marks
end

local function add_properties(catalogue, made, properties, count, limit)
  for name in pairs(properties) do
    if not made.property_key[name] then
      add_property_name(made, catalogue, name)
    end
  end
  local names, key, is_dimension = made.properties, made.property_key, made.is_dimension
  for index = 1, #names do
    local name = names[index]
    local value = properties[name]
    if value ~= nil then
      local kind = type(value)
      local json
      if kind == 'string' then
        json = quote(truncate(value, limit))
      elseif kind == 'number' then
        if value - value == 0 then
          json = format('%.14g', value)
          if is_dimension[name] then -- the format wants dimensions as strings
            json = '"' .. json .. '"'
          end
        end
      elseif kind == 'boolean' then
        json = value and 'true' or 'false'
      else
        error('emf: the property ' .. name .. ' is a ' .. kind, 3)
      end
      if json then
        count = count + 1
        out[count] = key[name]
        count = count + 1
        out[count] = json
      end
    end
  end
  return count
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

--- One EMF line, without a line end.
-- @param catalogue     the generated table of metrics
-- @param timestamp_ms  milliseconds since 1970
-- @param directives    list of `{ metrics = { Name = number }, dimensions = nil or a list of dimension sets }`. Without
--   `dimensions` each metric has its own of the catalogue; with them, only these, each of which the catalogue must
--   have. NaN and infinite values are left out. Each metric stands in one directive only.
-- @param properties    `{ name = string | number | boolean }`: the dimensions' values and whatever else helps a reader
-- @param limit         longest string value in bytes; default MAX_STRING
-- @return string. Throws on what only a programming error can cause: an unknown metric or dimension, a value of a wrong
--   type, a property called like a metric
function _M.line(catalogue, timestamp_ms, directives, properties, limit)
  local made = compiled[catalogue] or compile(catalogue)
  local directive_count = #directives
  if directive_count > 1 then
    assert_no_conflict(directives)
  end
  local count, marks = add_properties(catalogue, made, properties, 3, limit or _M.MAX_STRING), 0
  for index = 1, directive_count do
    local directive = directives[index]
    count, marks = add_metrics(catalogue, made, directive.metrics, count, marks)
    marks = marks + 1
    signature[marks] = SECTION
    if directive.dimensions then
      marks = marks + 1
      signature[marks] = sets_json(directive.dimensions)
    end
  end
  local dimensions = made.dimensions
  for index = 1, #dimensions do
    if has_dimension(properties, dimensions[index]) then
      marks = marks + 1
      signature[marks] = dimensions[index]
    end
  end
  local mark = concat(signature, SEPARATOR, 1, marks)
  local head = made.heads[mark]
  if not head then
    head = build_head(catalogue, made, directives, properties)
    if made.head_count == MAX_HEADS then
      made.heads, made.head_count = {}, 0
    end
    made.heads[mark] = head
    made.head_count = made.head_count + 1
  end
  out[1] = '{"_aws":{"Timestamp":' .. format('%.14g', floor(timestamp_ms)) .. ',"CloudWatchMetrics":'
  out[2] = head
  out[3] = '}'
  count = count + 1
  out[count] = '}'
  return concat(out, '', 1, count)
end

return _M
