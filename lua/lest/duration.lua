--- Durations as people write them: "90d", "10m", "1h30m", or a number of seconds.
---
---   duration.parse "90d" --> 7776000
---@class lest.module.duration
local M = {}

local UNITS <const> = { s = 1, m = 60, h = 3600, d = 86400, w = 604800, y = 31536000 }
local MOST <const> = 10000 * UNITS.y

--- Read one.
---@param value string|integer "1h30m" (units s, m, h, d, w, y of 365 days), or seconds
---@return integer|nil seconds
---@return string|nil problem a sentence that names the value
function M.parse(value)
  if math.type(value) == "integer" and value >= 0 and value <= MOST then return value end
  if type(value) ~= "string" then
    return nil, ("%s is no duration: write one as \"10m\" or \"90d\""):format(tostring(value))
  end
  local total, rest = 0, value
  while rest ~= "" do
    local number, unit, tail = rest:match("^(%d%d?%d?%d?%d?%d?)([smhdwy])(.*)$")
    if not number then
      return nil, ("'%s' is no duration%s: write one as 30s, 10m, 2h, 90d or 1y"):format(value,
        rest:find "^%d+$" and " without a unit" or "")
    end
    total, rest = total + tonumber(number) * UNITS[unit], tail
  end
  if value == "" or total > MOST then return nil, ("'%s' is no duration"):format(value) end
  return total
end

--- The two largest units that a number of seconds has: 93784 --> "1d2h".
---@param seconds integer
---@return string
function M.format(seconds)
  if seconds < 0 then return "-" .. M.format(-seconds) end
  local text, parts = "", 0
  for _, unit in ipairs { "y", "d", "h", "m", "s" } do
    local count = seconds // UNITS[unit]
    if count > 0 and parts < 2 then
      text, parts = text .. ("%d%s"):format(count, unit), parts + 1
      seconds = seconds % UNITS[unit]
    elseif parts > 0 then
      break
    end
  end
  return text == "" and "0s" or text
end

--- A field of a schema: a duration, whose value becomes seconds.
---@param options? { min: integer, max: integer } seconds
---@return lest.schema.shape
function M.field(options)
  local schema = require "lest.base.schema"
  local min, max = options and options.min or 0, options and options.max or math.maxinteger
  return schema.custom("a duration", function(value)
    local seconds, problem = M.parse(value)
    if not seconds then return nil, problem end
    if seconds < min or seconds > max then
      return nil, ("%s is out of range (%s to %s)"):format(value, M.format(min),
        max < math.maxinteger and M.format(max) or "any")
    end
    return seconds
  end, options)
end

return M
