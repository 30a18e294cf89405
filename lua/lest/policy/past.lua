--- Tests of what the server knows besides: the history of a request in the ledger, and how often
--- such ones have come. The authority is asked when the test is.
local list = require "lest.base.list"
local origin = require "lest.base.origin"
local shapes = require "lest.policy.shapes"

---@class lest.module.policy
local M = {}

--- Whether the last of a tally was so lately.
local function is_within(tally, seconds, now)
  return tally.last ~= nil and now - tally.last <= seconds
end

--- Whether a tally is within bounds. One that says "or more" may not tell.
---@return boolean|nil
---@return string|nil problem
local function fits(tally, bounds, now)
  local count = tally.count
  if bounds.most and count > bounds.most then return false end
  if bounds.within and not is_within(tally, bounds.within, now) then return false end
  local is_enough = not bounds.least or count >= bounds.least
  if tally.more and (bounds.most or not is_enough) then
    return nil, "the ledger has too many certificates to count these"
  end
  return is_enough
end

---@class lest.policy.bounds
---@field least? integer so many, or more; at most 999
---@field most? integer so many, or fewer; at most 999
---@field within? string|integer the last of them was at most so long ago

---@class lest.policy.states
---@field issued? lest.policy.bounds all certificates
---@field active? lest.policy.bounds those that have neither expired nor been revoked
---@field expired? lest.policy.bounds those that have expired, and were not revoked
---@field revoked? lest.policy.bounds those that were revoked
---@field renewed? lest.policy.bounds those that renewed another one
---@field refused? lest.policy.bounds requests that were refused
---@field pending? lest.policy.bounds requests that wait for operators

---@class lest.policy.past
---@field principal? lest.policy.states what was asked for in the principal's name, but renewals
---@field device? lest.policy.states what concerns request.device
---@field subject? lest.policy.states what has the subject of the CSR; one without passes no test
---@field key? lest.policy.states what has the key of the CSR

--- A test: what the ledger knows of the request, as request.history. All that is stated must hold.
--- The request itself is not counted, but among those that are pending.
---
---   -- one more makes five: a quota
---   policy.history { device = { active = { most = 4 } } }
---   -- nobody has that name now
---   policy.history { subject = { active = { most = 0 } } }
---   -- it was refused lately
---   policy.history { device = { refused = { within = "1h" } } }
---@param options lest.policy.past
---@return fun(request: lest.request): boolean test
function M.history(options)
  local wanted, problem = shapes.check("history", options)
  if not wanted then return nil, problem end
  return function(request)
    local saw
    for about, states in next, wanted do
      local known = request.history[about]
      if not known then return false, "no " .. about end
      for state, bounds in next, states do
        local tally = known[state]
        local ok, unknown = fits(tally, bounds, request.time)
        saw = tally.count
        if not ok then return ok, unknown or saw end
      end
    end
    return true, saw
  end
end

---@class lest.policy.revocation
---@field of ("principal"|"device"|"subject"|"key")|("principal"|"device"|"subject"|"key")[] whose
--- certificates, as in request.history; those of one of them are enough
---@field reason? string|string[] the last revocation was for this reason, or one of these:
--- "keyCompromise"
---@field within? string|integer it was at most so long ago

--- A test: whether a certificate of the device, say, or with the key, was revoked. Who shows a
--- revoked certificate is refused before a policy is asked.
---
---   policy.revoked { of = { "device", "key" } }
---@param options lest.policy.revocation
---@return fun(request: lest.request): boolean test
function M.revoked(options)
  local wanted, problem = shapes.check("revoked", options)
  if not wanted then return nil, problem end
  local reasons = wanted.reason and list.set(wanted.reason)
  return function(request)
    for _, about in ipairs(wanted.of) do
      local known = request.history[about]
      local tally = known and known.revoked
      if tally and tally.count > 0 and (not reasons or reasons[tally.reason] == true)
        and (not wanted.within or is_within(tally, wanted.within, request.time)) then
        return true, about
      end
    end
    return false
  end
end

---@class lest.policy.frequency
---@field per ("address"|"network"|"principal"|"device"|"subject"|"key"|"label")|string[] what is
--- counted by: an IPv6 address is its /64; a network is /24 or /48; several are counted by all of
--- them together
---@field most integer so many, up to 1000000
---@field every string|integer in so long, up to 31 days
---@field name? string policies and lines that have the same one, and differ in nothing else, count
--- together; absent: each line counts for itself

--- A test: whether such requests come no more often than that. It counts the request where it
--- holds, for all workers together, and each time that it is asked: put it behind what refuses
--- cheaper. It tells the rate nearly: the share of the period before that is still within `every`
--- counts as if its requests had come evenly.
---
---   local rate = policy.rate { per = "device", most = 5,
---     every = "1m" }
---   policy.unless(rate, policy.reject "too often")
---
--- The counts are in the memory of the authority: a restart and a reload begin them anew.
---@param options lest.policy.frequency
---@return fun(request: lest.request): boolean test
function M.rate(options)
  local wanted, problem = shapes.check("rate", options)
  if not wanted then return nil, problem end
  wanted.place = origin.here(3)
  return function(request)
    if not request.rate then return nil, "who has proven nothing is not counted" end
    local answer = request.rate(wanted)
    return answer.within, answer.count
  end
end

return M
