--- RFC 3339 timestamps in UTC, whole seconds.
--
-- What it is for: dates in documents that people write (`notAfter` of a key). Only one form is read, so that a date
-- means the same to everybody: `2026-12-01T00:00:00Z`. No offsets, no fractions, no leap seconds, no dates that do not
-- exist.
-- Units: seconds since 1970. `os.time` is not used, for it depends on the machine's time zone.

local floor = math.floor
local format = string.format

local _M = {}

-- Days since 1970-01-01 of a date in the Gregorian calendar. Years are counted from March, so the leap day comes last.
local function days_from_civil(year, month, day)
  if month <= 2 then
    year = year - 1
  end
  local era = floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + floor(year_of_era / 4) - floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

local function civil_from_days(days)
  days = days + 719468
  local era = floor(days / 146097)
  local day_of_era = days - era * 146097
  local year_of_era = floor(
    (day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524) - floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
  local shifted = floor((5 * day_of_year + 2) / 153)
  local month = shifted < 10 and shifted + 3 or shifted - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return year, month, day_of_year - floor((153 * shifted + 2) / 5) + 1
end

--- A time as text.
-- @param seconds  since 1970
-- @return string
function _M.format(seconds)
  local days = floor(seconds / 86400)
  local rest = floor(seconds) - days * 86400
  local year, month, day = civil_from_days(days)
  return format('%04d-%02d-%02dT%02d:%02d:%02dZ',
    year, month, day, floor(rest / 3600), floor(rest / 60) % 60, rest % 60)
end

--- A time from text.
-- @param text  anything
-- @return seconds since 1970, or nil where the text is not such a time
function _M.parse(text)
  if type(text) ~= 'string' then
    return nil
  end
  local year, month, day, hour, minute, second =
    text:match '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)Z$'
  if not year then
    return nil
  end
  local seconds = days_from_civil(tonumber(year), tonumber(month), tonumber(day)) * 86400
    + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
  -- Whatever does not exist (30 February, 24:00, :60) comes back as something else.
  if _M.format(seconds) ~= text then
    return nil
  end
  return seconds
end

return _M
