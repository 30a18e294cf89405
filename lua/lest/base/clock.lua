--- Times for people, and this machine's clock where it looks behind, as after a battery's end:
--- certificates are "not yet valid" by it.
local core = require "lest.core"

local M = {}

local DEPTH_MAX <const> = 8
local SAYS <const> = "this machine's clock says "

-- The end of the year 9999, which is the last one that a certificate can name.
local LAST <const> = 253402300799

--- A time as people read it: 2026-01-31 12:00:00 UTC; of what is none its number.
---@param seconds integer since 1970
---@return string
function M.text(seconds)
  if seconds < -LAST or seconds > LAST then return ("%d s after 1970"):format(seconds) end
  return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds) --[[@as string]]
end

-- The date alone, with minutes, with seconds.
local LENGTHS <const> = { [10] = true, [16] = true, [19] = true }

--- Days from 1970 to a date of the Gregorian calendar, whose years begin in March here.
local function days(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day
    - 719469
end

--- Read a time as text() writes it: "2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:00Z".
---@param text string UTC
---@return integer|nil seconds since 1970; nil where it is no time
function M.parse(text)
  text = text:gsub(" UTC$", ""):gsub("Z$", ""):gsub("T", " ")
  if not LENGTHS[#text] then return nil end
  text = text .. (" 00:00:00"):sub(#text - 9)
  local found = { text:match "^(%d%d%d%d)-(%d%d)-(%d%d) (%d%d):(%d%d):(%d%d)$" }
  if not found[1] then return nil end
  for i, digits in ipairs(found) do found[i] = tonumber(digits, 10) end
  local year, month, day, hour, minute, second = table.unpack(found)
  local seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
  return M.text(seconds) == text .. " UTC" and seconds or nil -- there is no February 30
end

--- What this machine's clock says, as a sentence.
---@return string
function M.says()
  return SAYS .. M.text(core.clock.wall_us() // 1000000)
end

--- Whether it is before the day lest was built on.
---@return boolean
function M.is_behind()
  return core.clock.wall_us() // 1000000 < core.built
end

--- Add what the clock says to an error that it may explain, once.
---@param err lest.error
---@return lest.error err
function M.explain(err)
  if err.message:find(SAYS, 1, true) then return err end
  local each, depth = err, 1
  while core.error.is(each) and depth <= DEPTH_MAX do
    if tostring(each.message):find("not yet valid", 1, true) then
      err.message = err.message .. "; " .. M.says()
      break
    end
    each, depth = each.cause, depth + 1
  end
  return err
end

return M
