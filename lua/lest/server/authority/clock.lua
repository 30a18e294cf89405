--- The authority's clocks. What is kept in the ledger and in certificates is wall time; how long
--- something takes, or may take, is the monotonic clock's to say, since the other may be set.
---
--- A clock that is wrong cannot be put right here. What it would make nonsense of is refused (a
--- certificate from before its CA's, in profile.lua); what is odd is said in the log.
local core = require "lest.core"

local M = {}

--- How far the clocks of a well-kept machine may differ from one another, or be set.
M.SLACK_S = 300

---@return integer seconds since 1970
function M.wall_s()
  return core.clock.wall_us() // 1000000
end

---@return integer seconds
function M.monotonic_s()
  return core.clock.monotonic_ms() // 1000
end

--- A time as the log writes it.
---@param seconds integer since 1970
---@return string
function M.text(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

-- A simulation lets hours pass in this time.
local INJECTED_MS <const> = 5

--- How often to look at the wall clock, where something waits for it: so often, and oftener where
--- the clock is an injected one.
---@param milliseconds integer
---@return integer milliseconds
function M.every_ms(milliseconds)
  return core.clock.is_injected() and math.min(milliseconds, INJECTED_MS) or milliseconds
end

local function warn(message)
  core.log.write("warning", "clock", { "message", message })
end

--- Say of a clock at the start that it cannot be right: it is before what was done by it already.
---@param authority lest.authority with its issuers and ledger
---@return boolean|nil ok
---@return lest.error|nil err
function M.check(authority)
  local now = authority.clock()
  for _, issuer in pairs(authority.issuers) do
    if now < issuer.cert.not_before then
      warn(("it is %s, and the certificate of %s begins at %s: nothing is issued before"):format(
        M.text(now), tostring(issuer.cert.subject), M.text(issuer.cert.not_before)))
    end
  end
  local rows, err = authority.ledger:rows("request_list", { limit = 1 })
  if not rows then return nil, err end
  local newest = rows[1] and rows[1].time_us // 1000000 or now
  if newest > now + M.SLACK_S then
    warn(("it is %s, and the ledger has what was decided at %s: it is behind, or was ahead"):format(
      M.text(now), M.text(newest)))
  end
  return true
end

--- Say when the clock was set by more than a little: call it now and then. An injected one is set
--- all the time.
---@return fun()
function M.watcher()
  local before
  return function()
    local offset = M.wall_s() - M.monotonic_s()
    local step = offset - (before or offset)
    if math.abs(step) > M.SLACK_S and not core.clock.is_injected() then
      warn(("it was set %s by %d s, to %s"):format(step < 0 and "back" or "forward", math.abs(step),
        M.text(M.wall_s())))
    end
    before = offset
  end
end

return M
