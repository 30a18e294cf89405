--- Trying again, for as long as the caller has said: a request that is pending, and a server that
--- is busy or away.
local core = require "lest.core"
local duration = require "lest.duration"
local task = require "lest.task"

local M = {}

-- To a wait, a server that cannot be reached is as good as one that asks to come back.
local OUTAGE_S <const> = 5
local OUTAGES <const> = { network = true, timeout = true, closed = true }

--- Say of the error of a request that changes something that nobody knows whether it did, where it
--- may have arrived and its answer is lost.
---@param err lest.error
---@param had_key? boolean the answer had a key in it
---@return lest.error err
function M.note_lost(err, had_key)
  if err.was_sent and OUTAGES[err.code] then
    err.unknown = true
    err.message = err.message .. "; whether a certificate was issued is not known: "
      .. (had_key and "if so, its key is lost, and asking again gets another; a one-time secret is "
        .. "used up then, and a new one is needed"
      or "repeat it with the same key, which gets the same certificate")
  end
  return err
end

-- How long to wait before an error is worth another attempt; nil if it is not. A request that may
-- have arrived is not sent again, for the server may have died of it: unless it has been answered
-- before (known), so that this is asking how it goes.
local function delay_after(err, known)
  if err.code == "pending" or err.code == "unavailable" then
    return math.max(1, err.retry_after or 60)
  end
  return OUTAGES[err.code] and (known or not err.unknown) and OUTAGE_S or nil
end

--- When a wait is over.
---@param options { wait?: string|integer }
---@return integer? deadline monotonic milliseconds; nil: there is no waiting
function M.deadline(options)
  return options.wait and core.clock.monotonic_ms() + duration.parse(options.wait) * 1000
end

--- Repeat attempt() until it succeeds, fails for good, or would have to wait past the deadline.
--- Never before the time that the server gave (RFC 7030 4.2.3).
---@param notify fun(kind: "waiting", message: string, seconds: integer)
---@param deadline? integer
---@param attempt fun(): any, any its results are returned; nil and an error
---@return any
function M.persist(notify, deadline, attempt)
  local known = false
  while true do
    local results = table.pack(attempt())
    if results[1] then return table.unpack(results, 1, results.n) end
    local err = results[2]
    local delay = deadline and delay_after(err, known)
    if not delay or core.clock.monotonic_ms() + delay * 1000 > deadline then return nil, err end
    known = known or err.code == "pending"
    notify("waiting", tostring(err), delay)
    task.sleep(delay)
  end
end

return M
