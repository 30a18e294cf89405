--- Days of the week and hours of the day, in UTC.
---
---   week.days "mon-fri"          --> { [1] = true, ..., [5] = true }; Sunday is 7
---   week.hours "22:00-06:00"     --> { first = 79200, last = 21600 }: seconds of a day
local M = {}

local NAMES <const> = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" }
local NUMBERS <const> = {}
for number, name in ipairs(NAMES) do NUMBERS[name] = number end
local DAY_S <const> = 86400

--- Read a day, or days from one to another.
---@param text string
---@return table<integer, boolean>|nil days
---@return string|nil problem
function M.days(text)
  local from, to = text:match "^(%a+)%-(%a+)$"
  local first, last = NUMBERS[from or text], NUMBERS[to or text]
  if not first or not last then
    return nil, ("'%s' is no day: write \"mon\", \"mon-fri\", or { \"sat\", \"sun\" }"):format(
      text:sub(1, 60))
  end
  local days, day = {}, first
  days[day] = true
  while day ~= last do
    day = day % #NAMES + 1
    days[day] = true
  end
  return days
end

local function seconds_of(text)
  local hour, minute = text:match "^(%d%d):(%d%d)$"
  local seconds = hour and tonumber(hour) * 3600 + tonumber(minute) * 60
  return seconds and tonumber(minute) < 60 and seconds <= DAY_S and seconds or nil
end

--- Read a part of the day: from its first minute until before its last, also over midnight.
---@param text string
---@return { first: integer, last: integer }|nil hours
---@return string|nil problem
function M.hours(text)
  local from, to = text:match "^([%d:]+)%-([%d:]+)$"
  local first, last = from and seconds_of(from), to and seconds_of(to)
  if not first or not last or first == last or first == DAY_S then
    return nil, ("'%s' are no hours: write them as \"08:00-18:00\""):format(text:sub(1, 60))
  end
  return { first = first, last = last }
end

--- The day of a time.
---@param seconds integer since 1970, which began with a Thursday
---@return integer day
function M.day(seconds)
  return (seconds // DAY_S + 3) % 7 + 1
end

--- Whether a time is in a part of the day.
---@param hours { first: integer, last: integer }
---@param seconds integer since 1970
---@return boolean
function M.is_within(hours, seconds)
  local now = seconds % DAY_S
  if hours.first < hours.last then return now >= hours.first and now < hours.last end
  return now >= hours.first or now < hours.last
end

return M
