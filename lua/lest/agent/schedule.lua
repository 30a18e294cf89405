--- When something is due: functions of time alone, in seconds since 1970. Random numbers are given.
---
---   schedule.renewal(cert, { renew_at = 2 / 3, spread = 0.1 }, 0.5)   --> when to renew
local core = require "lest.core"
local renewal_window = require "lest.base.renewal_window"

local M = {}

-- The first pause after a failure at most, how it grows, and the longest.
local BASE_S <const> = 30
local MOST_S <const> = 6 * 3600
-- What is left of a life bounds a pause: one of so many parts of it, but a minute.
local PARTS <const> = 8
local LEAST_S <const> = 60
-- After the end of a life nothing gets worse, and somebody waits.
local EXPIRED_MOST_S <const> = 3600

-- The longest that a server may put a device off.
local ASKED_MOST_S <const> = 7 * 86400

-- A server that was away for so long meets everybody who waited for it.
local OUTAGE_S <const> = 3600
-- They may take what is left of a life to come back, but for a part of it, or for so long where
-- that is less.
local KEPT_PARTS <const> = 4
local KEPT_MOST_S <const> = 3 * 86400

--- A share of a life, or a number of seconds.
local function seconds(value, life)
  return math.type(value) == "integer" and value or math.floor(value * life)
end

---@class lest.agent.plan
---@field renew_at number a share of the life (a float), or seconds before its end (an integer)
---@field spread number how long the devices of a fleet take to follow each other: likewise

--- When to renew a certificate. `place`, from 0 to 1, is where a device stands in the window, and
--- stays the same for it.
---@param life { not_before: integer, not_after: integer }
---@param plan lest.agent.plan
---@param place number
---@param window? lest.renewal_window what the server has proposed
---@return integer at
function M.renewal(life, plan, place, window)
  local all = life.not_after - life.not_before
  local first, last
  if window then
    first, last = renewal_window.times(window, life.not_before, life.not_after)
    return first + math.floor(place * (last - first))
  end
  if math.type(plan.renew_at) == "integer" then
    first = math.max(life.not_after - plan.renew_at, life.not_before + all // 10)
  else
    first = life.not_before + math.floor(all * plan.renew_at)
  end
  local spread = math.min(seconds(plan.spread, all), (life.not_after - first) // 2)
  return first + math.floor(place * spread)
end

--- The time that a server has asked for, as far as it counts: within a week, and within half of
--- what is left of the certificate. So a device asks more and more often before its end.
---@param now integer
---@param asked? integer seconds
---@param ends? integer of the certificate; nil: there is none
---@return integer|nil at nil: it has not asked for any
function M.asked(now, asked, ends)
  if not asked then return nil end
  local most = ASKED_MOST_S
  if ends and ends > now then most = math.min(most, math.max(LEAST_S, (ends - now) // 2)) end
  return now + math.min(asked, most)
end

--- When to try again after failures in a row: at any time up to a bound that doubles with each, and
--- that shrinks as the end of the certificate comes near. Not before a server wants to be asked.
---@param now integer
---@param failures integer from 1
---@param ends? integer of the certificate; nil: there is none
---@param asked? integer of M.asked
---@param random fun(): number from 0 to 1
---@return integer at after now
function M.retry(now, failures, ends, asked, random)
  local most = math.min(MOST_S, BASE_S * 2.0 ^ math.min(failures - 1, 20))
  if ends and ends > now then
    most = math.min(most, math.max(LEAST_S, (ends - now) / PARTS))
  else
    most = math.min(most, EXPIRED_MOST_S)
  end
  return math.max(now + math.max(1, math.ceil(most * random())), asked or 0)
end

-- A part of the time that was asked for, within which devices that were told the same come.
local LATER_PARTS <const> = 10

--- The farthest that a retry can be from now: one that is farther was set by another clock.
M.RETRY_MOST_S = math.max(MOST_S, ASKED_MOST_S + ASKED_MOST_S // LATER_PARTS)

--- When to ask for what waits: at the time that the server has said (RFC 7030 4.2.3), or a little
--- later, so that those who were told the same do not come together.
---@param now integer
---@param asked integer seconds
---@param random fun(): number
---@return integer at
function M.poll(now, asked, random)
  asked = math.max(1, math.min(asked, ASKED_MOST_S))
  return now + asked + math.floor(asked * random() / LATER_PARTS)
end

--- When to renew after a server was away: nil, at once, where that was short. Otherwise everybody
--- comes who had to wait, and all of them together are more than the server has to do on other
--- days: they take most of the time that they still have.
---@param now integer
---@param failing_since integer
---@param ends? integer
---@param random fun(): number
---@return integer|nil at
function M.after_outage(now, failing_since, ends, random)
  if not ends or ends <= now or now - failing_since < OUTAGE_S then return nil end
  local left = ends - now
  return now + math.floor((left - math.min(left / KEPT_PARTS, KEPT_MOST_S)) * random())
end

--- Whether a clock can be right: it is not before lest was built, nor before the certificate that
--- is in use was made.
---@param now integer
---@param not_before? integer of that
---@return boolean
function M.is_believable(now, not_before)
  -- A certificate may begin a little after the clock of who asked for it.
  return now >= core.built and now >= (not_before or 0) - 3600
end

return M
