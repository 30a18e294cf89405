--- Times for people, and this machine's clock where it looks behind, as after a battery's end:
--- certificates are "not yet valid" by it.
local core = require "lest.core"

local M = {}

local DEPTH_MAX <const> = 8
local SAYS <const> = "this machine's clock says "

--- A time as people read it: 2026-01-31 12:00:00 UTC.
---@param seconds integer since 1970
---@return string
function M.text(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds) --[[@as string]]
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
