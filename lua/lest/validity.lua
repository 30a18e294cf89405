--- Whether a certificate or a CRL is over, or soon will be: what an operator should know before a
--- device does.
---
---   validity.fault(cert.not_before, cert.not_after, os.time())   --> "ends at 2026-..., in 5d"
local clock = require "lest.base.clock"
local duration = require "lest.duration"

local M = {}

-- "Soon" is the last third of a life, at most so long.
local SHARE <const> = 3
local SOON_S <const> = 30 * 86400

--- What is wrong with a period of validity; nil for nothing. A CRL need not have an end.
---@param first integer seconds since 1970, as the others
---@param last? integer
---@param now integer
---@return string|nil fault
function M.fault(first, last, now)
  if now < first then return "is not valid before " .. clock.text(first) end
  if not last then return nil end
  if now > last then return "expired at " .. clock.text(last) end
  if last - now < math.min(SOON_S, (last - first) // SHARE) then
    return ("ends at %s, in %s"):format(clock.text(last), duration.format(last - now))
  end
end

return M
